package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

const (
	// answerTime is how long groatd may take for an answer that no authorization server has to give.
	answerTime = get.AnswerTime
	// providerTime is the same if groatd asks an authorization server or a keystore before it answers.
	providerTime = 60 * time.Second
)

// findRoute returns the route that the environment leads to.
func findRoute() (*frame.Route, error) { return frame.FindRoute(os.Getenv) }

// connect returns a connection to the groatd of the route, which it starts if none runs and it may. [frame.Route.Reach]
// explains repeatable.
func (a *app) connect(ctx context.Context, r *frame.Route, repeatable bool) (*frame.Conn, error) {
	deadline := time.Now().Add(get.ConnectTime)
	c, err := r.Reach(deadline, repeatable)
	if c == nil && err == nil {
		c, err = autostart.Start(ctx, r, a.getenv, deadline)
	}
	return c, err
}

// caller makes requests for tokens. The start of a groatd ends with ctx.
func (a *app) caller(ctx context.Context) get.Caller {
	return get.Caller{Route: a.route, Connect: func(r *frame.Route, repeatable bool) (*frame.Conn, error) {
		return a.connect(ctx, r, repeatable)
	}}
}

// call makes one request on a connection of its own within limit, to which the start of a groatd may add its own time.
func (a *app) call(ctx context.Context, limit time.Duration, method string, params, result any) error {
	f := func(ctx context.Context, c *protocol.Client) error { return c.Call(ctx, method, params, result) }
	if method == protocol.MethodLogout { // the second would find nothing to forget
		return a.withClient(ctx, limit, f)
	}
	return a.withClientRetried(ctx, limit, f)
}

// withClientRetried is withClient for what may be asked twice.
func (a *app) withClientRetried(ctx context.Context, limit time.Duration,
	f func(context.Context, *protocol.Client) error) error {
	return get.RetryClosed(time.Time{}, func() error { return a.withClient(ctx, limit, f) })
}

// withClient connects and runs f, whose context ends after limit.
func (a *app) withClient(ctx context.Context, limit time.Duration,
	f func(context.Context, *protocol.Client) error) error {
	c, r, err := a.openClient(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = f(bounded, c)
	return get.NamePlaces(r, otherPlace(err), err)
}

// openClient returns a connection for any number of requests, and the route that led to it.
func (a *app) openClient(ctx context.Context) (*protocol.Client, *frame.Route, error) {
	r, err := a.route()
	if err != nil {
		return nil, nil, report.NoRoute(err)
	}
	conn, err := a.connect(ctx, r, false)
	if err != nil {
		return nil, nil, err
	}
	c, err := protocol.FromConn(conn)
	return c, r, err
}

// otherPlace returns the place of the groatd that refused a request because the caller's is another, or nil.
func otherPlace(err error) *frame.Place {
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Data != nil {
		return e.Data.Place
	}
	return nil
}
