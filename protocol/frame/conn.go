// Package frame is the least that a client of groatd needs: where the socket is, that a process of the same user
// listens there, one request and one reply within a deadline. It is for processes that live for one request: package
// net and its poller, and encoding/json, cost one more time than groatd takes to answer. Package protocol is for other
// programs.
//
// The invariants: nothing is sent before the peer's user is known to be the own one; no call outlasts its deadline; no
// line is longer than [MaxLine]. It also has what groatd and its clients must agree on: places, sockets, the record in
// the lock, and the bounds of a line.
package frame

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

var (
	// ErrNotRunning means that no process listens at the socket, so that a groatd may be started. A groatd that does
	// not answer runs, and so does one whose socket this user may not use.
	ErrNotRunning = errors.New("groatd does not run")
	// ErrForeignServer means that another user's process listens at the socket. Nothing was sent to it.
	ErrForeignServer = errors.New("the socket belongs to another user")
	// ErrAnswer means that the reply is not one of this protocol's. The connection is of no further use.
	ErrAnswer = errors.New("the daemon's answer cannot be read")
	// ErrClosed means that the daemon closed the connection before it replied. The request may have been carried out.
	ErrClosed = errors.New("the daemon closed the connection without an answer")
)

// DialError says why there is no connection to a socket.
type DialError struct {
	Socket string
	Err    error // a system call's, [os.ErrDeadlineExceeded], or one that wraps [ErrForeignServer]
}

// Error is worded as package net words it.
func (e *DialError) Error() string {
	if errors.Is(e.Err, ErrForeignServer) {
		return e.Err.Error()
	}
	return "dial unix " + e.Socket + ": connect: " + e.Err.Error()
}

func (e *DialError) Unwrap() error { return e.Err }

// Is makes an error of connect(2) that says so an [ErrNotRunning].
func (e *DialError) Is(target error) bool {
	return target == ErrNotRunning && (errors.Is(e.Err, syscall.ENOENT) || errors.Is(e.Err, syscall.ECONNREFUSED))
}

// connectTime is how long connect(2) may wait for room in a full backlog.
const connectTime = 3 * time.Second

// firstReply is the size of the buffer for replies: a token's fits, so that it takes one read(2).
const firstReply = 4 << 10

// Conn is one connection to groatd. It makes blocking system calls without Go's network poller, whose set-up costs a
// process as much as the whole request. Every call ends at the deadline with [os.ErrDeadlineExceeded]. After an error
// that is no [*Error] the connection can only be closed. It is not safe for concurrent use.
type Conn struct {
	fd       int
	socket   string
	deadline time.Time // for all that is done
	line     time.Time // for the line that is being read; zero if none has begun
	place    string    // its ID
	id       int64
	r        Reader
	// All that a usual request needs is in one piece of memory: a process that lives for one request pays for every
	// page that it touches.
	address         syscall.SockaddrUnix
	answer          Token
	params, request [256]byte
	reply           [firstReply]byte
}

// Dial connects to the socket and makes sure, before anything is sent, that a process of this user listens there. The
// deadline is for the connection and all requests on it; connecting takes 3 s at most. The error is a [*DialError].
func Dial(socket string, deadline time.Time) (*Conn, error) {
	fd, err := newSocket()
	if err != nil {
		return nil, &DialError{socket, err}
	}
	c := &Conn{fd: fd, socket: socket, deadline: deadline}
	if err := c.connect(); err != nil {
		c.Close()
		return nil, &DialError{socket, err}
	}
	if err := checkServer(fd); err != nil {
		c.Close()
		return nil, &DialError{socket, err}
	}
	c.r = Reader{conn: c, buf: c.reply[:]}
	return c, nil
}

// connect waits for room in the backlog: a hundred processes may start at once.
func (c *Conn) connect() error {
	deadline := c.deadline
	if most := time.Now().Add(connectTime); most.Before(deadline) {
		deadline = most
	}
	for {
		if err := c.limit(syscall.SO_SNDTIMEO, deadline); err != nil {
			return err
		}
		c.address.Name = c.socket
		err := syscall.Connect(c.fd, &c.address)
		if !again(err) {
			return err
		}
	}
}

// checkServer makes sure that the process which called listen(2) at the other end of a connected socket has this
// process's effective user id. If it has another one the error wraps [ErrForeignServer].
func checkServer(fd int) error {
	uid, err := serverUID(fd)
	if err != nil {
		return err
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("%w (uid %d)", ErrForeignServer, uid)
	}
	return nil
}

// ServerPID returns the id of the process that called listen(2) at the other end, or 0 where that is out of this
// process's sight.
func (c *Conn) ServerPID() int {
	pid, err := serverPID(c.fd)
	if err != nil {
		return 0
	}
	return pid
}

// At has every further request name the caller's place, so that the groatd of another place refuses it.
func (c *Conn) At(place Place) { c.place = place.ID() }

// SetDeadline replaces the deadline that was given to [Dial].
func (c *Conn) SetDeadline(t time.Time) { c.deadline = t }

// PlaceID returns the id of the place that requests name, or "". If the lock of the state directory led to the groatd,
// it is that of the place which the lock records: perhaps the caller's by another name.
func (c *Conn) PlaceID() string { return c.place }

// Close closes the connection. A request that groatd has begun goes on there. After Close or [Conn.Detach] it returns
// [os.ErrClosed].
func (c *Conn) Close() error {
	if c.fd < 0 {
		return os.ErrClosed
	}
	return syscall.Close(c.release())
}

// Detach returns the connection as a file, which the caller owns. Its name is the socket's path. It is for a caller
// that goes on with [net.FileConn]; the Conn is then closed.
func (c *Conn) Detach() *os.File {
	for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &syscall.Timeval{})
	}
	return os.NewFile(uintptr(c.release()), c.socket)
}

// release returns the descriptor, and forgets it: its number may soon be another file's.
func (c *Conn) release() int {
	fd := c.fd
	c.fd = -1
	return fd
}

// Read implements [Source] with the earlier of the two deadlines.
func (c *Conn) Read(b []byte) (int, error) {
	deadline := c.deadline
	if !c.line.IsZero() && c.line.Before(deadline) {
		deadline = c.line
	}
	for {
		if err := c.limit(syscall.SO_RCVTIMEO, deadline); err != nil {
			return 0, err
		}
		switch n, err := syscall.Read(c.fd, b); {
		case again(err):
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// SetReadDeadline implements [Source]: it is for the line that is being read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.line = t
	return nil
}

// write writes all of b.
func (c *Conn) write(b []byte) error {
	for len(b) > 0 {
		if err := c.limit(syscall.SO_SNDTIMEO, c.deadline); err != nil {
			return err
		}
		n, err := syscall.Write(c.fd, b)
		if err != nil && !again(err) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// limit lets the next call wait until the deadline and no longer. A zero deadline is one that is over.
func (c *Conn) limit(option int, deadline time.Time) error {
	left := time.Until(deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	tv := syscall.NsecToTimeval(max(left, time.Microsecond).Nanoseconds()) // zero would be without limit
	return os.NewSyscallError("setsockopt", syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, option, &tv))
}

// again reports whether a call was interrupted by a signal, or by the time that [Conn.limit] gave it: then the deadline
// decides.
func again(err error) bool {
	return err == syscall.EINTR || err == syscall.EAGAIN
}

// closed names the ways in which a connection ends, and leaves other errors alone.
func closed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}
