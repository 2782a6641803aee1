package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// bound makes a socket of a type (unix.SOCK_STREAM) at path, and does not listen on it.
func bound(t *testing.T, path string, kind int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A socket is removed only if no process listens on it.
func TestStaleSocket(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string)
		code int // 0 where the way is free afterwards
		says string
	}{
		"E8 nothing there":      {make: func(string) {}},
		"E8 bound, no listener": {make: func(path string) { bound(t, path, unix.SOCK_STREAM) }},
		"E8 a listener": {func(path string) {
			if err := unix.Listen(bound(t, path, unix.SOCK_STREAM), 5); err != nil {
				t.Fatal(err)
			}
		}, exitCantCreate, "another process serves"},
		"E8 a listener whose queue is full": {func(path string) {
			if err := unix.Listen(bound(t, path, unix.SOCK_STREAM), 0); err != nil {
				t.Fatal(err)
			}
			for {
				c, err := net.Dial("unix", path)
				if err != nil {
					if !errors.Is(err, unix.EAGAIN) {
						t.Fatalf("a full queue says %v", err)
					}
					return
				}
				t.Cleanup(func() { c.Close() })
			}
		}, exitCantCreate, "another process serves"},
		"E8 another kind of socket": {func(path string) { bound(t, path, unix.SOCK_DGRAM) }, exitConfig,
			"cannot be found out"},
		"T1 a FIFO": {func(path string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, exitConfig, "no socket of this user's"},
		"T1 a link to a socket": {func(path string) {
			bound(t, path+".other", unix.SOCK_STREAM)
			if err := os.Symlink(path+".other", path); err != nil {
				t.Fatal(err)
			}
		}, exitConfig, "no socket of this user's"},
		"T1 another user's socket": {func(path string) {
			bound(t, path, unix.SOCK_STREAM)
			if err := os.Chown(path, 4243, 4243); err != nil {
				t.Fatal("to own nothing of this, the test needs root: ", err)
			}
		}, exitConfig, "no socket of this user's"},
		"E8 a file": {func(path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, exitConfig, "no socket of this user's"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "T1 another user") {
				tier.NeedsRoot(t)
			}
			path := filepath.Join(t.TempDir(), "s")
			c.make(path)
			err := clearStale(path)
			_, gone := os.Lstat(path)
			if c.code == 0 {
				if err != nil || !errors.Is(gone, os.ErrNotExist) {
					t.Errorf("%v; the socket: %v", err, gone)
				}
				return
			}
			r, ok := errors.AsType[*refusal](err)
			if !ok || r.code != c.code || !strings.Contains(r.Error(), c.says) || r.hint == "" {
				t.Errorf("%v, want %d: %s", err, c.code, c.says)
			}
			if gone != nil {
				t.Error("what was there is gone")
			}
		})
	}
}

func TestActivated(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		pid, fds string
		want     bool
	}{{me, "1", true}, {me, "2", true}, {me, "0", false}, {me, "", false}, {me, "x", false},
		{"1", "1", false}, {"", "1", false}} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.fds)
		if got := activated(); got != c.want {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %v", c.pid, c.fds, got)
		}
		if os.Getenv("LISTEN_PID") != c.pid {
			t.Error("they are taken")
		}
	}
}
