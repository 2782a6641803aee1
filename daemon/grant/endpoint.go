package grant

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
)

// Endpoint is one authorization server as one profile uses it, with what was learned about the server's clock. It is
// safe for concurrent use. It does not limit how often it sends: that is the caller's part.
type Endpoint struct {
	server   *Server // may be another endpoint's too; never changed
	client   *http.Client
	now      clock.Func
	clocks   *serverClocks
	keys     *serverKeys
	requests atomic.Int64
}

// NewEndpoint returns an endpoint for a server. It sends nothing. The client is one of [NewHTTPClient].
func NewEndpoint(server Server, client *http.Client, now clock.Func) *Endpoint {
	return &Endpoint{server: &server, client: client, now: now, clocks: &serverClocks{}, keys: newServerKeys()}
}

// With returns an endpoint for another description of the same server, such as one that a sign-in has completed. It
// shares with e what is known about clocks, and the server's keys where it has the same issuer.
func (e *Endpoint) With(server Server) *Endpoint {
	keys := e.keys
	if server.Issuer != e.server.Issuer {
		keys = newServerKeys()
	}
	return &Endpoint{server: &server, client: e.client, now: e.now, clocks: e.clocks, keys: keys}
}

// Server returns the server that the endpoint was made for.
func (e *Endpoint) Server() Server { return *e.server }

// Share makes e, which nothing uses yet, share another endpoint's description of the server, and its keys, if they are
// equal: ten thousand profiles of one server are to have one.
func (e *Endpoint) Share(other *Endpoint) {
	if other != nil && reflect.DeepEqual(e.server, other.server) {
		e.server, e.keys = other.server, other.keys
	}
}

// Requests counts the requests for tokens that left this machine.
func (e *Endpoint) Requests() int64 { return e.requests.Load() }

// Carries says how much of a credential a request carries, from the most to the least. A person's agreement to one
// value covers those after it, never those before it.
type Carries int

const (
	// Anything: a secret, a password, a code, a refresh token, an assertion.
	Anything Carries = iota
	// AccessOnly: an access token, which expires.
	AccessOnly
	// SignInRequest: the first request of a sign-in, which holds no secret.
	SignInRequest
)

// agreed reports whether the person agreed that an origin receives requests that carry this much.
func (s *Destinations) agreed(origin string, what Carries) bool {
	return slices.Contains(s.Origins, origin) || what == AccessOnly && slices.Contains(s.TokenOrigins, origin) ||
		what == SignInRequest && slices.Contains(s.PageOrigins, origin)
}

// home returns the origin that everything may be sent to: the token endpoint's, or the issuer's where the server has
// static keys only.
func (s *Destinations) home() string {
	if s.TokenEndpoint != "" {
		return origin.Of(s.TokenEndpoint)
	}
	return origin.Of(s.Issuer)
}

// ForeignError means that a server, a document or a configuration names an endpoint on a host that the credential is
// not sealed for. Nothing was sent. errors.Is finds [ErrEndpointChanged].
type ForeignError struct {
	// Sealed is the host that the credential is sealed for; Named is the origin that was named instead.
	Sealed, Named string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the credential is sealed for %s, and %s is another host", e.Sealed, hostOf(e.Named))
}

// Is reports that a ForeignError is an [ErrEndpointChanged].
func (e *ForeignError) Is(target error) bool { return target == ErrEndpointChanged }

// checkDestination refuses to send a part of a credential to an address unless the address is on the origin that the
// credential is sealed for, on an origin that the person agreed to, or on one that groat's own preset names. This is
// the one rule for every address, whether a server, a document, a preset or a configuration names it. The error wraps
// [ErrEndpointChanged].
func (e *Endpoint) checkDestination(to *Destinations, address string, what Carries) error {
	s := e.server
	if err := s.checkSealed(to); err != nil {
		return err
	}
	o := origin.Of(address)
	if o != "" && (o == to.home() || to.agreed(o, what) || slices.Contains(s.PresetOrigins, o)) {
		return nil
	}
	return &ForeignError{Sealed: shown(hostOf(to.home())), Named: shown(o)}
}

// checkSealed refuses a server that is not the one a credential is sealed for, or to which the client would prove
// itself in another way than those that are sealed: by what reveals more of the credential, or by what is good at
// another server too.
func (s *Server) checkSealed(to *Destinations) error {
	switch {
	case to == nil:
		return fmt.Errorf("%w: nothing says for which", ErrEndpointChanged)
	case to.TokenEndpoint != s.TokenEndpoint:
		return fmt.Errorf("%w: its token endpoint is %s, not %s", ErrEndpointChanged, shown(to.TokenEndpoint),
			shown(s.TokenEndpoint))
	case to.Issuer != s.Issuer:
		return fmt.Errorf("%w: its issuer is %s, not %s", ErrEndpointChanged, shown(to.Issuer), shown(s.Issuer))
	case to.ClientAuth != "" && to.ClientAuth != string(s.ClientAuth):
		// An assertion does not reveal the secret; an edited configuration must not replace it by a method that does.
		return fmt.Errorf("%w: its client authentication is %s, not %s", ErrEndpointChanged, shown(to.ClientAuth),
			shown(string(s.ClientAuth)))
	}
	if sealed := s.sealedRefreshAuth(to.ClientAuth, to.RefreshAuth); to.ClientAuth != "" && sealed != s.refreshAuth() {
		return fmt.Errorf("%w: its client authentication for refreshing and revoking is %s, not %s", ErrEndpointChanged,
			shown(string(sealed)), shown(string(s.refreshAuth())))
	}
	if a := string(s.foreignAudience()); a != "" && a != to.AssertionAudience {
		return fmt.Errorf("%w: its assertions are not for the audience %s", ErrEndpointChanged, shown(a))
	}
	return nil
}

// sealedRefreshAuth returns how a client may authenticate for refreshing and revoking, by the two methods of its
// credential.
func (s *Server) sealedRefreshAuth(clientAuth, refreshAuth string) Method {
	return Method(cmp.Or(refreshAuth, string(s.PresetRefreshAuth), clientAuth))
}

// SealedMethods returns the methods by which the client of an item may authenticate at the server: to get tokens, and
// to refresh and revoke them.
func (s Server) SealedMethods(item keystore.Item) [2]Method {
	return [2]Method{Method(item.ClientAuth), s.sealedRefreshAuth(item.ClientAuth, item.RefreshAuth)}
}

// send is the gate: every request that carries a part of a credential leaves through it. to says where the credential
// may be sent, and ctx until when ([SendBy]). The instant is from before anything was sent. It records the Date of the
// answer for [Endpoint.noteAssertion].
func (e *Endpoint) send(ctx context.Context, to *Destinations, c httpRequest) (Answer, clock.Instant, error) {
	if err := e.checkDestination(to, c.url, c.carries); err != nil {
		return Answer{}, clock.Instant{}, err
	}
	c.limit = limitOf(ctx, e.now)
	if err := c.limit.check(); err != nil {
		return Answer{}, clock.Instant{}, err
	}
	a, sent, received := exchange(ctx, e.client, e.now, c)
	if c.limit.late() {
		return Answer{}, clock.Instant{}, ErrLate
	}
	e.dated(c.url, a.date(), received)
	return a, sent, nil
}
