package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// accepted is a listener's two ends of n connections from this process.
func accepted(t *testing.T, n int) (ours, theirs []*net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range n {
		there, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
		if err != nil {
			t.Fatal(err)
		}
		here, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { here.Close(); there.Close() })
		ours, theirs = append(ours, here), append(theirs, there)
	}
	return ours, theirs
}

func of(t *testing.T, w *Watch, c *net.UnixConn) *Peer {
	t.Helper()
	p, err := w.Of(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// However many connections a process has, following it takes one descriptor.
func TestOneDescriptorAProcess(t *testing.T) {
	ours, _ := accepted(t, 50)
	var w Watch
	peers := make([]*Peer, len(ours))
	var all sync.WaitGroup
	for i, c := range ours {
		all.Go(func() { peers[i], _ = w.Of(c) })
	}
	all.Wait()
	for i, p := range peers {
		if p == nil || p.UID != os.Geteuid() || p.PID != os.Getpid() || !p.Alive() || p.Authorize() != nil {
			t.Fatalf("peer %d: %+v", i, p)
		}
	}
	if n := w.Holding(); n != 1 {
		t.Errorf("following one process takes %d descriptors", n)
	}
	for i, p := range peers {
		if w.Holding() == 0 {
			t.Errorf("nothing is held, and %d connections are open", len(peers)-i)
		}
		p.Close()
		p.Close() // once more changes nothing
	}
	if n := w.Holding(); n != 0 {
		t.Errorf("%d descriptors are held without a peer", n)
	}
}

// Two processes are two, also where one has the other's connection.
func TestEachProcessIsFollowed(t *testing.T) {
	tier.Needs(t, "python3")
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const connect = `import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()`
	var w Watch
	var peers []*Peer
	var stops []func()
	for range 2 {
		cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", connect, path)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		l.SetDeadline(time.Now().Add(patience))
		c, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		p := of(t, &w, c)
		if p.PID != cmd.Process.Pid {
			t.Errorf("process %d connected, and %d is followed", cmd.Process.Pid, p.PID)
		}
		peers = append(peers, p)
		stops = append(stops, func() { in.Close(); cmd.Wait() })
	}
	if n := w.Holding(); n != 2 {
		t.Errorf("following two processes takes %d descriptors", n)
	}
	stops[0]()
	if peers[0].Alive() || !peers[1].Alive() {
		t.Errorf("the first has ended and the second has not: %v, %v", peers[0].Alive(), peers[1].Alive())
	}
	stops[1]()
	if peers[1].Alive() {
		t.Error("the second has ended")
	}
	for _, p := range peers {
		p.Close()
	}
}

func TestLeft(t *testing.T) {
	ours, theirs := accepted(t, 1)
	var w Watch
	p := of(t, &w, ours[0])
	defer p.Close()
	for _, step := range []struct {
		name string
		do   func() error
		want bool
	}{
		{"connected", func() error { return nil }, false},
		{"has said something", func() error { _, err := io.WriteString(theirs[0], "x"); return err }, false},
		{"has no more to say", theirs[0].CloseWrite, false},
		{"has closed", theirs[0].Close, true},
		{"is closed here", ours[0].Close, false}, // it cannot be told any more
	} {
		if err := step.do(); err != nil {
			t.Fatal(step.name, err)
		}
		if got := p.Left(); got != step.want {
			t.Errorf("a peer that %s has left: %v", step.name, got)
		}
	}
}

// A descriptor table that is full only means that the end of a process is not noticed.
func TestNoDescriptorToFollowWith(t *testing.T) {
	ours, _ := accepted(t, 1)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	var w Watch
	p, err := w.Of(ours[0])
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); back != nil {
		t.Fatal(back)
	}
	if err != nil || p.UID != os.Geteuid() || !p.Alive() || w.Holding() != 0 {
		t.Errorf("%+v, %v; %d are held", p, err, w.Holding())
	}
	p.Close()
	ours[0].Close()
	if _, err := w.Of(ours[0]); err == nil || errors.Is(err, ErrForeign) {
		t.Errorf("of a closed connection: %v", err)
	}
}

// A program that groatd starts gets no descriptor that follows another one.
func TestAPidfdIsNotInherited(t *testing.T) {
	ours, _ := accepted(t, 1)
	var w Watch
	p := of(t, &w, ours[0])
	defer p.Close()
	if p.process == nil {
		t.Fatal("the process is not followed")
	}
	flags, err := unix.FcntlInt(uintptr(p.process.pidfd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}
