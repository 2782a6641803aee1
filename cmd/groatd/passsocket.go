package main

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/handover"
)

// At a restart the socket stays: its file, and the queue of those who connect. A client that comes while one groatd
// ends and the next one begins is answered by that.

// firstForeign is the first descriptor that is not stdin, stdout or stderr.
const firstForeign = 3

// pass keeps the socket open beyond [listener.Close], and its files beyond [listener.release], for a successor. Where
// it returns nil the successor binds a socket of its own.
func (l *listener) pass() *handover.File {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.bound == nil || !l.inPlace() {
		return nil
	}
	onDescriptor(l.socket, func(fd int) {
		if again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstForeign); err == nil {
			l.passed = os.NewFile(uintptr(again), l.path)
		}
	})
	if l.passed == nil {
		return nil
	}
	bound := handover.FileOf(l.bound)
	return &bound
}

// keep takes [listener.pass] back.
func (l *listener) keep() {
	if l.handed() != nil {
		l.passed.Close()
		l.passed = nil
	}
}

// handed returns the socket that was kept, or nil.
func (l *listener) handed() *os.File {
	if l == nil {
		return nil
	}
	return l.passed
}

// passedOn closes the socket that was kept, and removes its files unless a successor has them.
func (l *listener) passedOn(taken bool) {
	if l.handed() == nil {
		return
	}
	l.passed.Close()
	if taken {
		return
	}
	l.passed = nil
	l.release()
}

// adoptSocket returns the listener that another groatd has handed over, or nil if it cannot be used. bound is the file
// that it was bound to, as that one says: another file at the path may be another program's.
func adoptSocket(s location, f *os.File, bound *handover.File) *listener {
	any, err := net.FileListener(f)
	if err != nil {
		return nil
	}
	socket, ok := any.(*net.UnixListener)
	if !ok {
		any.Close()
		return nil
	}
	socket.SetUnlinkOnClose(false)
	path := socket.Addr().String()
	info, err := os.Lstat(path)
	if err == nil && (!ownSocket(info) || bound != nil && handover.FileOf(info) != *bound) {
		err = syscall.ENOTSOCK
	}
	for _, dir := range socketDirs(path) {
		if err == nil {
			err = privateDir(dir, "the socket's directory")
		}
	}
	if err == nil {
		// Clients see which process has called listen(2) last (unix(7), SO_PEERCRED).
		onDescriptor(socket, func(fd int) { err = unix.Listen(fd, unix.SOMAXCONN) })
	}
	if err != nil {
		socket.Close()
		return nil
	}
	l := &listener{socket: socket, path: path, what: "the socket", bound: info}
	if s.sockets.Explicit == "" {
		l.origin = &s
		if path == s.socket() {
			l.usual, l.alias = s.Usual, s.alias()
		}
	}
	return l
}

// onDescriptor calls f with the descriptor of a socket that is open.
func onDescriptor(l *net.UnixListener, f func(fd int)) {
	if raw, err := l.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { f(int(fd)) })
	}
}
