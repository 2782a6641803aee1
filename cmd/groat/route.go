package main

import (
	"context"
	"errors"
	"os"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// route is where the groatd of this place is looked for.
type route struct {
	// place is nil where the environment does not lead to one, and a socket is named.
	place   *frame.Place
	sockets frame.Sockets
}

// findRoute returns the route that the environment gives.
func findRoute() (route, error) {
	place, err := frame.PlaceOf(os.Getenv, "")
	if err != nil {
		if socket := os.Getenv("GROAT_SOCKET"); socket == "" {
			return route{}, err
		}
	}
	r := route{}
	if err == nil {
		r.place = &place
	}
	r.sockets, err = frame.SocketsOf(os.Getenv, place)
	return r, err
}

// own is the socket that a groatd of this place listens at, as far as it can be said without the user database.
func (r route) own() string {
	if r.sockets.Explicit != "" {
		return r.sockets.Explicit
	}
	return r.sockets.Own
}

// reach connects to the groatd of this place. Both results are nil where none listens.
func (a *app) reach(ctx context.Context, r route) (*protocol.Client, error) {
	if r.sockets.Explicit != "" {
		return a.try(ctx, r, r.sockets.Explicit)
	}
	// Most have the usual place: a look costs them a tenth of a connection that fails.
	if _, err := os.Lstat(r.sockets.Own); err == nil {
		if c, err := a.try(ctx, r, r.sockets.Own); c != nil || err != nil {
			return c, err
		}
	}
	if a.elsewhere {
		return nil, nil
	}
	// The usual place's, or an alias of another place's.
	c, err := a.try(ctx, r, r.sockets.Plain)
	if c == nil || err != nil || a.hot {
		return c, err
	}
	// A secret is sent once: to whom, is asked before.
	asking, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := c.Call(asking, protocol.MethodHello, nil, nil); err != nil {
		c.Close()
		if otherPlace(err) != nil {
			a.elsewhere = true
			return nil, nil
		}
		return nil, err
	}
	return c, nil
}

// try connects to a socket. Both results are nil where no process listens.
func (a *app) try(ctx context.Context, r route, socket string) (*protocol.Client, error) {
	c, err := a.dial(ctx, socket)
	switch {
	case err == nil:
		if r.place != nil {
			c.At(*r.place)
		}
		return c, nil
	case nobodyListens(err):
		return nil, nil
	}
	return nil, errDial(socket, err)
}

// otherPlace returns the place of the daemon that refused a request because the caller's is another, or nil.
func otherPlace(err error) *frame.Place {
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Data != nil {
		return e.Data.Place
	}
	return nil
}
