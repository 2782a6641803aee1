package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

const (
	// startTime is how long groatd may take from its start until it listens, and how long a caller waits for its turn.
	startTime = 3 * time.Second
	// The pause between two looks at the socket grows between these.
	firstPause, lastPause = 2 * time.Millisecond, 50 * time.Millisecond
)

// Exit codes of groatd.
const (
	daemonRunsAlready = 73
	daemonRefuses     = 78
)

// start starts groatd, or waits for the one that another groat is starting, and connects to it.
//
// Whoever holds the lock beside the socket looks once more and only then starts one, so that any number of first
// calls start one process. The flock of groatd itself stays the last word on how many there are.
func (a *app) start(ctx context.Context, r route) (*protocol.Client, error) {
	a.hot, a.elsewhere = false, false // the plain socket may become this place's
	if c, err := a.reachHolder(ctx, r); c != nil || err != nil {
		return c, err
	}
	if a.getenv("GROAT_NO_AUTOSTART") != "" {
		return nil, errNoAutostart(r.shown())
	}
	if r.place != nil {
		if err := r.place.CheckHome(); err != nil {
			return nil, errHome(err)
		}
	}
	if a.unitServes(r) {
		return nil, errUnitInstalled()
	}
	program, err := findDaemon(a.getenv("PATH"))
	if err != nil {
		return nil, err
	}
	lock, err := openStartLock(r.startLock())
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	s := &starter{app: a, route: r, program: program}
	if c, err := s.awaitTurn(ctx, lock); c != nil || err != nil {
		return c, err
	}
	return s.awaitReady(ctx)
}

// unitServes reports whether systemd has a unit for the route. A unit serves the usual place: it is no way to another one, or
// to a socket somewhere else.
func (a *app) unitServes(r route) bool {
	return r.sockets.Explicit == "" && unitInstalled(a.getenv) && usual(*r.place)
}

// usual reports whether a place is the one of the user database. Users of a network are not in /etc/passwd; for them it is the
// one where HOME alone decides.
func usual(place frame.Place) bool {
	home := place.Home
	if u, ok := ownpath.LocalUser(os.Geteuid()); ok {
		home = u.Home
	}
	return place == frame.UsualPlace(home)
}

// shown is the socket that a sentence names: the one that a person knows.
func (r route) shown() string {
	switch {
	case r.sockets.Explicit != "":
		return r.sockets.Explicit
	case r.sockets.Alias, usual(*r.place):
		return r.sockets.Plain
	}
	return r.sockets.Own
}

// starter is one attempt to reach a groatd that is about to run.
type starter struct {
	app     *app
	route   route
	program string
	again   int       // how often one was started because another had ended
	found   time.Time // when groatd first found another one at work, or zero
}

// look dials once. Both results are nil while nobody listens.
func (s *starter) look(ctx context.Context) (*protocol.Client, error) {
	c, err := s.app.reach(ctx, s.route)
	s.app.elsewhere = false
	if c != nil || err != nil {
		return c, err
	}
	return s.app.reachHolder(ctx, s.route)
}

// awaitTurn returns nil and nil once the lock is ours and still nobody listens.
func (s *starter) awaitTurn(ctx context.Context, lock *os.File) (*protocol.Client, error) {
	for p := newPauses(); ; {
		mine, err := tryLock(lock)
		if err != nil {
			return nil, errSocketDir(filepath.Dir(lock.Name()), err)
		}
		c, err := s.look(ctx)
		if c != nil || err != nil || mine {
			return c, err
		}
		if _, ok := p.wait(ctx, nil); !ok {
			return nil, errNotReady(s.program)
		}
	}
}

// awaitReady starts groatd and waits until it listens, or another one does that it has found at work.
func (s *starter) awaitReady(ctx context.Context) (*protocol.Client, error) {
	exited, err := s.spawn()
	if err != nil {
		return nil, err
	}
	found := false // groatd has found another one, now
	for p := newPauses(); ; {
		c, err := s.look(ctx)
		if c != nil || err != nil {
			return c, err
		}
		if found {
			c, again, err := s.held(ctx)
			if c != nil || err != nil {
				return c, err
			}
			if again {
				found = false
				if exited, err = s.spawn(); err != nil {
					return nil, err
				}
			}
		}
		ended, ok := p.wait(ctx, exited)
		if !ok {
			if found {
				return nil, s.errSilent()
			}
			return nil, errNotReady(s.program)
		}
		if ended == nil {
			continue
		}
		exited = nil
		switch ended.ExitCode() {
		case daemonRunsAlready:
			if found = true; s.found.IsZero() {
				s.found = time.Now()
			}
		case daemonRefuses:
			return nil, errDaemonRefused(s.typed())
		default:
			return nil, errDaemonEnded(ended.String(), s.typed())
		}
	}
}

func (s *starter) spawn() (<-chan *os.ProcessState, error) {
	exited, err := spawn(s.program, nil, daemonEnv(os.Environ()))
	if err != nil {
		return nil, errSpawn(s.program, s.typed(), err)
	}
	return exited, nil
}

// typed is what to type to run the groatd that was started.
func (s *starter) typed() string {
	if first := onPath(s.app.getenv("PATH"), daemonName); first == s.program {
		return daemonName
	}
	return visible.Word(s.program)
}

// pauses spaces the looks at the socket until startTime is over.
type pauses struct {
	next     time.Duration
	deadline time.Time
}

func newPauses() *pauses {
	return &pauses{next: firstPause, deadline: time.Now().Add(startTime)}
}

// wait pauses, but not beyond an event on exited, which it returns. It reports false when the time is over.
func (p *pauses) wait(ctx context.Context, exited <-chan *os.ProcessState) (*os.ProcessState, bool) {
	if time.Now().After(p.deadline) {
		return nil, false
	}
	// A hundred callers that wait for one start should not come back in step.
	t := time.NewTimer(p.next/2 + rand.N(p.next))
	defer t.Stop()
	p.next = min(2*p.next, lastPause)
	select {
	case ended := <-exited:
		return ended, true
	case <-t.C:
		return nil, true
	case <-ctx.Done():
		return nil, false
	}
}
