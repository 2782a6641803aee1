package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/handover"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// socketName is the FileDescriptorName= of the socket unit.
const socketName = "agent"

// listener is a socket of the daemon. One that a service manager passed belongs to the manager: groatd neither binds
// nor unlinks it. One that was bound here is bound again if it was removed (socketwatch.go); callers of AcceptUnix do
// not notice.
type listener struct {
	path  string
	what  string // "the socket", for people
	usual bool   // path is the usual place's, and an alias there gives way
	alias string // where a link to path is wanted, or ""
	// says, if it is not nil, is called with the path when that changes, and with "" before the socket is closed.
	says func(path string)
	// origin is where the path came from; nil if a service manager or a person named it.
	origin *location
	// state is a state directory whose removal ends the daemon, or "". It is set for every place but the usual one: a
	// test suite removes its homes and does not know that a groatd runs.
	state string

	mu     sync.Mutex
	socket *net.UnixListener
	bound  fs.FileInfo // of the socket that this process bound, else nil
	closed bool
	passed *os.File // the socket on its way to a successor
	said   string   // the last error about the socket that was removed
	// taken is the file at path while another process serves it. Only the goroutine of watch uses it.
	taken fs.FileInfo
	// saidAlias is the same for the alias.
	saidAlias string
}

// AcceptUnix implements [daemon.Listener].
func (l *listener) AcceptUnix() (*net.UnixConn, error) {
	for {
		l.mu.Lock()
		socket := l.socket
		l.mu.Unlock()
		c, err := socket.AcceptUnix()
		if err == nil || !errors.Is(err, net.ErrClosed) || !l.replaced(socket) {
			return c, err
		}
	}
}

// replaced reports whether l has another socket than this one, which was closed.
func (l *listener) replaced(socket *net.UnixListener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed && l.socket != socket
}

// Close implements [daemon.Listener].
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.says != nil && !l.closed {
		l.says("")
	}
	l.closed = true
	return l.socket.Close()
}

// activated reports whether a service manager passed sockets to this process (sd_listen_fds(3)). It takes none of them.
func activated() bool {
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	n, err2 := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	return err == nil && err2 == nil && pid == os.Getpid() && n > 0
}

// listen takes the socket that another groatd has handed over, or the one that the service manager passed
// (sd_listen_fds(3): only if $LISTEN_PID is this process), else binds one.
func listen(s location, handed *os.File, bound *handover.File) (*listener, error) {
	if handed != nil {
		defer handed.Close()
		if l := adoptSocket(s, handed, bound); l != nil {
			return l, nil
		}
	}
	path := s.socket()
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the service manager's sockets cannot be used: %w", err),
			"systemctl --user status groatd.socket"}
	}
	if len(passed) == 0 {
		usual := s.Usual && s.sockets.Explicit == ""
		if usual {
			dropForeignAlias(path)
		}
		l, err := bind(path)
		if err == nil {
			l.usual, l.alias = usual, s.alias()
			if s.sockets.Explicit == "" {
				l.origin = &s
			}
		}
		return l, err
	}
	for name, ls := range passed {
		for _, l := range ls {
			if u, ok := l.(*net.UnixListener); ok && name == socketName {
				u.SetUnlinkOnClose(false)
				return &listener{socket: u, path: u.Addr().String()}, nil
			}
		}
	}
	return nil, &refusal{exitConfig, fmt.Errorf("the service manager passed no stream socket named %q "+
		"(FileDescriptorName= in groatd.socket)", socketName),
		"systemctl --user cat groatd.socket"}
}

// bind makes the socket. The caller holds the lock of the state directory, so a socket at path is stale unless a groatd
// with another state directory listens on it.
func bind(path string) (*listener, error) {
	for _, dir := range socketDirs(path) {
		if err := privateDir(dir, "the socket's directory"); err != nil {
			return nil, err
		}
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the socket %s cannot be made: %w", path, err),
			ownpath.DirHint(filepath.Dir(path))}
	}
	l.SetUnlinkOnClose(false) // Go would unlink a successor's socket
	info, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, &refusal{exitConfig, fmt.Errorf("the socket %s is gone: %w", path, cause(err)), "groatd"}
	}
	return &listener{socket: l, path: path, what: "the socket", bound: info}, nil
}

// socketDirs returns the directories that must be the user's alone for a socket at path, the outer one first.
func socketDirs(path string) []string {
	dir := filepath.Dir(path)
	if ownDirectory.MatchString(filepath.Base(dir)) {
		// Others must not enter the directory of all sockets either.
		return []string{filepath.Dir(dir), dir}
	}
	return []string{dir}
}

// listenPrivately makes a socket of mode 0600. On Linux it has that mode from the start, since a bound socket takes the
// mode of its descriptor; elsewhere the mode is changed afterwards, and the mode of the directory keeps other users out
// until then. A umask would apply to the whole process, which may be making other files.
func listenPrivately(path string) (*net.UnixListener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.Fchmod(int(fd), 0o600) })
	}}
	address, done, err := handover.Address(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := c.Listen(context.Background(), "unix", address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// clearStale removes a socket without a listener, or an alias of one. Any other file is left alone, and is an error.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isAlias(path) {
		return clearAlias(path)
	}
	if err != nil {
		return &refusal{exitConfig, fmt.Errorf("the socket %s cannot be examined: %w", path, cause(err)),
			"ls -l " + visible.Word(path)}
	}
	if !ownSocket(info) {
		return inTheWay(path)
	}
	return removeUnserved(path, "the stale socket")
}

// removeUnserved removes a socket, or an alias of one, unless a process listens on it. what names it in an error.
func removeUnserved(path, what string) error {
	switch live, err := answers(path); {
	case err != nil:
		return &refusal{exitConfig, fmt.Errorf("whether a process serves %s cannot be found out: %w", path, err),
			"ls -l " + visible.Word(path)}
	case live:
		return &refusal{exitCantCreate, fmt.Errorf("another process serves %s", path), "groat status"}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &refusal{exitConfig, fmt.Errorf("%s %s cannot be removed: %w", what, path, cause(err)),
			ownpath.DirHint(filepath.Dir(path))}
	}
	return nil
}

func ownSocket(info fs.FileInfo) bool {
	return info.Mode().Type() == fs.ModeSocket && int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}

func inTheWay(path string) error {
	return &refusal{exitConfig, fmt.Errorf("%s is in the way: it is no socket of this user's", path),
		"ls -l " + visible.Word(path)}
}

// answers reports whether a process listens on a socket, even if its queue is full. It reports false only if the system
// says that no process does; any other failure is an error.
func answers(path string) (bool, error) {
	address, done, err := handover.Address(path)
	if err != nil {
		return false, err
	}
	defer done()
	c, err := net.DialTimeout("unix", address, time.Second)
	if err == nil {
		c.Close()
		return true, nil
	}
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, syscall.EAGAIN), ok && timeout.Timeout(): // its queue is full
		return true, nil
	}
	if op, ok := errors.AsType[*os.SyscallError](err); ok {
		err = op.Err
	}
	return false, err
}

// release closes the socket and removes its file, its alias and a place's own directory, unless another groatd has put
// its own there. A second call does nothing.
func (l *listener) release() {
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.passed != nil {
		return
	}
	if l.alias != "" {
		dropAlias(l.alias, l.path)
	}
	if l.bound != nil && l.inPlace() {
		os.Remove(l.path)
	}
	if l.bound != nil && ownDirectory.MatchString(filepath.Base(filepath.Dir(l.path))) {
		dir := filepath.Dir(l.path)
		os.Remove(filepath.Join(filepath.Dir(dir), "start."+strings.TrimPrefix(filepath.Base(dir), "d.")+".lock"))
		os.Remove(dir) // where nothing else is in it
	}
	l.alias, l.bound = "", nil // a file that is there from now on is another groatd's
}

// linkAlias makes the alias if it is wanted and missing. That another groatd has the path is not an error.
func (l *listener) linkAlias(log *zap.Logger) {
	if l.alias == "" {
		return
	}
	err := makeAlias(l.alias, l.path)
	if r, ok := errors.AsType[*refusal](err); err == nil || ok && r.code == exitCantCreate {
		l.saidAlias = ""
		return
	}
	if why := err.Error(); why != l.saidAlias {
		l.saidAlias = why
		log.Warn("no link to the socket is made", zap.String("link", l.alias), zap.Error(err))
	}
}

// inPlace reports whether the file at path is the socket that was bound here. The caller holds mu.
func (l *listener) inPlace() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.bound)
}
