package grant

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
)

// Endpoint is one authorization server as one profile uses it, with what is learned about it: the state of its clock.
// It is safe for concurrent use, and it does not hold back: how often to ask is the caller's business.
type Endpoint struct {
	server   Server
	client   *http.Client
	now      clock.Func
	clocks   *serverClocks
	requests atomic.Int64
}

// NewEndpoint returns an endpoint that sends nothing yet; client is one of [NewHTTPClient].
func NewEndpoint(server Server, client *http.Client, now clock.Func) *Endpoint {
	return &Endpoint{server: server, client: client, now: now, clocks: &serverClocks{}}
}

// With returns an endpoint for what server says, which a sign-in may know more of than e. The two share what is known of clocks.
func (e *Endpoint) With(server Server) *Endpoint {
	return &Endpoint{server: server, client: e.client, now: e.now, clocks: e.clocks}
}

// Server returns what the endpoint was made for.
func (e *Endpoint) Server() Server { return e.server }

// Requests counts the requests for tokens that left this machine.
func (e *Endpoint) Requests() int64 { return e.requests.Load() }

// Carries is how much of a credential a request carries. What a person agrees to for one is agreed to for what is less, and
// never for what is more.
type Carries int

const (
	// Anything: a secret, a password, a code, a refresh token, an assertion.
	Anything Carries = iota
	// AccessOnly: an access token, which ends.
	AccessOnly
	// SignInRequest: what a sign-in begins with, which holds no secret.
	SignInRequest
)

// agreed reports whether the person agreed that an origin receives as much.
func (s *Destinations) agreed(origin string, what Carries) bool {
	return slices.Contains(s.Origins, origin) || what == AccessOnly && slices.Contains(s.TokenOrigins, origin) ||
		what == SignInRequest && slices.Contains(s.PageOrigins, origin)
}

// home is the origin that everything sealed may go to: the token endpoint's, or the issuer's where there are only static keys.
func (s *Destinations) home() string {
	if s.TokenEndpoint != "" {
		return origin.Of(s.TokenEndpoint)
	}
	return origin.Of(s.Issuer)
}

// ForeignError says that a server, a document or a configuration names an endpoint on a host that the credential is not
// sealed for. Nothing was sent. It is an [ErrEndpointChanged].
type ForeignError struct {
	// Sealed is the host that the credential is sealed for, Named the origin that was named instead.
	Sealed, Named string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the credential is sealed for %s, and %s is another host", e.Sealed, hostOf(e.Named))
}

// Is makes it an ErrEndpointChanged.
func (e *ForeignError) Is(target error) bool { return target == ErrEndpointChanged }

// checkDestination is the one rule for every address that a server, a document, a preset or a configuration names: what carries
// anything of a credential goes to the origin that the credential is sealed for, to one that the person agreed to, or to one
// that groat's own preset names. The error wraps [ErrEndpointChanged].
func (e *Endpoint) checkDestination(to *Destinations, address string, what Carries) error {
	s := e.server
	switch {
	case to == nil:
		return fmt.Errorf("%w: nothing says for which", ErrEndpointChanged)
	case to.TokenEndpoint != s.TokenEndpoint:
		return fmt.Errorf("%w: its token endpoint is %s, not %s", ErrEndpointChanged, shown(to.TokenEndpoint), shown(s.TokenEndpoint))
	case to.Issuer != s.Issuer:
		return fmt.Errorf("%w: its issuer is %s, not %s", ErrEndpointChanged, shown(to.Issuer), shown(s.Issuer))
	case to.ClientAuth != "" && to.ClientAuth != string(s.ClientAuth):
		// An assertion never shows the secret; an edit must not turn it into something that does.
		return fmt.Errorf("%w: its client authentication is %s, not %s", ErrEndpointChanged, shown(to.ClientAuth), shown(string(s.ClientAuth)))
	}
	o := origin.Of(address)
	if o != "" && (o == to.home() || to.agreed(o, what) || slices.Contains(s.PresetOrigins, o)) {
		return nil
	}
	return &ForeignError{Sealed: shown(hostOf(to.home())), Named: shown(o)}
}

// send is the gate: the only way in which a request with anything of a credential leaves. to is where the credential, or the
// token, may go.
func (e *Endpoint) send(ctx context.Context, to *Destinations, c httpRequest) (Answer, clock.Instant, error) {
	if err := e.checkDestination(to, c.url, c.carries); err != nil {
		return Answer{}, clock.Instant{}, err
	}
	a, sent, received := exchange(ctx, e.client, e.now, c)
	e.dated(c.url, a.date(), received)
	return a, sent, nil
}
