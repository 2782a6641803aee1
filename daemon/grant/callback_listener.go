package grant

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/peer"
)

// These bound what one receiver takes, however often a program connects.
const (
	callbackConns = 8 // connections that are served at once; the others wait in the system's queue
	callbackTime  = 5 * time.Second
	// bytes of a request's header, which holds the code; net/http reads 4 KiB more before it gives up
	callbackHeader = 8 << 10
	// callbackGrace is how long a connection is served before one that waits may take its place. A browser that has
	// connected has sent its request by then, so a program that opens connections and sends nothing keeps no browser
	// out.
	callbackGrace = 20 * time.Millisecond
	// CallbackPending bounds the accepted connections of all receivers together that wait to be identified or served.
	CallbackPending = 32
)

// The table and the queue are shared by all receivers, since the system's connections are.
var (
	table       peer.TCP
	identifying = make(chan struct{}, CallbackPending)
)

// gatedListener is the listener of a receiver's HTTP server. It accepts, from all the receiver's listeners, the
// connections that may be this user's browser, and few of them at once. A connection of another user is closed before a
// byte of it is read. A browser behind ssh -L connects as the user's own sshd, one behind a forwarded port as the
// user's or root's forwarder. Where the system does not tell whose a connection is, it is accepted, and the state in
// the redirect decides, as it does for every connection.
type gatedListener struct {
	listeners []net.Listener
	ready     chan net.Conn
	closed    chan struct{}
	accepting sync.WaitGroup

	mu     sync.Mutex
	inside []*admittedConn // longest first
	ended  chan struct{}   // holds an element once a visit has ended
}

func newGatedListener(listeners []net.Listener) *gatedListener {
	return &gatedListener{listeners: listeners, ready: make(chan net.Conn), closed: make(chan struct{}),
		ended: make(chan struct{}, 1)}
}

// start starts to accept connections.
func (d *gatedListener) start() {
	for _, l := range d.listeners {
		d.accepting.Go(func() { d.accept(l) })
	}
}

func (d *gatedListener) accept(l net.Listener) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	wait := shortest
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait = shortest
			select {
			case identifying <- struct{}{}:
				d.accepting.Go(func() {
					defer func() { <-identifying }()
					d.admit(c)
				})
			case <-d.closed:
				c.Close()
			}
		case errors.Is(err, net.ErrClosed):
			return
		default: // the system is short of something
			select {
			case <-time.After(wait):
				wait = min(2*wait, longest)
			case <-d.closed:
				return
			}
		}
	}
}

// admit hands a connection to the HTTP server or closes it.
func (d *gatedListener) admit(c net.Conn) {
	switch table.Owner(c) {
	case peer.Foreign, peer.Closed:
		c.Close()
		return
	}
	v := d.takeRoom(c)
	if v == nil {
		c.Close()
		return
	}
	select {
	case d.ready <- v:
	case <-d.closed:
		v.Close()
	}
}

// takeRoom returns the connection as an admitted one when there is room for it, or nil when the listener is closed.
// Where there is no room, the connection that was admitted first is closed once it has lasted callbackGrace.
func (d *gatedListener) takeRoom(c net.Conn) *admittedConn {
	for {
		d.mu.Lock()
		if len(d.inside) < callbackConns {
			v := &admittedConn{Conn: c, door: d, since: time.Now()}
			v.bell = time.AfterFunc(callbackTime, func() { v.Close() })
			d.inside = append(d.inside, v)
			d.mu.Unlock()
			return v
		}
		longest := d.inside[0]
		d.mu.Unlock()
		left := callbackGrace - time.Since(longest.since)
		if left <= 0 {
			longest.Close()
			continue
		}
		select {
		case <-d.ended:
		case <-time.After(left):
		case <-d.closed:
			return nil
		}
	}
}

// Accept returns the next admitted connection.
func (d *gatedListener) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close stops accepting. It returns when no accepted connection is held but those that the HTTP server has.
func (d *gatedListener) Close() error {
	d.mu.Lock()
	select {
	case <-d.closed:
	default:
		close(d.closed)
	}
	d.mu.Unlock()
	for _, l := range d.listeners {
		l.Close()
	}
	d.accepting.Wait()
	return nil
}

// Addr returns the first listener's address.
func (d *gatedListener) Addr() net.Addr { return d.listeners[0].Addr() }

// admittedConn is one admitted connection. It is closed after callbackTime at the latest.
type admittedConn struct {
	net.Conn
	door  *gatedListener
	since time.Time
	bell  *time.Timer
	once  sync.Once
	err   error
}

// Close closes the connection and makes room.
func (v *admittedConn) Close() error {
	v.once.Do(func() {
		d := v.door
		d.mu.Lock()
		v.bell.Stop()
		for i, other := range d.inside {
			if other == v {
				d.inside = append(d.inside[:i], d.inside[i+1:]...)
				break
			}
		}
		d.mu.Unlock()
		v.err = v.Conn.Close()
		select {
		case d.ended <- struct{}{}:
		default:
		}
	})
	return v.err
}

// CloseWrite ends the writing half. net/http calls it to complete an answer before it closes the connection.
func (v *admittedConn) CloseWrite() error {
	if c, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
