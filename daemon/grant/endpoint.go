package grant

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// Endpoint is one authorization server as one profile uses it, with what is learned about it: the state of its clock.
// It is safe for concurrent use, and it does not hold back: how often to ask is the caller's business.
type Endpoint struct {
	server   Server
	client   *http.Client
	now      clock.Func
	clock    atomic.Pointer[serverTime]
	requests atomic.Int64
}

// NewEndpoint returns an endpoint that sends nothing yet; client is one of [NewHTTPClient].
func NewEndpoint(server Server, client *http.Client, now clock.Func) *Endpoint {
	return &Endpoint{server: server, client: client, now: now}
}

// Server returns what the endpoint was made for.
func (e *Endpoint) Server() Server { return e.server }

// Requests counts the requests for tokens that left this machine.
func (e *Endpoint) Requests() int64 { return e.requests.Load() }

func shown(s string) string {
	if s == "" {
		return "none"
	}
	return clean(s, nil, maxDescription)
}

func (e *Error) at(url string) *Error {
	e.Where = host(url)
	return e
}

// exchange sends c and learns the server's time from the answer. Only [Endpoint.send] calls it.
func (e *Endpoint) exchange(ctx context.Context, c call) (Answer, clock.Instant) {
	a, sent, received := exchange(ctx, e.client, e.now, c)
	if date := a.date(); !date.IsZero() {
		e.clock.Store(&serverTime{date, received})
	}
	return a, sent
}

// serverTime is a server's clock, read once. It is carried forward by boot time, so that it stays right when somebody
// sets this machine's clock.
type serverTime struct {
	date time.Time
	at   clock.Instant
}

// time returns the server's time: by its last Date, which is late by at most the time of an exchange, and by this machine's
// clock before there was one.
func (e *Endpoint) time(now clock.Instant) time.Time {
	if s := e.clock.Load(); s != nil {
		return s.date.Add(now.Sub(s.at))
	}
	return now.Wall
}

// usedTime is what was taken for the server's time at an instant.
type usedTime struct {
	at     clock.Instant
	server time.Time
}

// wrongClock is by how much a clock must have been wrong to explain that an assertion was refused; servers allow for less.
const wrongClock = 30 * time.Second

// clockMoved reports whether the server's time turned out to be another than an assertion said.
func (e *Endpoint) clockMoved(used usedTime) bool {
	return e.time(used.at).Sub(used.server).Abs() > wrongClock
}

// aboutTheAssertion reports whether a refusal may have to do with the assertion's times. RFC 7523 §3.2 says
// invalid_client; libraries made for assertions as grants say invalid_grant.
func aboutTheAssertion(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Class == InvalidClient || e.Code == "invalid_grant")
}
