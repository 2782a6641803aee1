// Package grant obtains tokens: it is the only place that speaks to an authorization server.
//
// One file per grant, one for client authentication, one ([Classify]) that decides what an answer means. The invariants:
// a request with anything of a credential goes where the credential is sealed for ([Endpoint.send]) and nowhere else (no redirect
// is followed, no request is repeated by the transport); an answer is bounded in size and time; an error never carries a body or a secret.
// What is not here: when to renew, which is the broker's, and where credentials are kept, which is the keystore's.
package grant

import (
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// Request is what a caller may ask of a token beyond the profile's default.
// Empty members are not sent (an empty scope parameter is an error at some servers).
type Request struct {
	// Scope is sorted and without duplicates.
	Scope []string
	// Audience is sent as the "audience" parameter.
	Audience string
}

// Token is one access token. It is immutable.
type Token struct {
	Access keystore.Secret
	// Type is "Bearer", in this case whatever the server wrote; empty for an API key.
	Type string
	// TypeAssumed is set where the server did not say the type, against RFC 6749 §5.1.
	TypeAssumed bool
	// Scope is what the server granted; what was asked where it does not say (RFC 6749 §5.1).
	Scope string
	// Sent is when the request left: age is counted from here, not from the answer.
	Sent clock.Instant
	// Lifetime is how long after Sent the token may be used: the shortest of what the server said.
	Lifetime time.Duration
	// LifetimeAssumed is set where the server said nothing and Lifetime is a guess.
	LifetimeAssumed bool
	// Hold is how long from the answer on the server grants no further token, by its own count; 0 where it does not say so.
	Hold time.Duration
	// Static is set for an API key, which does not expire: Lifetime says only when to read it anew.
	Static bool
	// Destinations is where the token may be sent: the endpoint that issued it, and what its credential was sealed with. Nil is
	// nowhere.
	Destinations *Destinations
}

// Remaining returns how long the token is still good at now.
func (t Token) Remaining(now clock.Instant) time.Duration { return t.Lifetime - now.Sub(t.Sent) }

// Session is what a sign-in brings: a first token, and what the next ones can be had with.
type Session struct {
	Token Token
	// Refresh is the refresh token (RFC 6749 §1.5); zero where the server gave none, and then the session ends with the token.
	Refresh keystore.Secret

	idToken keystore.Secret // read, checked and forgotten by whoever asked for it
}
