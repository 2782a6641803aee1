package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/groat-dev/groat/cmd/groat/autostart"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

const (
	// answerTime is how long groatd may take for an answer that no authorization server has to give.
	answerTime = 10 * time.Second
	// providerTime is the same if groatd asks an authorization server or a keystore before it answers.
	providerTime = 60 * time.Second
	// connectTime bounds the way to a connection: to look for groatd, to start one, and to hear that it is this
	// place's.
	connectTime = 30 * time.Second
)

// findRoute returns the route that the environment leads to.
func findRoute() (*frame.Route, error) { return frame.FindRoute(os.Getenv) }

// connect returns a connection to the groatd of the route, which it starts if none runs and it may. [frame.Route.Reach]
// explains repeatable.
func (a *app) connect(ctx context.Context, r *frame.Route, repeatable bool) (*frame.Conn, error) {
	deadline := time.Now().Add(connectTime)
	c, err := r.Reach(deadline, repeatable)
	if c == nil && err == nil {
		c, err = autostart.Start(ctx, r, a.getenv, deadline)
	}
	return c, err
}

// tokenRequest asks for a token on a connection.
type tokenRequest func(*frame.Conn) (frame.Token, error)

// fetchToken has groatd answer a request for a token within limit, to which the start of a groatd may add its own time.
func (a *app) fetchToken(ctx context.Context, limit time.Duration, ask tokenRequest) (t frame.Token, err error) {
	err = a.retryClosed(ctx, func() error {
		t, err = a.fetchTokenOnce(ctx, limit, ask)
		return err
	})
	return t, err
}

func (a *app) fetchTokenOnce(ctx context.Context, limit time.Duration, ask tokenRequest) (frame.Token, error) {
	r, err := a.route()
	if err != nil {
		return frame.Token{}, errSocketPath(err)
	}
	for {
		c, err := a.connect(ctx, r, true)
		if err != nil {
			return frame.Token{}, err
		}
		deadline := time.Now().Add(limit)
		if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
			deadline = end
		}
		c.SetDeadline(deadline)
		t, err := ask(c)
		c.Close()
		if frame.OtherPlace(err) == nil || !r.PlainIsAnothers() {
			return t, namePlaces(r, frame.OtherPlace(err), err)
		}
	}
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
	return a.retryClosed(ctx, func() error { return a.withClient(ctx, limit, f) })
}

// retryClosed repeats what may be asked more than once. If groatd ended before it answered (it was killed, or needed
// the room), the one that runs then is asked: after a pause, for one that is ending may still take connections, and two
// times at most.
func (a *app) retryClosed(ctx context.Context, f func() error) error {
	err := f()
	for _, pause := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		if !errors.Is(err, frame.ErrClosed) {
			break
		}
		select {
		case <-time.After(pause):
			err = f()
		case <-ctx.Done():
		}
	}
	return err
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
	return namePlaces(r, otherPlace(err), err)
}

// openClient returns a connection for any number of requests, and the route that led to it.
func (a *app) openClient(ctx context.Context) (*protocol.Client, *frame.Route, error) {
	r, err := a.route()
	if err != nil {
		return nil, nil, errSocketPath(err)
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

// namePlaces names both places if a groatd refused because the caller's is another.
func namePlaces(r *frame.Route, theirs *frame.Place, err error) error {
	if theirs == nil || r.Place == nil {
		return err
	}
	return errOtherPlace(r.OwnSocket(), *theirs, *r.Place, err)
}
