package grant

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

const maxToken = 16 << 10

// parseToken reads a successful answer (RFC 6749 §5.1). asked is the scope that was asked for, and rule what is done
// about more. The error is an [*Error].
func parseToken(a Answer, sent clock.Instant, asked []string, rule scopeRule) (Token, error) {
	body, flaw := a.object()
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	access, flaw := accessToken(body["access_token"])
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	assumedType, flaw := bearerType(body)
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	life, assumed, flaw := lifetime(body, access.Reveal(), sent.Wall, a.date())
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	granted, wider := asked, []string(nil)
	if scope, ok := body.text("scope"); ok {
		granted = scopeWords(sanitize(scope, nil, maxScope), asked)
		wider = exceeding(granted, asked)
	}
	switch {
	case rule == anyScope:
		wider = nil
	case rule == refuseWider && wider != nil:
		return Token{}, &Error{Class: Misconfigured, Status: a.Status,
			Reason: "granted a wider scope than was asked for: also " + quoted(strings.Join(wider, " "))}
	}
	return Token{
		Access: access, Visible: !IsB64Token([]byte(access.Reveal())), Type: "Bearer", TypeAssumed: assumedType,
		Scope: strings.Join(granted, " "), Wider: wider,
		Sent: sent, Lifetime: life, LifetimeAssumed: assumed, Hold: quotaWait(a),
	}, nil
}

const maxScope = 4 << 10

// bearerType reads token_type, whose case does not matter (RFC 6749 §5.1). A missing or empty one is assumed to be
// Bearer. BearerToken is Apigee's word for it ([Apigee]), and some servers pad it.
//
// [Apigee]: https://docs.cloud.google.com/apigee/docs/api-platform/security/oauth/access-tokens
func bearerType(body object) (assumed bool, flaw string) {
	raw := body["token_type"]
	kind, ok := body.text("token_type")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case missing(raw), ok && kind == "":
		return true, ""
	case kind == "bearer", kind == "bearertoken":
		return false, ""
	case kind == "dpop":
		return false, "holds a token that works only with a key (DPoP, RFC 9449), which groat does not have: " +
			"the client must be registered for Bearer tokens"
	}
	return false, "holds a token of another type than Bearer"
}

func missing(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// accessToken accepts RFC 6750's b64token, so that no output format has to quote a token, and what a profile may agree
// to beyond it ([Token.Visible]).
func accessToken(raw json.RawMessage) (token keystore.Secret, flaw string) {
	b, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	switch {
	case err != nil || len(b) == 0:
		return keystore.Secret{}, "holds no access token"
	case len(b) > maxToken:
		return keystore.Secret{}, "holds an access token that is too long"
	case !IsVisibleToken(b):
		return keystore.Secret{}, "holds an access token with characters that RFC 6750 does not allow"
	}
	return keystore.NewSecret(b), ""
}

// refreshToken reads RFC 6749 §5.1's optional member. A missing one, null and an empty string mean that the old token
// stays valid. Any other value that is not printable ASCII of at most [maxToken] bytes makes the whole answer unusable,
// since it was meant to be the next token.
func refreshToken(raw json.RawMessage) (token keystore.Secret, flaw string) {
	if missing(raw) {
		return keystore.Secret{}, ""
	}
	b, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	switch {
	case err != nil:
		return keystore.Secret{}, "holds a refresh token that is no string"
	case len(b) > maxToken:
		return keystore.Secret{}, "holds a refresh token that is too long"
	case len(b) > 0 && !printableASCII(b):
		return keystore.Secret{}, "holds a refresh token with characters that RFC 6749 does not allow"
	}
	return keystore.NewSecret(b), ""
}

// IsVisibleToken reports whether b is made of visible ASCII without quotes, backslash, backtick and dollar sign, as a
// b64token is too. Salesforce's tokens have a "!" ([1]).
//
// [1]: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_web_server_flow.htm
func IsVisibleToken(b []byte) bool {
	n := len(bytes.TrimRight(b, "="))
	for _, c := range b {
		if c <= ' ' || c > '~' || strings.IndexByte("\"'\\`$", c) >= 0 {
			return false
		}
	}
	return n > 0
}

// ErrTokenChars: the token has characters that the profile does not take.
var ErrTokenChars = errors.New("the access token has characters that RFC 6750 does not allow")

// CheckToken returns an error that wraps [ErrTokenChars] where a token is [Token.Visible] and its profile has not
// agreed to such tokens. The error is an [*Error].
func (s Server) CheckToken(t Token) error {
	if !t.Visible || s.TokenChars == VisibleChars {
		return nil
	}
	e := &Error{Class: Misconfigured, Err: ErrTokenChars, Reason: "gave an access token with characters that RFC " +
		"6750 does not allow; token_chars = \"visible\" in the profile's file takes it"}
	return e.withServer(s.TokenEndpoint)
}

// IsB64Token reports whether b is an access token by RFC 6750 §2.1: 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" /
// "/" ) *"=".
func IsB64Token(b []byte) bool {
	n := len(b)
	for n > 0 && b[n-1] == '=' {
		n--
	}
	for _, c := range b[:n] {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return n > 0
}
