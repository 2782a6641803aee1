// Package autostart starts groatd for a caller that finds none, and waits until it listens.
//
// However many callers come at once, one groatd is started: they take a lock beside the socket in turn, and look once
// more before they start one. The lock of groatd itself has the last word on how many there are. The invariants:
// nothing is started where a service manager does that, or for a home of another user; groatd gets none of the caller's
// descriptors, and of its environment only what [daemonVars] lists. What is not here: sentences for people, and what is
// asked on the connection.
package autostart

import (
	"context"
	"math/rand/v2"
	"os"
	"time"

	"github.com/groat-dev/groat/cmd/groat/unit"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

const (
	// startTime is how long groatd may take from its start until it listens, and how long a caller waits for the lock.
	// A quiet machine needs some milliseconds; one on which a thousand callers begin at once, seconds.
	startTime = 10 * time.Second
	// The pause between two looks at the socket grows between these, and is lockPause for a caller that the lock's end
	// wakes.
	firstPause, lastPause = 2 * time.Millisecond, 50 * time.Millisecond
	lockPause             = 250 * time.Millisecond
)

// Exit codes of groatd.
const (
	daemonRunsAlready = 73
	daemonRefuses     = 78
)

// Start connects to the groatd of a route after it has started one, or has waited for the one that another caller
// starts, and has found it to be this place's. getenv is the caller's environment; deadline is the connection's, and
// may not end sooner than the start takes, which is 20 s at most. The error is an [*Error], or one of
// [frame.Route.Reach].
func Start(ctx context.Context, r *frame.Route, getenv func(string) string, deadline time.Time) (*frame.Conn, error) {
	s := &starter{route: r, getenv: getenv, deadline: deadline, limit: startTime}
	return s.start(ctx)
}

// The ways in which a groatd takes over from the one that runs: it takes its place, or hands over to the next one of a
// service.
const (
	Replacing = "--replace"
	Carrying  = "--carry"
)

// TakeOver starts a groatd that takes over from the one that runs. The channel delivers how it has ended, if it does.
// The error is an [*Error].
func TakeOver(r *frame.Route, getenv func(string) string, how string) (<-chan *os.ProcessState, error) {
	s := &starter{route: r, getenv: getenv}
	if s.program = FindDaemon(getenv("PATH")); s.program == "" {
		return nil, s.fail(Error{Reason: NoProgram})
	}
	return s.spawn(how)
}

// Refusal returns an error if the groatd that [TakeOver] has started ended because it refuses its configuration or a
// directory.
func Refusal(r *frame.Route, getenv func(string) string, ended *os.ProcessState) error {
	if ended.ExitCode() != daemonRefuses {
		return nil
	}
	s := &starter{route: r, getenv: getenv, program: FindDaemon(getenv("PATH"))}
	return s.fail(Error{Reason: Refused})
}

// checkTime is how long groatd may take to check its configuration.
const checkTime = 3 * time.Second

// Refuses reports whether the groatd that starts next would refuse its configuration or a directory, or leave out a
// profile. It does not where groatd has not said so in time.
func Refuses(r *frame.Route, getenv func(string) string) bool {
	s := &starter{route: r, getenv: getenv}
	if s.program = FindDaemon(getenv("PATH")); s.program == "" {
		return false
	}
	exited, err := s.spawn("--check")
	if err != nil {
		return false
	}
	select {
	case state := <-exited:
		return state.ExitCode() == daemonRefuses
	case <-time.After(checkTime):
		return false
	}
}

func (s *starter) start(ctx context.Context) (*frame.Conn, error) {
	r, getenv, deadline := s.route, s.getenv, s.deadline
	r.PlainMayBeOurs()
	if c := r.ReachHolder(deadline); c != nil {
		return c, nil
	}
	if getenv("GROAT_NO_AUTOSTART") != "" {
		return nil, s.fail(Error{Reason: Forbidden, Socket: shown(r)})
	}
	if r.Place != nil {
		if err := r.Place.CheckHome(); err != nil {
			return nil, s.fail(Error{Reason: ForeignHome, Err: err})
		}
	}
	if unitServes(r, getenv) {
		return nil, s.fail(Error{Reason: UnitInstalled})
	}
	if s.program = FindDaemon(getenv("PATH")); s.program == "" {
		return nil, s.fail(Error{Reason: NoProgram})
	}
	dir, name := lockName(r)
	lock, err := openLock(dir, name)
	if err != nil {
		return nil, s.fail(Error{Reason: BadDirectory, Dir: dir, Err: err})
	}
	defer lock.Close()
	if c, err := s.awaitLock(ctx, lock, dir); c != nil || err != nil {
		return c, err
	}
	return s.awaitReady(ctx)
}

// unitServes reports whether systemd has a unit for the route. A unit serves the usual place: it is no way to another
// one, or to a socket somewhere else.
func unitServes(r *frame.Route, getenv func(string) string) bool {
	return r.Sockets.Explicit == "" && unit.Installed(getenv) && Usual(*r.Place)
}

// Usual reports whether a place is the one of the user database. Users of a network are not in /etc/passwd; for them it
// is the one that follows from HOME alone.
func Usual(place frame.Place) bool {
	home := place.Home
	if u, ok := ownpath.LocalUser(os.Geteuid()); ok {
		home = u.Home
	}
	return place == frame.UsualPlace(home)
}

// shown is the socket that a sentence names: the one that a person knows.
func shown(r *frame.Route) string {
	switch {
	case r.Sockets.Explicit != "":
		return r.Sockets.Explicit
	case r.Sockets.Alias, Usual(*r.Place):
		return r.Sockets.Plain
	}
	return r.Sockets.Own
}

// starter is one attempt to reach a groatd that is about to run.
type starter struct {
	route    *frame.Route
	getenv   func(string) string
	deadline time.Time     // of the connection
	limit    time.Duration // startTime
	program  string
	restarts int       // how often one was started because another had ended
	found    time.Time // when groatd first found another one at work, or zero
}

// fail completes an error.
func (s *starter) fail(e Error) error {
	e.Place, e.Program, e.Typed = s.route.Place, s.program, s.typed()
	return &e
}

// typed is what a person types to run the groatd that was started.
func (s *starter) typed() string {
	if OnPath(s.getenv("PATH"), daemonName) == s.program {
		return daemonName
	}
	return s.program
}

// look connects if a groatd of this place listens now. Both results are nil if none does.
func (s *starter) look() (*frame.Conn, error) {
	c, err := s.route.Reach(s.deadline, false)
	s.route.PlainMayBeOurs() // the next look may find that it has become so
	if c != nil || err != nil {
		return c, err
	}
	return s.route.ReachHolder(s.deadline), nil
}

// awaitLock waits for the lock. Both results are nil once this process has it and still no groatd listens. The lock
// wakes one caller after the other: a thousand that look again and again leave groatd no time to start.
func (s *starter) awaitLock(ctx context.Context, lock *os.File, dir string) (*frame.Conn, error) {
	refused := func(err error) error { return s.fail(Error{Reason: BadDirectory, Dir: dir, Err: err}) }
	mine, err := tryLock(lock)
	if err != nil {
		return nil, refused(err)
	}
	c, err := s.look()
	if c != nil || err != nil || mine {
		return c, err
	}
	locked, err := waitForLock(lock)
	if err != nil {
		return nil, refused(err)
	}
	for p := s.pauses(lockPause, lockPause); ; {
		event, ok := wait(ctx, p, locked)
		if !ok {
			return nil, s.fail(Error{Reason: NotReady})
		}
		if event != nil && *event != nil {
			return nil, refused(*event)
		}
		if c, err := s.look(); c != nil || err != nil || event != nil {
			return c, err
		}
	}
}

// awaitReady starts groatd and waits until it listens, or another one does that it has found at work.
func (s *starter) awaitReady(ctx context.Context) (*frame.Conn, error) {
	exited, err := s.spawn()
	if err != nil {
		return nil, err
	}
	held := false // the groatd that was started has found another one, now
	for p := s.pauses(firstPause, lastPause); ; {
		c, err := s.look()
		if c != nil || err != nil {
			return c, err
		}
		if held {
			c, restart, err := s.lookAtHolder()
			if c != nil || err != nil {
				return c, err
			}
			if restart {
				held = false
				if exited, err = s.spawn(); err != nil {
					return nil, err
				}
			}
		}
		ended, ok := wait(ctx, p, exited)
		if !ok {
			if held {
				return nil, s.silent()
			}
			return nil, s.fail(Error{Reason: NotReady})
		}
		if ended == nil {
			continue
		}
		exited = nil
		switch (*ended).ExitCode() {
		case daemonRunsAlready:
			if held = true; s.found.IsZero() {
				s.found = time.Now()
			}
		case daemonRefuses:
			return nil, s.fail(Error{Reason: Refused})
		default:
			return nil, s.fail(Error{Reason: Ended, Status: (*ended).String()})
		}
	}
}

func (s *starter) spawn(args ...string) (<-chan *os.ProcessState, error) {
	exited, err := Spawn(s.program, args, daemonEnv(os.Environ()))
	if err != nil {
		return nil, s.fail(Error{Reason: NotSpawned, Err: err})
	}
	return exited, nil
}

// pauses spaces the looks at the socket until the time is over.
type pauses struct {
	next, last time.Duration
	deadline   time.Time
}

func (s *starter) pauses(first, last time.Duration) *pauses {
	return &pauses{first, last, time.Now().Add(s.limit)}
}

// wait pauses, but not beyond an event, which it returns. It reports false when the time is over.
func wait[E any](ctx context.Context, p *pauses, events <-chan E) (event *E, ok bool) {
	if time.Now().After(p.deadline) {
		return nil, false
	}
	// A hundred callers that wait for one start should not come back in step.
	t := time.NewTimer(p.next/2 + rand.N(p.next))
	defer t.Stop()
	p.next = min(2*p.next, p.last)
	select {
	case e := <-events:
		return &e, true
	case <-t.C:
		return nil, true
	case <-ctx.Done():
		return nil, false
	}
}
