package protocol

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
)

// listen serves one connection with f.
func listen(t *testing.T, f func(*net.UnixConn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

func TestDial(t *testing.T) {
	path := listen(t, func(c *net.UnixConn) {
		r := frame.NewReader(c)
		if _, err := r.ReadLine(); err == nil {
			c.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"pid":7}}` + "\n"))
		}
	})
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var r HelloResult
	if err := c.Call(t.Context(), MethodHello, nil, &r); err != nil || r.PID != 7 {
		t.Error(r, err)
	}
}

func TestDialWhereNoProcessListens(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(t.Context(), stale); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), file); err == nil {
		t.Error("a file was taken for a socket")
	}
}

// A backlog that is full for a moment is no failure: a hundred processes may start at once.
func TestDialWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"}) // fills it
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"}); !errors.Is(err, syscall.EAGAIN) {
		t.Fatal("the backlog is not full:", err)
	}
	go func() {
		time.Sleep(50 * time.Millisecond) // so that it has to wait, mostly
		if n, _, err := syscall.Accept(fd); err == nil {
			syscall.Close(n)
		}
	}()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
