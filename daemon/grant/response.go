package grant

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/strictjson"
)

const maxToken = 16 << 10

// parseToken reads a successful answer (RFC 6749 §5.1). asked is the scope that was asked for; wider permits more. The
// error is an [*Error].
func parseToken(a Answer, sent clock.Instant, asked []string, wider bool) (Token, error) {
	body, flaw := a.object()
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	access, flaw := accessToken(body["access_token"])
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	if kind, ok := body.text("token_type"); !missing(body["token_type"]) &&
		(!ok || !strings.EqualFold(kind, "bearer")) {
		return Token{}, malformed(a, "holds a token of another type than Bearer")
	}
	life, assumed, flaw := lifetime(body, access.Reveal(), sent.Wall, a.date())
	if flaw != "" {
		return Token{}, malformed(a, flaw)
	}
	scope, ok := body.text("scope")
	if !ok {
		scope = strings.Join(asked, " ")
	}
	if !wider && exceeds(scope, asked) {
		return Token{}, &Error{Class: Misconfigured, Status: a.Status,
			Reason: "granted a wider scope than was asked for"}
	}
	return Token{
		Access: access, Type: "Bearer", TypeAssumed: missing(body["token_type"]), Scope: sanitize(scope, nil, maxScope),
		Sent: sent, Lifetime: life, LifetimeAssumed: assumed, Hold: quotaWait(a),
	}, nil
}

const maxScope = 4 << 10

func missing(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// accessToken accepts only RFC 6750's b64token, so that no output format has to quote a token.
func accessToken(raw json.RawMessage) (token keystore.Secret, flaw string) {
	b, err := strictjson.AppendUnquoted(make([]byte, 0, len(raw)), raw)
	switch {
	case err != nil || len(b) == 0:
		return keystore.Secret{}, "holds no access token"
	case len(b) > maxToken:
		return keystore.Secret{}, "holds an access token that is too long"
	case !IsB64Token(b):
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

// exceeds reports whether a scope was granted that was not asked for. Where none was asked for, the server's default is
// wanted.
func exceeds(granted string, asked []string) bool {
	if len(asked) == 0 {
		return false
	}
	return slices.ContainsFunc(strings.Fields(granted), func(s string) bool { return !slices.Contains(asked, s) })
}
