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

// AppCredentials is what SpatiaFi and Climate Engine call "App Credentials": a client that a signed-in person creates
// for a program. It is permanent: neither provider documents a way to list or delete one.
type AppCredentials struct {
	// FirstToken is how the password is turned into a temporary token.
	FirstToken FirstTokenMethod
	// FirstTokenEndpoint is where.
	FirstTokenEndpoint string
	// ClientsEndpoint takes the POST that creates a client; its trailing slash matters.
	ClientsEndpoint string
}

// FirstTokenMethod is how a user name and password are presented.
type FirstTokenMethod string

const (
	// BasicGET is a GET with HTTP Basic (SpatiaFi).
	BasicGET FirstTokenMethod = "basic_get"
	// PasswordGrant is RFC 6749 §4.3 by a public client (Climate Engine).
	PasswordGrant FirstTokenMethod = "password"
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
	// Sealed is where the token may be sent: the endpoint that issued it, and what its credential was sealed with. Nil is
	// nowhere.
	Sealed *Sealed
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

// Class is what an answer, or its absence, means for the credential.
type Class int

// The classes; [Classify] is the table that decides.
const (
	// OK: a usable token.
	OK Class = iota
	// Transient: the same request may succeed soon (5xx, 429, a network failure before anything was sent).
	Transient
	// TransientSlow: it may succeed later, but something stands between (a proxy, a WAF, TLS, a wrong path).
	TransientSlow
	// Malformed: an answer that is no token and no OAuth error; treated as Transient.
	Malformed
	// Ambiguous: the request was sent and no answer came, so the server may have acted on it.
	Ambiguous
	// InvalidClient: the server does not accept the client's credentials; confirmed once before it is believed.
	InvalidClient
	// Refused: a definitive refusal of the grant or of the person; only a new login helps.
	Refused
	// Misconfigured: this request will never succeed (a scope, a grant type, a redirect).
	Misconfigured
	// Pending: a person has not answered yet (RFC 8628 §3.5).
	Pending
)

var classNames = [...]string{
	"ok", "transient", "transient_slow", "malformed", "ambiguous", "invalid_client", "refused", "misconfigured", "pending",
}

func (c Class) String() string { return classNames[c] }

// Definitive reports whether repeating the same request is pointless until the person or the configuration changes.
func (c Class) Definitive() bool { return c == Refused || c == Misconfigured }
