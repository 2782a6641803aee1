package protocol

import (
	"errors"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// UseID is the [TokenParams.TokenUse] that asks for an ID token, and UseAccess the one for an access token.
const (
	UseAccess = frame.UseAccess
	UseID     = frame.UseID
)

// ErrUse means that groatd answered with another kind of token than was asked for, as one does that knows access tokens
// only.
var ErrUse = frame.ErrUse

// TokenParams says which token is asked for. Profile or Target says whose; with neither, it is the only profile
// there is.
type TokenParams struct {
	Profile string `json:"profile,omitempty"`
	// Target is the URL of the request that the token is for: https, or http on this machine. Profile, or else the one
	// profile that lists it as a resource, answers, if it lists it and its credential is sealed for it. A query is not
	// looked at and need not be there.
	Target string `json:"target,omitempty"`
	// Username is the user name that comes with Target, as in a URL that git has: the name of one of the profiles that
	// list Target, or the person or the client that one is signed in as. One that no profile has decides nothing.
	Username string `json:"username,omitempty"`
	// MinTTL is a promise that is asked for: how many seconds the token is good for, [MaxMinTTL] at most. If it cannot
	// be kept the answer is an error. Nil asks for none; new(int64(60)) is one minute.
	MinTTL *int64 `json:"min_ttl,omitempty"`
	// Scope is words separated by spaces (RFC 6749 §3.3); empty means the profile's.
	Scope string `json:"scope,omitempty"`
	// Audience is one audience; empty means the profile's.
	Audience string `json:"audience,omitempty"`
	// Wait is how many seconds groatd may take to obtain a token, [MaxWait] at most; nil means [DefaultWait].
	Wait *int64 `json:"wait,omitempty"`
	// TokenUse is [UseID] for the ID token that came with the access token (OpenID Connect Core §2): it says to the
	// program that it was issued to who signed in, and is no access token. Empty means [UseAccess].
	TokenUse string `json:"token_use,omitempty"`
}

// RejectParams names a token that an API refused: an access token, or an ID token where TokenUse is [UseID].
type RejectParams struct {
	TokenParams
	AccessToken string `json:"access_token,omitempty"`
	IDToken     string `json:"id_token,omitempty"`
}

// TokenResult is an access token, an API key or an ID token, which is a secret of the caller's: it should not be logged
// or kept.
type TokenResult struct {
	// AccessToken is empty where an ID token was asked for. It needs no quoting in a header, a shell or a file (RFC
	// 6750 §2.1), unless Static or TokenChars is set.
	AccessToken string `json:"access_token"`
	// TokenType is the scheme of the header, "Bearer".
	TokenType string `json:"token_type"`
	// ExpiresAt is Unix seconds by this machine's clock, and ExpiresIn the whole seconds left when groatd answered.
	ExpiresAt int64 `json:"expires_at"`
	ExpiresIn int64 `json:"expires_in"`
	// Scope is what the token may do, if the authorization server said.
	Scope   string `json:"scope,omitempty"`
	Profile string `json:"profile"`
	// API is the resource that the target of the request is under: the token may be sent to all that is under it.
	// Empty where the request had no target.
	API string `json:"api,omitempty"`
	// UsernameUnknown is set where the request named the account by a user name alone, and it is neither the profile's
	// name nor the person or the client of its credential.
	UsernameUnknown bool `json:"username_unknown,omitempty"`
	// Header is the whole header field to send: "Authorization: Bearer …", or what the provider's own scheme is.
	// [TokenResult.Field] takes it apart.
	Header string `json:"header"`
	// SessionIdleEndsAt and SessionEndsAt are as in [ProfileStatus], as far as was known when the token came.
	SessionIdleEndsAt int64 `json:"session_idle_ends_at,omitempty"`
	SessionEndsAt     int64 `json:"session_ends_at,omitempty"`
	// SessionWarning is set while a person is to be told that the session ends soon: see [WarningsResult].
	SessionWarning bool `json:"session_warning,omitempty"`
	// Static is set for an API key, which is no access token: it has no type and does not expire, may hold any
	// printable ASCII, and is to be sent as Header only.
	Static bool `json:"static,omitempty"`
	// TokenChars is "visible" where the token has other characters than RFC 6750 §2.1 allows, since the profile takes
	// them: visible ASCII without quotes, backslash, backtick and dollar sign. It is to be sent as Header only.
	TokenChars string `json:"token_chars,omitempty"`
	// IDToken is there only where it was asked for, and TokenUse is [UseID] then. Its issuer, audience, subject and
	// signature were checked. It needs no quoting. TokenType, Scope and the ends of the session are empty.
	IDToken  string `json:"id_token,omitempty"`
	TokenUse string `json:"token_use,omitempty"`
}

// credential is what Header carries.
func (t TokenResult) credential() string {
	if t.TokenUse == UseID {
		return t.IDToken
	}
	return t.AccessToken
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
	if !frame.ValidHeader(t.Header, t.credential()) {
		return "", "", errors.New("groatd handed out something that is no header field")
	}
	name, value, _ = strings.Cut(t.Header, ": ")
	return name, value, nil
}
