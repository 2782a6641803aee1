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

	"github.com/groat-dev/groat/protocol/visible"
)

// socketName is the FileDescriptorName= of the socket unit.
const socketName = "agent"

// listener is the daemon's socket. One that a service manager passed is the manager's: neither bound nor unlinked here. One that
// was bound here may be bound anew where it has gone (socketwatch.go), and its users do not notice.
type listener struct {
	path  string
	what  string // "the socket", for people
	usual bool   // path is the usual place's, and an alias there gives way
	alias string // where a link to path is wanted, or ""
	// says is called with the path that is listened at when that changes, and with none before nobody is answered any more;
	// nil where nobody wants to know.
	says func(path string)
	// site is where the path came from; nil where a service manager or a person named it.
	site *site
	// state is the state directory of a place that ends when it has gone: not the usual place. A test suite removes its homes
	// and knows of no groatd.
	state string

	mu     sync.Mutex
	socket *net.UnixListener
	bound  fs.FileInfo // of the socket that this process bound, else nil
	closed bool
	said   string // of the socket that has gone
	// taken is what stands at path where another process serves it; it is written by keep's goroutine only.
	taken fs.FileInfo
	// saidAlias is the same of the alias.
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

// replaced reports whether another socket has taken the place of one that is closed.
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

// listen takes the socket that the service manager passed (sd_listen_fds(3): only if $LISTEN_PID is this process), else binds one.
func listen(s site) (*listener, error) {
	path := s.socket()
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the service manager's sockets cannot be used: %w", err), "systemctl --user status groatd.socket"}
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
				l.site = &s
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
	return nil, &refusal{exitConfig, fmt.Errorf("the service manager passed no stream socket named %q", socketName), "FileDescriptorName=" + socketName + " in groatd.socket"}
}

// bind makes the socket. The caller holds the state's lock, so that whatever stale socket is there belongs to nobody, unless
// a groatd with another state directory uses it.
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
		return nil, &refusal{exitConfig, fmt.Errorf("the socket %s cannot be made: %w", path, err), "ls -ld " + visible.Word(filepath.Dir(path))}
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
	if ownDirectory.MatchString(filepath.Base(dir)) { // the directory of all sockets is not to be entered by others either
		return []string{filepath.Dir(dir), dir}
	}
	return []string{dir}
}

// listenPrivately makes a socket of mode 0600. On Linux it is born with the mode that it has before it is bound; elsewhere it is
// changed, and its directory lets nobody in meanwhile. A umask would be the whole process's, which may be making something.
func listenPrivately(path string) (*net.UnixListener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := c.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// clearStale removes a socket without a listener, or an alias of one. Anything that is no socket of this user's is left alone.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isAlias(path) {
		return clearAlias(path)
	}
	if err != nil {
		return &refusal{exitConfig, fmt.Errorf("the socket %s cannot be examined: %w", path, cause(err)), "ls -l " + visible.Word(path)}
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
		return &refusal{exitConfig, fmt.Errorf("whether somebody serves %s cannot be found out: %w", path, err), "ls -l " + visible.Word(path)}
	case live:
		return &refusal{exitCantCreate, fmt.Errorf("another process serves %s", path), "groat status"}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &refusal{exitConfig, fmt.Errorf("%s %s cannot be removed: %w", what, path, cause(err)), "ls -ld " + visible.Word(filepath.Dir(path))}
	}
	return nil
}

func ownSocket(info fs.FileInfo) bool {
	return info.Mode().Type() == fs.ModeSocket && int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}

func inTheWay(path string) error {
	return &refusal{exitConfig, fmt.Errorf("%s is in the way: it is no socket of this user's", path), "ls -l " + visible.Word(path)}
}

// answers reports whether somebody listens on a socket, also one who is too busy to accept. Only the system's word that
// nobody does is a no; what is neither is an error.
func answers(path string) (bool, error) {
	c, err := net.DialTimeout("unix", path, time.Second)
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

// release removes the socket if it is still the one that was bound here.
func (l *listener) release() {
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
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
	l.alias, l.bound = "", nil // what stands there from now on is another groatd's
}

// linkAlias makes the alias where it is wanted and missing. That somebody else has it is no fault.
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

// inPlace reports whether the socket that was bound here is what stands at its path. The caller holds mu.
func (l *listener) inPlace() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.bound)
}
