package daemon

import (
	"errors"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
)

const (
	// lateTime is how long the port of a login that was given up is held: as long as a person may take to sign in.
	lateTime = 15 * time.Minute
	// lateMost is how many such ports are held. Each takes what a browser login takes of the descriptors.
	lateMost = 4
)

// late holds the ports of browser logins that have ended before the browser came. The person may still be signing in, and
// the code that the browser then brings must not reach another user's program on the same port. The zero value is ready
// and safe for concurrent use.
type late struct {
	mu     sync.Mutex
	held   []*grant.Receiver // oldest first
	closed bool
}

// hold keeps r open for lateTime at most. Await must have returned.
func (l *late) hold(r *grant.Receiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go r.Close()
		return
	}
	if l.held = append(l.held, r); len(l.held) > lateMost {
		go l.held[0].Close()
		l.held = append([]*grant.Receiver(nil), l.held[1:]...)
	}
	time.AfterFunc(lateTime, func() { l.free(r) })
}

// free closes r if it is still held.
func (l *late) free(r *grant.Receiver) {
	l.mu.Lock()
	var found bool
	for i, other := range l.held {
		if other == r {
			l.held, found = append(l.held[:i:i], l.held[i+1:]...), true
			break
		}
	}
	l.mu.Unlock()
	if found {
		r.Close()
	}
}

// freeAll closes all that are held and returns how many.
func (l *late) freeAll() int {
	l.mu.Lock()
	held := l.held
	l.held = nil
	l.mu.Unlock()
	for _, r := range held {
		r.Close()
	}
	return len(held)
}

func (l *late) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.freeAll()
}

// listen begins to wait for the browser of a login. What is held for logins that have ended makes room.
func (l *login) listen() (*grant.Receiver, error) {
	redirect := l.server().Redirect
	r, err := grant.Listen(redirect, &l.d.budget)
	if err != nil && l.d.late.freeAll() > 0 {
		r, err = grant.Listen(redirect, &l.d.budget)
	}
	if err == nil {
		return r, nil
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return nil, e
	}
	return nil, protocol.NewError(protocol.Temporary, err.Error(), "groat login "+l.params.Profile+" --grant device_code")
}

// release is called when the login has ended in every way.
func (l *login) release() {
	switch {
	case l.receiver == nil:
	case l.receiver.Unanswered() && l.err != nil:
		l.d.late.hold(l.receiver)
	default:
		l.receiver.Close()
	}
}
