package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// Where nobody listens at the paths of a place, the lock in its state directory may say where its groatd does listen: two
// runtime directories on one home (a job's, cron's) have one daemon.

// recorded returns what the lock of the route's state directory says, if that directory is the user's alone.
func (r route) recorded() (frame.Holder, bool) {
	if r.place == nil {
		return frame.Holder{}, false
	}
	info, err := os.Lstat(r.place.State)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return frame.Holder{}, false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return frame.Holder{}, false
	}
	h, err := frame.ReadHolder(r.place.State)
	return h, err == nil
}

// reachHolder connects to the groatd that the lock names. Both results are nil where there is none, or where the record is
// one that a groatd left which was killed.
func (a *app) reachHolder(ctx context.Context, r route) (*protocol.Client, error) {
	if r.sockets.Explicit != "" {
		return nil, nil
	}
	h, ok := r.recorded()
	if !ok || h.Socket == "" || !samePlace(h.Place, *r.place) || !h.Here() {
		return nil, nil
	}
	return a.ours(ctx, h), nil
}

// samePlace reports whether two places are one, also where a link leads to it by another name (a home of an automounter).
func samePlace(p, q frame.Place) bool {
	return sameFile(p.Home, q.Home) && sameFile(p.Configuration, q.Configuration) && sameFile(p.State, q.State)
}

// sameFile also compares what is not there yet, by what it would be in.
func sameFile(p, q string) bool {
	if p == q {
		return true
	}
	a, missing := existing(p)
	b, missing2 := existing(q)
	return missing == missing2 && a != nil && b != nil && os.SameFile(a, b)
}

// existing returns the deepest part of a path that is there, and the rest. It follows links.
func existing(path string) (info os.FileInfo, missing string) {
	for {
		info, err := os.Stat(path)
		if err == nil || !errors.Is(err, os.ErrNotExist) || path == filepath.Dir(path) {
			return info, missing
		}
		if _, err := os.Lstat(path); err == nil {
			return nil, missing // a link that leads nowhere
		}
		missing = filepath.Join(filepath.Base(path), missing)
		path = filepath.Dir(path)
	}
}

// ours connects to where the holder of this place's lock listens, or returns nil.
func (a *app) ours(ctx context.Context, h frame.Holder) *protocol.Client {
	c, err := a.try(ctx, route{place: &h.Place}, h.Socket)
	if c == nil || err != nil {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if c.Call(asking, protocol.MethodHello, nil, nil) != nil {
		c.Close()
		return nil
	}
	return c
}

// held decides after a groatd has found another one at work. All results are empty while that one is about to listen or to
// end; again says that it has ended and that one may be started.
func (s *starter) held(ctx context.Context) (c *protocol.Client, again bool, err error) {
	r := s.route
	h, ok := r.recorded()
	if !ok {
		return nil, false, s.after(silentTime, s.errSilent)
	}
	switch {
	case !h.Here():
		return nil, false, errHeldByHost(h, localState(r.place))
	case !samePlace(h.Place, *r.place):
		return nil, false, errHeldByPlace(h, *r.place, os.Getenv)
	case h.Socket == "":
		if !ended(h.PID) {
			return nil, false, nil
		}
	case r.sockets.Explicit != "" && h.Socket != r.sockets.Explicit:
		return nil, false, errHeldAt(h)
	}
	if h.Socket != "" {
		if c := s.app.ours(ctx, h); c != nil {
			return c, false, nil
		}
	}
	if ended(h.PID) {
		if s.again++; s.again < 3 {
			return nil, true, nil
		}
		return nil, false, errHeldOutOfReach(h, localState(r.place)) // its processes are not seen from here
	}
	if now, ok := r.recorded(); !ok || now != h {
		return nil, false, nil // it has just begun to end
	}
	return nil, false, s.after(goneTime, func() error { return errHeldSocketGone(h) })
}

const (
	// silentTime is how long a lock may be held before it says who holds it: groatd writes that at once.
	silentTime = 500 * time.Millisecond
	// goneTime is how long a groatd that looks after its socket just now may take for it.
	goneTime = 300 * time.Millisecond
)

// after returns the error that why makes once groatd has found another one for as long as that, and nil before.
func (s *starter) after(limit time.Duration, why func() error) error {
	if time.Since(s.found) < limit {
		return nil
	}
	return why()
}

// errSilent says who holds the state directory and does not listen.
func (s *starter) errSilent() error {
	if h, ok := s.route.recorded(); ok {
		return errHeldSilent(h)
	}
	if s.route.place == nil {
		return errNotReady(s.program)
	}
	lock := filepath.Join(s.route.place.State, frame.LockFile)
	return errLockHeld(lock, flockHolder(lock))
}

// ended reports whether no process has the id, as far as this process sees them.
func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// localState is a command that gives this host a state of its own, for a profile of the place's where it has one.
func localState(place *frame.Place) string {
	profile := os.Getenv("GROAT_PROFILE")
	if profile == "" {
		profile = "PROFILE"
		entries, _ := os.ReadDir(filepath.Join(place.Configuration, "profiles.d"))
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".toml"); ok && validName(name) {
				profile = name
				break
			}
		}
	}
	return frame.LocalState() + " groat login " + profile
}

// validName reports whether a profile may be called so: what a file is called is no command of ours.
func validName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= 64 && strings.ContainsRune(first, rune(name[0])) && strings.Trim(name, first+"._-") == ""
}
