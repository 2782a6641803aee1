package login

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

// heldPorts are the ports of browser logins that have ended before the browser came. The person may still be signing
// in, and the code that the browser then brings must not reach another user's program on the same port. The zero value
// is ready and safe for concurrent use.
type heldPorts struct {
	mu     sync.Mutex
	held   []*grant.Receiver // oldest first
	closed bool
}

// hold keeps r open for lateTime at most. Await must have returned.
func (p *heldPorts) hold(r *grant.Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go r.Close()
		return
	}
	if p.held = append(p.held, r); len(p.held) > lateMost {
		go p.held[0].Close()
		p.held = append([]*grant.Receiver(nil), p.held[1:]...)
	}
	time.AfterFunc(lateTime, func() { p.free(r) })
}

// free closes r if it is still held.
func (p *heldPorts) free(r *grant.Receiver) {
	p.mu.Lock()
	var found bool
	for i, other := range p.held {
		if other == r {
			p.held, found = append(p.held[:i:i], p.held[i+1:]...), true
			break
		}
	}
	p.mu.Unlock()
	if found {
		r.Close()
	}
}

// freeAll closes all that are held and returns how many.
func (p *heldPorts) freeAll() int {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.mu.Unlock()
	for _, r := range held {
		r.Close()
	}
	return len(held)
}

func (p *heldPorts) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.freeAll()
}

// listenForBrowser begins to wait for the browser of a login. What is held for logins that have ended makes room.
func (l *Login) listenForBrowser() (*grant.Receiver, error) {
	redirect := l.server().Redirect
	r, err := grant.Listen(redirect, l.logins.Budget)
	if err != nil && l.logins.ports.freeAll() > 0 {
		r, err = grant.Listen(redirect, l.logins.Budget)
	}
	if err == nil {
		return r, nil
	}
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return nil, e
	}
	with := l.asked
	if l.server().DeviceEndpoint != "" {
		with.Grant, with.Redirect = string(grant.ByDeviceCode), ""
	}
	return nil, protocol.NewError(protocol.Temporary, err.Error(), Command(with))
}

// releasePort closes the port of a login that has ended, or holds it where the browser may still come.
func (l *Login) releasePort() {
	switch {
	case l.receiver == nil:
	case l.receiver.Unanswered() && l.err != nil:
		l.logins.ports.hold(l.receiver)
	default:
		l.receiver.Close()
	}
}
