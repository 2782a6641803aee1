package grant

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/protocol/visible"
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

func shown(s string) string {
	if s == "" {
		return "none"
	}
	return visible.Name(clean(s, nil, maxDescription))
}

// quoted is for what a server or a redirect said: always in quotation marks.
func quoted(s string) string {
	if s == "" {
		return "none"
	}
	return visible.Quote(clean(s, nil, maxDescription))
}

func (e *Error) at(url string) *Error {
	e.Where = host(url)
	return e
}

// exchange sends c and takes in what the answer says of the server's clock. Only [Endpoint.send] calls it.
func (e *Endpoint) exchange(ctx context.Context, c call) (Answer, clock.Instant) {
	a, sent, received := exchange(ctx, e.client, e.now, c)
	e.dated(c.url, a.date(), received)
	return a, sent
}
