package attack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience bounds every wait; nothing here takes a hundredth of it.
const patience = 2 * time.Minute

// line is a question whose answer is a line.
var line = Question{Text: []byte("how are you\n"), Whole: func(answer []byte) (bool, error) {
	return answer[len(answer)-1] == '\n', nil
}}

// server is a server on a socket that deals with each connection by serve.
func server(t *testing.T, serve func(*net.UnixConn)) Dial {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	return To(path)
}

// repeat answers each line with itself, and hangs up on one that is longer than 4 KiB.
func repeat(c *net.UnixConn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		text, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if _, err := c.Write(text); err != nil {
			return
		}
	}
}

func briefly(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What these attacks are for: one server lives on, the other, which serves one after the other, does not.
func TestHalfOpenTellsServersApart(t *testing.T) {
	good, bad := server(t, func(c *net.UnixConn) { go repeat(c) }), server(t, repeat)
	for name, dial := range map[string]Dial{"good": good, "bad": bad} {
		if _, err := line.Ask(briefly(t, patience), dial); err != nil {
			t.Errorf("%s, before: %v", name, err)
		}
		c, err := HalfOpen(dial, []byte("how a"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "good" {
			if _, err := line.Median(briefly(t, patience), dial, 9); err != nil {
				t.Error(err)
			}
		} else if _, err := line.Ask(briefly(t, 100*time.Millisecond), dial); !errors.Is(
			err, context.DeadlineExceeded) {
			t.Errorf("a server that reads one client to its end has answered another: %v", err)
		}
		c.Close()
		if _, err := line.Ask(briefly(t, patience), dial); err != nil {
			t.Errorf("%s, afterwards: %v", name, err)
		}
	}
}

func TestAttacksComeBack(t *testing.T) {
	good := server(t, func(c *net.UnixConn) { go repeat(c) })
	ctx := briefly(t, patience)
	if n, err := HangUp(ctx, good, line, 20); n != 20 || err != nil {
		t.Errorf("hung up %d times: %v", n, err)
	}
	if n, err := Flood(ctx, good, []byte("xxxx"), 64<<20); !HungUp(err) || n >= 64<<20 {
		t.Errorf("an endless line: %d bytes, %v", n, err)
	}
	if answer, err := HalfClosed(ctx, good, []byte("how a")); len(answer) != 0 || err != nil {
		t.Errorf("half closed: %q, %v", answer, err)
	}
	if err := PassDescriptors(ctx, good, line, 20); err != nil {
		t.Error(err)
	}
	deaf := server(t, func(c *net.UnixConn) { t.Cleanup(func() { c.Close() }) })
	if _, err := Flood(briefly(t, 50*time.Millisecond), deaf, line.Text, 64<<20); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("nobody reads: %v", err)
	}
	if _, err := HalfClosed(briefly(t, 50*time.Millisecond), deaf, line.Text); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestCrowd(t *testing.T) {
	came := make(chan *net.UnixConn, 5)
	dial := server(t, func(c *net.UnixConn) { came <- c })
	w, err := Idle(t.Context(), dial, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Size() != 5 || w.Open() != 5 {
		t.Errorf("%d of %d are open", w.Open(), w.Size())
	}
	(<-came).Close()
	(<-came).Close()
	if w.Open() != 3 {
		t.Errorf("two were closed, and %d are open", w.Open())
	}
	dripping, enough := context.WithCancel(briefly(t, patience))
	var n int
	over := make(chan error, 1)
	go func() {
		var err error
		n, err = w.Drip(dripping, []byte("ab"), time.Millisecond)
		over <- err
	}()
	var others []*net.UnixConn
	for range 3 {
		c := <-came
		b := make([]byte, 3)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "aba" {
			t.Errorf("%q, %v", b, err)
		}
		others = append(others, c)
	}
	enough()
	if err := <-over; n < 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
	for _, c := range others {
		c.Close()
	}
	if _, err := w.Drip(briefly(t, patience), []byte("ab"), time.Millisecond); err != nil {
		t.Error(err)
	}
}

func TestTogether(t *testing.T) {
	sh := func(script string) *exec.Cmd { return exec.Command("/bin/sh", "-c", script) }
	s, err := Together(sh("exit 73"), sh("PATH=/usr/bin:/bin exec sleep 300"), sh("exit 73"))
	if err != nil {
		t.Fatal(err)
	}
	codes, running := s.Losers(patience)
	if len(codes) != 2 || codes[0] != 73 || codes[1] != 73 || len(running) != 1 || running[0] != 1 {
		t.Errorf("ended with %v, running: %v", codes, running)
	}
	s.Stop()
	if codes, running := s.Losers(patience); len(codes) != 3 || len(running) != 0 {
		t.Errorf("after the end: %v, %v", codes, running)
	}
	if _, err := Together(sh("PATH=/usr/bin:/bin exec sleep 300"), exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there was started")
	}
}

func TestMeasures(t *testing.T) {
	rss, err := RSS(os.Getpid())
	if err != nil || rss < 1<<20 {
		t.Errorf("this process has %d bytes: %v", rss, err)
	}
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after, err := Descriptors(os.Getpid()); after != before+1 || err != nil {
		t.Errorf("%d descriptors, then one more: %d, %v", before, after, err)
	}
	used, err := CPU(os.Getpid())
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
		var now time.Duration
		if now, err = CPU(os.Getpid()); now > used {
			return
		}
	}
	t.Errorf("all this work has cost no time: %v", err)
}
