package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/groat-dev/groat/protocol"
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
// Whoever holds the lock in the socket's directory looks once more and only then starts one, so that any number of first
// calls start one process. The flock of groatd itself stays the last word on how many there are.
func (a *app) start(ctx context.Context, socket string) (*protocol.Client, error) {
	if a.getenv("GROAT_NO_AUTOSTART") != "" {
		return nil, errNoAutostart(socket)
	}
	// A unit listens at the default path: it is no way to a socket somewhere else.
	if a.getenv("GROAT_SOCKET") == "" && unitInstalled(a.getenv) {
		return nil, errUnitInstalled()
	}
	program, err := findDaemon(a.getenv("PATH"))
	if err != nil {
		return nil, err
	}
	lock, err := openStartLock(filepath.Dir(socket))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	s := &starter{app: a, socket: socket, program: program}
	if c, err := s.awaitTurn(ctx, lock); c != nil || err != nil {
		return c, err
	}
	exited, err := spawn(program, nil, daemonEnv(os.Environ()))
	if err != nil {
		return nil, errSpawn(program, err)
	}
	return s.awaitReady(ctx, exited)
}

// starter is one attempt to reach a groatd that is about to run.
type starter struct {
	app             *app
	socket, program string
}

// look dials once. Both results are nil while nobody listens.
func (s *starter) look(ctx context.Context) (*protocol.Client, error) {
	c, err := s.app.dial(ctx, s.socket)
	switch {
	case err == nil:
		return c, nil
	case nobodyListens(err):
		return nil, nil
	}
	return nil, errDial(s.socket, err)
}

// awaitTurn returns nil and nil once the lock is ours and still nobody listens.
func (s *starter) awaitTurn(ctx context.Context, lock *os.File) (*protocol.Client, error) {
	for p := newPauses(); ; {
		mine, err := tryLock(lock)
		if err != nil {
			return nil, errSocketDir(filepath.Dir(s.socket), err)
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

// awaitReady waits until groatd listens. exited delivers how it ended, should it end before.
func (s *starter) awaitReady(ctx context.Context, exited <-chan *os.ProcessState) (*protocol.Client, error) {
	for p := newPauses(); ; {
		c, err := s.look(ctx)
		if c != nil || err != nil {
			return c, err
		}
		ended, ok := p.wait(ctx, exited)
		if !ok {
			return nil, errNotReady(s.program)
		}
		if ended == nil {
			continue
		}
		exited = nil
		switch ended.ExitCode() {
		case daemonRunsAlready: // and will listen in a moment
		case daemonRefuses:
			return nil, errDaemonRefused()
		default:
			return nil, errDaemonEnded(ended.String())
		}
	}
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
