package peer

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Owner says who holds the other end of a TCP connection within this machine.
type Owner int

const (
	// Unknown: the system does not say. The other end may be in another network namespace, or the system has no such
	// table.
	Unknown Owner = iota
	// Ours: this process's user, or root, which can read this process's memory anyway. Port forwarders run as either.
	Ours
	// Foreign: another user, or a user whom this user namespace does not map.
	Foreign
	// Closed: the other end has been closed, and no process has it any more.
	Closed
)

// TCP finds the owners of the other ends of TCP connections in the system's table of all connections. Reading the table
// takes time: calls that come during a reading are answered together by the next one, and the pauses between readings
// keep their cost below a tenth of one processor, however many connections come. The zero value is ready. It is safe
// for concurrent use.
type TCP struct {
	mu      sync.Mutex
	pending []*lookup // since the last reading began
	reading bool      // a goroutine answers
	next    time.Time // when the table may be read again
}

// lookup is one connection whose other end is looked for.
type lookup struct {
	ends
	owner Owner
	done  chan struct{}
}

const (
	// rests is how many times longer than a reading the pause after it is.
	rests = 9
	// longestRest bounds the pause where a reading takes very long.
	longestRest = time.Second
)

// Owner returns the owner of the connection's other end. It waits until the table may be read. The caller bounds the
// number of concurrent calls.
func (t *TCP) Owner(c net.Conn) Owner {
	e, ok := endsOf(c)
	if !ok {
		return Unknown
	}
	q := &lookup{ends: e, done: make(chan struct{})}
	t.mu.Lock()
	t.pending = append(t.pending, q)
	if !t.reading {
		t.reading = true
		go t.answerPending()
	}
	t.mu.Unlock()
	<-q.done
	return q.owner
}

// answerPending reads the table until no lookup is left.
func (t *TCP) answerPending() {
	for {
		t.mu.Lock()
		if len(t.pending) == 0 {
			t.reading = false
			t.mu.Unlock()
			return
		}
		rest := time.Until(t.next)
		t.mu.Unlock()
		time.Sleep(rest)
		t.mu.Lock()
		asked := t.pending
		t.pending = nil
		t.mu.Unlock()
		begin := time.Now()
		lookUp(asked)
		took := time.Since(begin)
		t.mu.Lock()
		t.next = time.Now().Add(min(rests*took, longestRest))
		t.mu.Unlock()
		for _, q := range asked {
			close(q.done)
		}
	}
}

// lookUp answers all lookups, by one reading of the table where the system does not answer for single sockets.
func lookUp(asked []*lookup) {
	if asked = askKernel(asked); len(asked) == 0 {
		return
	}
	wanted := map[ends]*lookup{}
	for _, q := range asked {
		wanted[q.ends] = q
	}
	eachTCP(func(s socket) bool {
		if q := wanted[s.ends]; q != nil {
			q.owner = s.owner()
			delete(wanted, s.ends)
		}
		return len(wanted) > 0
	})
}

// Listening returns the user who listens on a TCP address of this machine. It reports false where the system does not
// say.
func Listening(at netip.AddrPort) (uid int, ok bool) {
	eachTCP(func(s socket) bool {
		if s.listens && s.local.Port() == at.Port() && (s.local.Addr() == at.Addr() || s.local.Addr().IsUnspecified()) {
			uid, ok = s.uid, true
		}
		return !ok
	})
	return uid, ok
}

// ends are the two addresses of a connection, as the other side's socket has them.
type ends struct{ local, remote netip.AddrPort }

// socket is one line of the system's table.
type socket struct {
	ends
	listens bool
	uid     int
	held    bool // a process has it
}

func (s socket) owner() Owner {
	switch {
	case !s.held:
		return Closed
	case s.uid == os.Geteuid() || s.uid == 0:
		return Ours
	}
	return Foreign
}

func endsOf(c net.Conn) (ends, bool) {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	remote, also := c.RemoteAddr().(*net.TCPAddr)
	if !ok || !also {
		return ends{}, false
	}
	return ends{local: unmapped(remote.AddrPort()), remote: unmapped(local.AddrPort())}, true
}

// unmapped returns an address without its zone, and an IPv4-mapped IPv6 address as IPv4.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
