// Package peer says who is at the other end of a Unix socket connection, and whether they are still there.
//
// The user id is the only thing that authorizes: the kernel took it when the peer connected. The process id is for
// records and for noticing that the process has ended; another process of the same user can always pretend to be it.
package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// ErrForeign: the peer belongs to another user.
var ErrForeign = errors.New("the peer belongs to another user")

// Peer is the process that connected.
type Peer struct {
	UID int
	PID int // 0 where the system does not tell
	raw syscall.RawConn
	// process follows that very process, or is nil; a PID alone may be reused.
	process *process
}

// Of identifies the peer of a connection, and follows its process as long as the result is not closed. Safe for concurrent
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

// Authorize returns ErrForeign unless the peer is this process's own user. A user id that this user namespace does not
// map arrives as 65534 and is another user.
func (p *Peer) Authorize() error {
	if p.UID != os.Geteuid() {
		return fmt.Errorf("%w: uid %d", ErrForeign, p.UID)
	}
	return nil
}

// Left reports whether nobody has the other end of the connection any more, as far as that can be told. Who has only ended
// what there was to say has not left.
func (p *Peer) Left() bool {
	left := false
	p.raw.Control(func(fd uintptr) { left = hungUp(int(fd)) })
	return left
}
