package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol"
)

const (
	// answerTime is how long groatd may take for an answer that no authorization server has to give.
	answerTime = 10 * time.Second
	// providerTime is the same where groatd asks an authorization server or a keystore before it answers.
	providerTime = 60 * time.Second
)

// connect returns a connection to groatd, which it starts where none runs and it may.
func (a *app) connect(ctx context.Context) (*protocol.Client, error) {
	r, err := a.route()
	if err != nil {
		return nil, errSocketPath(err)
	}
	c, err := a.reach(ctx, r)
	if c != nil || err != nil {
		return c, err
	}
	return a.start(ctx, r)
}

// nobodyListens reports whether a dial failed because there is no daemon, and not because it is stuck or not ours.
func nobodyListens(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// call makes one request on a connection of its own within limit, to which the start of a daemon may add its own.
func (a *app) call(ctx context.Context, limit time.Duration, method string, params, result any) error {
	f := func(ctx context.Context, c *protocol.Client) error { return c.Call(ctx, method, params, result) }
	a.hot = method == protocol.MethodToken
	defer func() { a.hot = false }()
	if method == protocol.MethodLogout { // the second would find nothing to forget
		return a.talk(ctx, limit, f)
	}
	return a.ask(ctx, limit, f)
}

// ask is talk for what may be asked twice. Where groatd ended before it answered (it was killed, or needed the room), the one
// that runs then is asked: after a pause, for one that is dying may still take connections, and twice at most.
func (a *app) ask(ctx context.Context, limit time.Duration, f func(context.Context, *protocol.Client) error) error {
	err := a.talk(ctx, limit, f)
	for _, pause := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		if !errors.Is(err, protocol.ErrClosed) {
			break
		}
		select {
		case <-time.After(pause):
			err = a.talk(ctx, limit, f)
		case <-ctx.Done():
		}
	}
	return err
}

// talk connects and runs f, whose context ends after limit.
func (a *app) talk(ctx context.Context, limit time.Duration, f func(context.Context, *protocol.Client) error) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = f(bounded, c)
	if a.hot && !a.elsewhere && otherPlace(err) != nil {
		a.elsewhere = true // whoever listens at the plain socket is another place's
		return a.talk(ctx, limit, f)
	}
	return a.namePlaces(err)
}

// namePlaces names both places where a groatd refused because the caller's is another.
func (a *app) namePlaces(err error) error {
	theirs := otherPlace(err)
	if theirs == nil {
		return err
	}
	r, err2 := a.route()
	if err2 != nil || r.place == nil {
		return err
	}
	return errOtherPlace(r.own(), *theirs, *r.place, err)
}
