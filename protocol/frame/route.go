package frame

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// helloTime is how long a groatd may take to say that it is the one of this place.
const helloTime = 10 * time.Second

// Route is where the groatd of a place is looked for, and what was found on the way. It is not safe for concurrent use.
type Route struct {
	// Place is nil if the environment does not lead to one, and $GROAT_SOCKET names a socket.
	Place   *Place
	Sockets Sockets

	id        string // the place's, or ""
	anyPlace  bool   // requests name no place
	elsewhere bool   // the plain socket was found to be another place's
}

// FindRoute returns the route that an environment leads to. Where it names a socket, and nothing else that is groat's,
// the groatd that listens there is meant, whatever its place is: a container, or another machine that the socket is
// forwarded to, has another home.
func FindRoute(getenv func(string) string) (*Route, error) {
	place, err := PlaceOf(getenv, "")
	r := &Route{}
	r.anyPlace = getenv("GROAT_SOCKET") != "" && getenv("GROAT_CONFIG") == "" && getenv("GROAT_STATE_DIR") == ""
	switch {
	case err == nil:
		r.Place, r.id = &place, place.ID()
	case getenv("GROAT_SOCKET") == "":
		return nil, err
	}
	r.Sockets, err = socketsOf(getenv, place, r.id)
	return r, err
}

// OwnSocket is the socket that a groatd of this place listens at, as far as it can be said without the user database.
func (r *Route) OwnSocket() string {
	if r.Sockets.Explicit != "" {
		return r.Sockets.Explicit
	}
	return r.Sockets.Own
}

// Reach connects to the groatd of this place at its own socket, or at the plain one. Both results are nil if none
// listens there.
//
// The plain socket may be another place's. A groatd there refuses a request without doing anything, and its [*Error]
// has its Place. If the first request may be made twice and holds no secret, repeatable is true and it finds that
// out; the caller then calls [Route.PlainIsAnothers] and Reach again. Otherwise Reach asks before.
func (r *Route) Reach(deadline time.Time, repeatable bool) (*Conn, error) {
	if r.Sockets.Explicit != "" {
		return r.try(r.Sockets.Explicit, deadline)
	}
	if c, err := r.try(r.Sockets.Own, deadline); c != nil || err != nil && !noSocket(err) {
		return c, err
	}
	if r.elsewhere {
		return nil, nil
	}
	c, err := r.try(r.Sockets.Plain, deadline)
	if c == nil || err != nil || repeatable {
		return c, err
	}
	err = c.helloWithin(helloTime)
	if err == nil {
		return c, nil
	}
	c.Close()
	if OtherPlace(err) != nil {
		r.elsewhere = true
		return nil, nil
	}
	return nil, err
}

// noSocket reports whether something else is where a socket's directory would be: then no groatd of the place made it.
func noSocket(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

// PlainIsAnothers has [Route.Reach] pass the plain socket over. It reports false if Reach does so already.
func (r *Route) PlainIsAnothers() bool {
	was := r.elsewhere
	r.elsewhere = true
	return !was
}

// PlainMayBeOurs takes [Route.PlainIsAnothers] back: a groatd that starts may take the plain socket.
func (r *Route) PlainMayBeOurs() { r.elsewhere = false }

// OtherPlace returns the place of the groatd that refused a request because the caller's is another, or nil.
func OtherPlace(err error) *Place {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Place
	}
	return nil
}

// try connects to a socket. Both results are nil if no process listens there.
func (r *Route) try(socket string, deadline time.Time) (*Conn, error) {
	c, err := Dial(socket, deadline)
	switch {
	case err == nil:
		if r.anyPlace {
			return c, nil
		}
		if r.id != "" {
			c.place = r.id
		} else if r.Place != nil {
			c.At(*r.Place)
		}
		return c, nil
	case errors.Is(err, ErrNotRunning):
		return nil, nil
	}
	return nil, err
}

// helloWithin makes sure, within a limit that the deadline may shorten, that the groatd of the place answers.
func (c *Conn) helloWithin(limit time.Duration) error {
	deadline := c.deadline
	defer c.SetDeadline(deadline)
	if most := time.Now().Add(limit); most.Before(deadline) {
		c.SetDeadline(most)
	}
	return c.Hello()
}

// If no process listens at the sockets of a place, the lock in its state directory may say where its groatd does
// listen: two runtime directories with one home (a batch job's, cron's) have one groatd.

// Holder returns what the lock of the place's state directory says; ok is false if it says nothing, or if the directory
// is not this user's alone.
func (r *Route) Holder() (h Holder, ok bool) {
	if r.Place == nil {
		return Holder{}, false
	}
	if ownpath.CheckPrivateDir(r.Place.State) != nil {
		return Holder{}, false
	}
	h, err := ReadHolder(r.Place.State)
	return h, err == nil
}

// ReachHolder connects to the groatd that holds the lock of the place. It returns nil if there is none, if
// $GROAT_SOCKET names the socket, and if the record is one that a groatd left which was killed.
func (r *Route) ReachHolder(deadline time.Time) *Conn {
	if r.Sockets.Explicit != "" {
		return nil
	}
	h, ok := r.Holder()
	if !ok || h.Socket == "" || !SamePlace(h.Place, *r.Place) || !h.Here() {
		return nil
	}
	return h.Reach(deadline)
}

// Reach connects to the groatd that wrote the record, or returns nil if it does not answer there.
func (h Holder) Reach(deadline time.Time) *Conn {
	of := Route{Place: &h.Place}
	c, err := of.try(h.Socket, deadline)
	if c == nil || err != nil {
		return nil
	}
	if c.helloWithin(helloTime) != nil {
		c.Close()
		return nil
	}
	return c
}

// SamePlace reports whether two places are one, also if a link leads to it by another name (a home of an automounter).
func SamePlace(p, q Place) bool {
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
