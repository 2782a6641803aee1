// Package peer identifies the process at the other end of a Unix socket or a TCP connection of this machine.
//
// Only the user id authorizes: the kernel recorded it when the peer connected. The process id is for records and for
// noticing that the process has ended; another process of the same user can always act in its place.
package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// ErrForeign means that the peer belongs to another user.
var ErrForeign = errors.New("the peer belongs to another user")

// Peer is the process that connected.
type Peer struct {
	UID int
	PID int // 0 where the system does not tell
	raw syscall.RawConn
	// process follows that very process, or is nil; a PID alone may be reused.
	process *process
}

// Of identifies the peer of a connection, and follows its process until the result is closed. It is safe for concurrent
// use.
func (w *Watch) Of(conn *net.UnixConn) (*Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &Peer{raw: raw}
	var asked error
	if err := raw.Control(func(fd uintptr) { asked = w.identify(int(fd), p) }); err != nil {
		return nil, err
	}
	if asked != nil {
		return nil, fmt.Errorf("peer credentials: %w", asked)
	}
	return p, nil
}

// Authorize returns [ErrForeign] unless the peer is this process's user. A user id that this user namespace does not
// map is reported as 65534, which is another user.
func (p *Peer) Authorize() error {
	if p.UID != os.Geteuid() {
		return fmt.Errorf("%w: uid %d", ErrForeign, p.UID)
	}
	return nil
}

// Left reports whether no process holds the other end of the connection any more, as far as the system tells. A peer
// that has only ended its half of the connection has not left.
func (p *Peer) Left() bool {
	left := false
	p.raw.Control(func(fd uintptr) { left = hungUp(int(fd)) })
	return left
}
