// Package grant obtains tokens. It is the only package that sends requests to an authorization server.
//
// There is one file per grant (clientcredentials.go, authcode.go, device.go, …), clientauth.go for client
// authentication, and classify.go for what an answer means. A token request goes through requestToken
// (tokenrequest.go), send (endpoint.go) and exchange (exchange.go), and its answer through [Classify] and parseToken
// (response.go).
//
// The invariants: a request that carries a part of a credential goes only where the credential is sealed for
// ([Endpoint] checks this in one place), no redirect is followed, and the transport repeats no request; an answer is
// bounded in size and time; an error holds no body and no secret.
//
// The package does not decide when to renew, which is package broker's part, and does not store credentials, which is
// package keystore's.
package grant

import (
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// Request is what a caller may ask of a token beyond the profile's default. Empty members are not sent: an empty scope
// parameter is an error at some servers.
type Request struct {
	// Scope is sorted and without duplicates.
	Scope []string
	// Audience is sent as the "audience" parameter.
	Audience string
	// Narrow means that a caller named the scope, and not the profile: a token that may do more is refused.
	Narrow bool
	// Refused is a token that an API has refused, so that another one is wanted; empty where none was. It is not sent.
	Refused keystore.Secret

	resource string // the "resource" parameter (RFC 8707); [Server.Default] adds it
}

// Token is one access token. It is immutable.
type Token struct {
	Access keystore.Secret
	// Visible is set where Access is no b64token (RFC 6750 §2.1), but made of visible ASCII without quotes, backslash,
	// backtick and dollar sign.
	Visible bool
	// Type is "Bearer" in this spelling, whatever the server's was; empty for an API key.
	Type string
	// TypeAssumed is set where the answer lacked the token type that RFC 6749 §5.1 requires.
	TypeAssumed bool
	// Scope is the scope that the server granted, or the one that was asked for where the answer has none (RFC 6749
	// §5.1).
	Scope string
	// Wider are the words of Scope that were not asked for, where that is not refused.
	Wider []string
	// Sent is when the request was sent. The token's age is counted from here, not from the answer.
	Sent clock.Instant
	// Lifetime is how long after Sent the token may be used: the shortest of what the server said.
	Lifetime time.Duration
	// LifetimeAssumed is set where the server said nothing and Lifetime is a guess.
	LifetimeAssumed bool
	// Last is set for the token of a sign-in that gave no refresh token, and for an API key that has an end: only a
	// person brings another.
	Last bool
	// Hold is how long after the answer the server grants no further token, by its rate limit headers; 0 where it does
	// not say.
	Hold time.Duration
	// Refreshed is set where the token was obtained with a session's refresh token.
	Refreshed bool
	// SessionLeft is how long after Sent the session's refresh token may be used, or an API key that has an end; 0 where
	// the server does not say.
	SessionLeft time.Duration
	// Rotated is set where the refresh token was replaced.
	Rotated bool
	// SessionIdleEnds and SessionEnds are when the session ends without a renewal, and whatever is renewed, in Unix
	// seconds, as far as was known when the token came; 0 where it was not.
	SessionIdleEnds, SessionEnds int64
	// SessionWarning is set while a person is to be told that the session ends soon, and has not been.
	SessionWarning bool
	// Static is set for an API key, which does not expire: Lifetime only says when to read the key anew.
	Static bool
	// Kept is set for an access token that is itself the stored credential, since it does not end
	// ([Server.TokensLast]): Lifetime only says when to read it anew, and there is no other one.
	Kept bool
	// Shared is set for a token that another machine of a fleet has obtained, some time before it came here.
	Shared bool
	// Destinations says where the token may be sent: the endpoint that issued it, and what its credential is sealed
	// with. Nil means nowhere.
	Destinations *Destinations
	// ID is the ID token that came with it, or nil.
	ID *IDToken
}

// Remaining returns how long the token is still valid at an instant; not above zero once it has expired.
func (t Token) Remaining(now clock.Instant) time.Duration { return t.Lifetime - now.Sub(t.Sent) }

// EndsSession reports whether the token is all that there is of its sign-in, which gave no refresh token. A key that
// has an end is stored, and read again.
func (t Token) EndsSession() bool { return t.Last && !t.Static && t.SessionLeft == 0 }

// Session is the result of a sign-in: a first token, and the refresh token to obtain the next ones with. The caller
// owns both secrets.
type Session struct {
	Token Token
	// Refresh is the refresh token (RFC 6749 §1.5), or zero where the server gave none: then the session ends with the
	// token.
	Refresh keystore.Secret
}
