package protocol

import (
	"errors"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// TokenParams asks for an access token. Exactly one of Profile and Target names whose; with neither, the only profile
// there is.
type TokenParams struct {
	Profile string `json:"profile,omitempty"`
	// Target is a URL; the profile that lists its origin as a resource answers.
	Target string `json:"target,omitempty"`
	// MinTTL is a promise asked for: seconds the token is still good for. Nil asks for none.
	MinTTL *int64 `json:"min_ttl,omitempty"`
	// Scope is a list separated by spaces (RFC 6749 §3.3); empty means the profile's default.
	Scope string `json:"scope,omitempty"`
	// Audience is one audience; empty means the profile's default.
	Audience string `json:"audience,omitempty"`
	// Wait is how many seconds to wait for a token; nil means [DefaultWait], 0 means not at all.
	Wait *int64 `json:"wait,omitempty"`
}

// RejectParams names an access token that an API refused.
type RejectParams struct {
	TokenParams
	AccessToken string `json:"access_token"`
}

// TokenResult answers "token" and "reject".
type TokenResult struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// ExpiresAt is Unix seconds by this machine's clock, computed anew for each reply.
	ExpiresAt int64 `json:"expires_at"`
	// ExpiresIn is the whole seconds left.
	ExpiresIn int64  `json:"expires_in"`
	Scope     string `json:"scope,omitempty"`
	Profile   string `json:"profile"`
	// Header is the ready-made request header field, e.g. "Authorization: Bearer …".
	Header string `json:"header"`
	// Static is set for an API key, which is no access token: it does not expire, and it leaves only as Header.
	Static bool `json:"static,omitempty"`
}

// wait is how long groatd may take to obtain a token.
func (p TokenParams) wait() time.Duration {
	if p.Wait == nil {
		return DefaultWait
	}
	return time.Duration(min(max(*p.Wait, 0), int64(MaxWait/time.Second))) * time.Second
}

// Field returns Header as the name and the value of a header field. The error says that it is none (RFC 9110 §5.1,
// §5.5), or that it does not end with the credential; it does not quote it.
func (t TokenResult) Field() (name, value string, err error) {
	if !frame.ValidHeader(t.Header, t.AccessToken) {
		return "", "", errors.New("groatd handed out something that is no header field")
	}
	name, value, _ = strings.Cut(t.Header, ": ")
	return name, value, nil
}
