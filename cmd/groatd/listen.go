package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// socketName is the FileDescriptorName= of the socket unit.
const socketName = "agent"

// listener is the daemon's socket. One that a service manager passed is the manager's: neither bound nor unlinked here.
type listener struct {
	*net.UnixListener
	path  string
	bound fs.FileInfo // of the socket that this process bound, else nil
}

// activated reports whether a service manager passed sockets to this process (sd_listen_fds(3)). It takes none of them.
func activated() bool {
	pid, err := strconv.Atoi(os.Getenv("LISTEN_PID"))
	n, err2 := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	return err == nil && err2 == nil && pid == os.Getpid() && n > 0
}

// listen takes the socket that the service manager passed (sd_listen_fds(3): only if $LISTEN_PID is this process), else binds one.
func listen(path string) (*listener, error) {
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the service manager's sockets cannot be used: %w", err), "systemctl --user status groatd.socket"}
	}
	if len(passed) == 0 {
		return bind(path)
	}
	for name, ls := range passed {
		for _, l := range ls {
			if u, ok := l.(*net.UnixListener); ok && name == socketName {
				u.SetUnlinkOnClose(false)
				return &listener{UnixListener: u, path: u.Addr().String()}, nil
			}
		}
	}
	return nil, &refusal{exitConfig, fmt.Errorf("the service manager passed no stream socket named %q", socketName), "FileDescriptorName=" + socketName + " in groatd.socket"}
}

// bind makes the socket. The caller holds the state's lock, so that whatever stale socket is there belongs to nobody, unless
// a groatd with another state directory uses it.
func bind(path string) (*listener, error) {
	if err := privateDir(filepath.Dir(path), "the socket's directory"); err != nil {
		return nil, err
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	old := unix.Umask(0o177) // the socket is born 0600: nobody can connect between bind and chmod
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the socket %s cannot be made: %w", path, err), "ls -ld " + filepath.Dir(path)}
	}
	l.SetUnlinkOnClose(false) // Go would unlink a successor's socket
	info, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, &refusal{exitConfig, fmt.Errorf("the socket %s is gone: %w", path, cause(err)), "groatd"}
	}
	return &listener{UnixListener: l, path: path, bound: info}, nil
}

// clearStale removes a socket that nobody listens on. Anything that is no socket of this user's is left alone.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &refusal{exitConfig, fmt.Errorf("the socket %s cannot be examined: %w", path, cause(err)), "ls -l " + path}
	}
	if info.Mode().Type() != fs.ModeSocket || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return &refusal{exitConfig, fmt.Errorf("%s is in the way: it is no socket of this user's", path), "ls -l " + path}
	}
	switch live, err := answers(path); {
	case err != nil:
		return &refusal{exitConfig, fmt.Errorf("whether somebody serves %s cannot be found out: %w", path, err), "ls -l " + path}
	case live:
		return &refusal{exitCantCreate, fmt.Errorf("another process serves %s", path), "groat status"}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &refusal{exitConfig, fmt.Errorf("the stale socket %s cannot be removed: %w", path, cause(err)), "ls -ld " + filepath.Dir(path)}
	}
	return nil
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
	if l.bound == nil {
		return
	}
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.bound) {
		os.Remove(l.path)
	}
}
