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
)

// ErrForeign: the peer belongs to another user.
var ErrForeign = errors.New("the peer belongs to another user")

// Peer is the process that connected.
type Peer struct {
	UID int
	PID int // 0 where the system does not tell
	// pidfd follows that very process, or is -1; a PID alone may be reused.
	pidfd int
}

// Of identifies the peer of a connection. Close the result.
func Of(conn *net.UnixConn) (*Peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &Peer{pidfd: -1}
	var asked error
	if err := raw.Control(func(fd uintptr) { asked = p.identify(int(fd)) }); err != nil {
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
