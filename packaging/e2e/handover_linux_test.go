package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol/frame"
)

// systemd's own activator takes the path of the socket in these tests, as a socket unit does.

const takesOver = "a service manager's groatd takes over"

// handedOver wants the first groatd to have ended well, and the second one to serve.
func (r *userEnv) handedOver(first, second *process) {
	r.t.Helper()
	if state, err := first.wait(); err != nil || !state.Success() {
		r.t.Errorf("the first groatd: %v, %v", state, err)
	}
	r.daemon = nil // the second one is its activator's
	if pid := serving(r.socket()); pid != second.pid() {
		r.t.Errorf("process %d serves, want %d", pid, second.pid())
	}
	if left, _ := filepath.Glob(filepath.Join(r.state(), "handover*")); len(left) > 0 {
		r.t.Errorf("left behind: %v", left)
	}
	h, err := frame.ReadHolder(r.state())
	if os.Geteuid() == r.uid && (err != nil || h.PID != second.pid() || h.Handover != "" || h.Socket != r.socket()) {
		r.t.Errorf("the lock says %+v, %v", h, err)
	}
}

func (r *userEnv) state() string { return filepath.Join(r.home, ".local", "state", "groat") }

// startGet starts "groat get work" with more arguments.
func (r *userEnv) startGet(args ...string) *exec.Cmd {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), longestRun)
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "groat"), append([]string{"get", "work"}, args...)...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = r.environ(), "/", r.as()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return cmd
}

// underWay starts a request for a token that the server answers after a time, or not at all.
func (r *userEnv) underWay(s *server, f sandbox.Fault) *exec.Cmd {
	r.t.Helper()
	asked := s.Count(sandbox.SpatiafiTokenPath)
	s.Script(sandbox.SpatiafiTokenPath, f)
	cmd := r.startGet("--scope", "other")
	for end := time.Now().Add(patience); s.Count(sandbox.SpatiafiTokenPath) == asked; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal("no request is under way")
		}
	}
	return cmd
}

// A groatd that a client has started hands over to the service manager's: the same tokens are served, no server is
// asked for others, one process is left.
func TestM1TheServiceManagersTakesOver(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	server := r.signIn("work")
	tokens := map[string]string{"": r.groat("", "get", "work")}
	for _, scope := range []string{"read", "read write"} {
		tokens[scope] = r.groat("", "get", "work", "--scope", scope)
	}
	asked := server.Count(sandbox.SpatiafiTokenPath)
	second := r.activate()
	for scope, want := range tokens {
		args := []string{"get", "work"}
		if scope != "" {
			args = append(args, "--scope", scope)
		}
		if got := r.groat("", args...); got != want {
			t.Errorf("scope %q: another token", scope)
		}
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != asked {
		t.Errorf("%d token requests after the hand-over", n-asked)
	}
	r.handedOver(first, second)
}

// A request that is under way is finished first. Its caller is told to try again, as when a groatd is stopped, and gets
// the token of that request from the other groatd.
func TestM1ARequestIsUnderWay(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	server := r.signIn("work")
	get := r.underWay(server, sandbox.Fault{Delay: time.Second})
	asked := server.Count(sandbox.SpatiafiTokenPath)
	second := r.activate()
	got := r.groat("", "get", "work", "--scope", "other")
	if get.Wait(); got == "" || get.ProcessState.ExitCode() != 75 {
		t.Errorf("the caller before: %v", get.ProcessState)
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != asked {
		t.Errorf("%d token requests more", n-asked)
	}
	r.handedOver(first, second)
}

// kill -9 of either in the middle: what is stored is there, and the next call is answered.
func TestM3KilledInTheMiddle(t *testing.T) {
	for name, killFirst := range map[string]bool{"M3 the first": true, "M3 the successor": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserEnv(t, stranger)
			first := r.start()
			server := r.signIn("work")
			r.underWay(server, sandbox.Fault{Cut: sandbox.Hang}) // which keeps the first from sending anything
			second := r.activate()
			waiting := r.startGet()
			if err := first.waitLog(regexp.MustCompile(takesOver)); err != nil {
				t.Fatal(err)
			}
			if killFirst {
				first.stop(syscall.SIGKILL)
			} else {
				second.stop(syscall.SIGKILL)
				first.stop(syscall.SIGKILL) // it would end by itself once the server has hung up
			}
			r.daemon = nil
			waiting.Wait()
			second.wait() // one that has waited for the lock ends, for its manager to start it again
			third := r.activate()
			if r.groat("", "get", "work") == "" {
				t.Error("no token")
			}
			if pid := serving(r.socket()); pid != third.pid() {
				t.Errorf("process %d serves, want %d", pid, third.pid())
			}
		})
	}
}

// One of two successors gets the lock. The other one says so.
func TestM4TwoSuccessors(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	server := r.signIn("work")
	token := r.groat("", "get", "work")
	asked := server.Count(sandbox.SpatiafiTokenPath)
	successors := map[string]*process{r.socket(): r.activate()}
	other := filepath.Join(r.runtime, "other.sock")
	successors[other] = r.activateAt(other)
	pids := make(chan int, len(successors))
	for socket := range successors {
		go func() { pids <- serving(socket) }() // the first connection starts it
	}
	for range successors {
		if pid := <-pids; pid == 0 {
			t.Error("nothing listens")
		}
	}
	served := 0
	for socket, p := range successors {
		if err := p.waitLog(regexp.MustCompile(`\bready\b`)); err != nil {
			t.Fatal(err)
		}
		r.vars = []string{"GROAT_SOCKET=" + socket}
		switch s := r.run("", "groat", "get", "work"); {
		case s.code == 0 && s.stdout == token:
			served++
		case !strings.Contains(s.stderr, "another groatd runs (pid ") && !strings.Contains(s.stderr, "no such profile"):
			t.Errorf("%+v", s)
		}
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); served != 1 || n != asked {
		t.Errorf("%d of two serve, after %d token requests", served, n-asked)
	}
	if state, err := first.wait(); err != nil || !state.Success() {
		t.Errorf("the first groatd: %v, %v", state, err)
	}
	r.daemon, r.vars = nil, nil
}

// A container that was given the socket with its directory has no way to the hand-over: nothing else there is a socket.
func TestM6WhatIsBesideTheSocket(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	r.start()
	var sockets []string
	err := filepath.WalkDir(filepath.Dir(r.socket()), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !e.Type().IsRegular() {
			sockets = append(sockets, path)
		}
		return err
	})
	if err != nil || !slices.Equal(sockets, []string{r.socket()}) {
		t.Errorf("%q, %v", sockets, err)
	}
	if h, err := frame.ReadHolder(r.state()); err == nil && filepath.Dir(h.Handover) != r.state() {
		t.Errorf("it hands over at %s", h.Handover)
	}
}

// Another user gets nothing at the socket of the hand-over, nor does silence or nonsense; the daemon goes on.
func TestM6StrangersAtTheHandover(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	r.signIn("work")
	token := r.groat("", "get", "work")
	socket := filepath.Join(r.state(), "handover")
	info, err := os.Lstat(socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	const request = "\x00\x00\x00\x2a{\"version\":1,\"place\":\"0123456789abcdef\"}  "
	for name, text := range map[string]string{"silence": "", "nonsense": "GET / HTTP/1.1\r\n\r\n",
		"a request of another user, root": request} {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte(text))
		c.SetReadDeadline(time.Now().Add(patience))
		if n, _ := c.Read(make([]byte, 1)); n != 0 {
			t.Errorf("%s is answered", name)
		}
	}
	if got := r.groat("", "get", "work"); got != token {
		t.Error("another token")
	}
	second := r.activate()
	if got := r.groat("", "get", "work"); got != token {
		t.Error("another token after the hand-over")
	}
	r.handedOver(first, second)
}

// A first groatd that is stopped (SIGSTOP) keeps no caller waiting beyond what a successor waits for its answer. The
// caller is told which process to end; the hand-over follows when it goes on.
func TestM10TheFirstIsStopped(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	server := r.signIn("work")
	token := r.groat("", "get", "work")
	asked := server.Count(sandbox.SpatiafiTokenPath)
	first.cmd.Process.Signal(syscall.SIGSTOP)
	second := r.activate()
	begun := time.Now()
	got := r.run("", "groat", "get", "work")
	if got.code != 75 || !strings.Contains(got.stderr, "cannot be asked to hand over") ||
		!strings.Contains(got.stderr, fmt.Sprintf("hint: kill -KILL %d\n", first.pid())) {
		t.Errorf("%+v", got)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	first.cmd.Process.Signal(syscall.SIGCONT)
	second.wait() // for its manager to start it again
	third := r.activate()
	if got := r.groat("", "get", "work"); got != token {
		t.Error("another token")
	}
	if n := server.Count(sandbox.SpatiafiTokenPath); n != asked {
		t.Errorf("%d token requests after the hand-over", n-asked)
	}
	r.handedOver(first, third)
}

// A first groatd without a descriptor to answer with is asked again once it has one.
func TestM12TheFirstHasNoDescriptor(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	first := r.start()
	r.signIn("work")
	token := r.groat("", "get", "work")
	limit := func(descriptors int) {
		t.Helper()
		if got := r.run("", "/usr/bin/prlimit", fmt.Sprintf("--pid=%d", first.pid()),
			fmt.Sprintf("--nofile=%d:", descriptors)); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	limit(3) // what is open stays so
	second := r.activate()
	waiting := r.startGet()
	if err := first.waitLog(regexp.MustCompile("another groatd could not be answered")); err != nil {
		t.Fatal(err)
	}
	limit(256)
	if err := waiting.Wait(); err != nil { // the successor has not waited so long: its manager starts it again
		second.wait()
		second = r.activate()
	}
	if got := r.groat("", "get", "work"); got != token {
		t.Error("another token")
	}
	r.handedOver(first, second)
}
