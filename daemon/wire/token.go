package wire

import (
	"strconv"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/jsonrpc"
	"github.com/groat-dev/groat/protocol/strictjson"
)

// Bounds of what a caller may ask of a token, in bytes.
const (
	maxScope    = 2 << 10
	maxAudience = 1 << 10
	maxTarget   = 4 << 10
	maxUsername = 512
)

// TokenRequest is the parameters of "token" or "reject", checked.
type TokenRequest struct {
	// Query is what to ask the broker. Its Profile is the name in the request: empty where Target chooses or the
	// request means the only profile.
	broker.Query
	// Wait is how long the caller waits for the token.
	Wait time.Duration
	// Target is where the token is to be sent; zero where the request does not say.
	Target origin.Target
	// Username is the user name that the request has beside Target; it may be empty.
	Username string
}

// ParseToken returns the parameters of "token". The error is a [*protocol.Error]: invalid params.
func ParseToken(params []byte) (TokenRequest, error) {
	var p protocol.TokenParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return TokenRequest{}, err
	}
	return checkToken(&p)
}

// ParseReject returns the parameters of "reject", the refused token, of the kind that is asked for, in Query.Refused.
// The error is as in [ParseToken].
func ParseReject(params []byte) (TokenRequest, error) {
	var p protocol.RejectParams
	if err := jsonrpc.DecodeParams(params, &p); err != nil {
		return TokenRequest{}, err
	}
	member, refused, other := "access_token", p.AccessToken, p.IDToken
	if p.TokenUse == protocol.UseID {
		member, refused, other = "id_token", p.IDToken, p.AccessToken
	}
	if refused == "" || other != "" || !printable(refused, 0) {
		return TokenRequest{}, protocol.InvalidParams("%s must be the token that an API refused", member)
	}
	r, err := checkToken(&p.TokenParams)
	r.Refused = keystore.SecretString(refused)
	return r, err
}

func checkToken(p *protocol.TokenParams) (TokenRequest, error) {
	r := TokenRequest{
		Query: broker.Query{Profile: p.Profile, Scope: p.Scope, Audience: p.Audience, MinTTL: broker.Unset},
		Wait:  protocol.DefaultWait,
	}
	if p.MinTTL != nil {
		if *p.MinTTL < 0 || *p.MinTTL > int64(protocol.MaxMinTTL/time.Second) {
			return r, protocol.InvalidParams("min_ttl must be from 0 to %d seconds",
				int64(protocol.MaxMinTTL/time.Second))
		}
		r.MinTTL = time.Duration(*p.MinTTL) * time.Second
	}
	if p.Wait != nil {
		if *p.Wait < 0 || *p.Wait > int64(protocol.MaxWait/time.Second) {
			return r, protocol.InvalidParams("wait must be from 0 to %d seconds", int64(protocol.MaxWait/time.Second))
		}
		r.Wait = time.Duration(*p.Wait) * time.Second
	}
	switch p.TokenUse {
	case "", protocol.UseAccess:
	case protocol.UseID:
		r.ID = true
	default:
		return r, protocol.InvalidParams("token_use must be access or id")
	}
	if err := CheckScope(p.Scope, p.Audience); err != nil {
		return r, err
	}
	switch {
	case len(p.Target) > maxTarget:
		return r, protocol.InvalidParams("target must be a URL of 4096 bytes at most")
	case p.Username != "" && p.Target == "":
		return r, protocol.InvalidParams("username goes with a target")
	case len(p.Username) > maxUsername:
		return r, protocol.InvalidParams("username must be of %d bytes at most", maxUsername)
	}
	if p.Profile != "" {
		if err := CheckName(p.Profile); err != nil {
			return r, err
		}
	}
	if p.Target != "" {
		to, err := origin.ParseTarget(p.Target)
		if err != nil {
			return r, protocol.InvalidParams("target: %s", err)
		}
		r.Target, r.Username = to, p.Username
	}
	return r, nil
}

// CheckScope returns nil for what may be a token's scope and audience. The error is as in [ParseToken].
func CheckScope(scope, audience string) error {
	switch {
	case len(scope) > maxScope || !printable(scope, ' '):
		return protocol.InvalidParams("scope must be words of printable ASCII, 2048 bytes at most (RFC 6749 §3.3)")
	case len(audience) > maxAudience || !printable(audience, 0):
		return protocol.InvalidParams("audience must be printable ASCII without spaces, 1024 bytes at most")
	}
	return nil
}

// CheckName returns nil for what may be a profile's name, which an empty one may not. The error is as in [ParseToken].
func CheckName(name string) error {
	if !config.ValidName(name) {
		return protocol.InvalidParams("a profile's name is made of a-z, 0-9, '.', '_' and '-', 64 at most")
	}
	return nil
}

// printable reports whether s is made of RFC 6749's NQCHAR (visible ASCII but '"' and '\') and one more byte.
func printable(s string, also byte) bool {
	for i := range len(s) {
		if c := s[i]; c != also && (c <= ' ' || c >= 0x7f || c == '"' || c == '\\') {
			return false
		}
	}
	return true
}

// Asked is what a request for a token was about.
type Asked struct {
	// API is the resource that the token was asked for, in the long form of package origin, or empty.
	API string
	// UnknownUser: the user name of the request is nobody's that the profile is known to be.
	UnknownUser bool
}

// AppendToken appends the reply that hands out a token of a profile. It is written by hand, so that no encoder keeps a
// copy of the token and nothing is allocated. The reply is an error of the kind temporary where the token has expired
// since it was found: the machine may have slept, or the peer may not have read an earlier answer. The header is the
// one of the endpoint that issued the token, even if the profile has another endpoint by now.
func AppendToken(out, id []byte, t grant.Token, profile string, asked Asked, now clock.Instant) []byte {
	left := t.Remaining(now)
	if left <= 0 && !t.Static {
		return appendExpired(out, id, profile)
	}
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	out = append(out, id...)
	out = append(out, `,"result":{"access_token":`...)
	if t.Static {
		out = strictjson.AppendString(out, t.Access.Reveal())
		out = append(out, `,"token_type":"","static":true`...)
	} else {
		out = append(out, '"')
		out = t.Access.AppendTo(out) // nothing to escape, see grant.IsVisibleToken
		out = append(out, `","token_type":`...)
		out = strictjson.AppendString(out, t.Type)
		out = append(out, `,"expires_at":`...)
		out = strconv.AppendInt(out, now.Wall.Add(left).Unix(), 10)
		out = append(out, `,"expires_in":`...)
		out = strconv.AppendInt(out, int64(left/time.Second), 10)
	}
	if t.Visible {
		out = append(out, `,"token_chars":"visible"`...)
	}
	if t.Scope != "" {
		out = append(out, `,"scope":`...)
		out = strictjson.AppendString(out, t.Scope)
	}
	out = appendTime(out, `,"session_idle_ends_at":`, t.SessionIdleEnds)
	out = appendTime(out, `,"session_ends_at":`, t.SessionEnds)
	if t.SessionWarning {
		out = append(out, `,"session_warning":true`...)
	}
	out = append(out, `,"profile":`...)
	out = strictjson.AppendString(out, profile)
	if asked.API != "" {
		out = append(out, `,"api":`...)
		out = strictjson.AppendString(out, origin.WithoutPort(asked.API))
	}
	if asked.UnknownUser {
		out = append(out, `,"username_unknown":true`...)
	}
	out = append(out, `,"header":`...)
	if !t.Static && (t.Destinations == nil || t.Destinations.Header == nil) {
		out = append(out, `"Authorization: Bearer `...)
		out = t.Access.AppendTo(out)
		out = append(out, '"')
	} else {
		name, value := t.Header()
		out = strictjson.AppendString(out, name+": "+value)
	}
	return append(out, "}}\n"...)
}

// appendExpired appends the error for a token that was found and has expired since.
func appendExpired(out, id []byte, profile string) []byte {
	e := protocol.NewError(protocol.Temporary, "the token expired before it could be handed out",
		"groat status "+profile)
	e.Data.RetryAfter = 1
	return jsonrpc.AppendError(out, id, e)
}

// AppendIDToken is [AppendToken] for an ID token, which the caller has verified. The members for an access token are
// missing, so that a client that mixes the two up has nothing in its hands.
func AppendIDToken(out, id []byte, i *grant.IDToken, profile string, now clock.Instant) []byte {
	left := i.Remaining(now)
	if left <= 0 {
		return appendExpired(out, id, profile)
	}
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	out = append(out, id...)
	out = append(out, `,"result":{"id_token":"`...)
	out = i.Text.AppendTo(out) // nothing to escape: it is a b64token
	out = append(out, `","token_use":"id","expires_at":`...)
	out = strconv.AppendInt(out, now.Wall.Add(left).Unix(), 10)
	out = append(out, `,"expires_in":`...)
	out = strconv.AppendInt(out, int64(left/time.Second), 10)
	out = append(out, `,"profile":`...)
	out = strictjson.AppendString(out, profile)
	out = append(out, `,"header":"Authorization: Bearer `...)
	out = i.Text.AppendTo(out)
	return append(out, "\"}}\n"...)
}

// appendTime appends a member that is a time, where it is known.
func appendTime(out []byte, member string, unix int64) []byte {
	if unix == 0 {
		return out
	}
	return strconv.AppendInt(append(out, member...), unix, 10)
}
