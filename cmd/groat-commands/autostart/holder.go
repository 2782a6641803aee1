package autostart

import (
	"errors"
	"path/filepath"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

const (
	// silentTime is how long a lock may be held before it says who holds it: groatd writes that at once.
	silentTime = 500 * time.Millisecond
	// goneTime is how long a groatd may take that is making its socket anew just now.
	goneTime = 300 * time.Millisecond
	// maxRestarts is how often a groatd is started because the one before found a holder that has ended.
	maxRestarts = 2
)

// lookAtHolder decides what to do after the groatd that was started has found another one at work. All results are
// empty while that one is about to listen or to end; restart says that it has ended and that one may be started.
func (s *starter) lookAtHolder() (c *frame.Conn, restart bool, err error) {
	r := s.route
	h, ok := r.Holder()
	if !ok {
		if time.Since(s.found) < silentTime {
			return nil, false, nil
		}
		return nil, false, s.silent()
	}
	switch {
	case !h.Here():
		return nil, false, s.fail(Error{Reason: HeldByHost, Holder: h})
	case !frame.SamePlace(h.Place, *r.Place):
		return nil, false, s.fail(Error{Reason: HeldByPlace, Holder: h})
	case h.Socket == "":
		if !ended(h.PID) {
			return nil, false, nil
		}
	case r.Sockets.Explicit != "" && h.Socket != r.Sockets.Explicit:
		return nil, false, s.fail(Error{Reason: HeldElsewhere, Holder: h})
	}
	if h.Socket != "" {
		if c := h.Reach(s.deadline); c != nil {
			return c, false, nil
		}
	}
	if ended(h.PID) {
		if s.restarts++; s.restarts <= maxRestarts {
			return nil, true, nil
		}
		return nil, false, s.fail(Error{Reason: HeldOutOfReach, Holder: h})
	}
	if now, ok := r.Holder(); !ok || now != h || time.Since(s.found) < goneTime {
		return nil, false, nil // it has just begun to end, or makes its socket anew
	}
	return nil, false, s.fail(Error{Reason: HeldUnreachable, Holder: h})
}

// silent says who holds the state directory and does not listen.
func (s *starter) silent() error {
	if h, ok := s.route.Holder(); ok {
		return s.fail(Error{Reason: HeldSilent, Holder: h})
	}
	if s.route.Place == nil {
		return s.fail(Error{Reason: NotReady})
	}
	lock := filepath.Join(s.route.Place.State, frame.LockFile)
	return s.fail(Error{Reason: LockHeld, Lock: lock, PID: flockHolder(lock)})
}

// ended reports whether no process has the id, as far as this process sees them.
func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
