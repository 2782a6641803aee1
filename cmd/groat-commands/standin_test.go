package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// started is what [standIn] writes down about each of its starts.
type started struct {
	PID, Session int
	Dir          string
	Env          []string
	Files        []string // what descriptors 0, 1, 2 … are open on
}

// standIn is a groatd for the tests of how groat starts one. The file "mode" in its state directory says how it
// behaves; each start becomes a line of the file "starts".
func standIn() {
	state := os.Getenv("GROAT_STATE_DIR")
	// Before anything else opens a descriptor that stays.
	s := started{PID: os.Getpid(), Env: os.Environ(), Files: openFiles()}
	s.Dir, _ = os.Getwd()
	s.Session, _ = unix.Getsid(0)
	line, _ := json.Marshal(s)
	f, err := os.OpenFile(filepath.Join(state, "starts"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		os.Exit(1)
	}
	f.Write(append(line, '\n'))
	f.Close()
	mode, _ := os.ReadFile(filepath.Join(state, "mode"))
	code := 0
	switch m := string(mode); {
	case m == "slow":
		time.Sleep(300 * time.Millisecond) // a hundred callers have time to pile up
	case m == "deaf":
		time.Sleep(30 * time.Second)
		os.Exit(0)
	case m != "":
		fmt.Sscan(m, &code)
		os.Exit(code)
	}
	r, err := findRoute()
	if err != nil {
		os.Exit(1)
	}
	os.MkdirAll(filepath.Dir(r.OwnSocket()), 0o700)
	os.Remove(r.OwnSocket())
	l, err := net.Listen("unix", r.OwnSocket())
	if err != nil {
		os.Exit(1)
	}
	time.AfterFunc(2*time.Minute, func() { os.Exit(0) }) // should the test that kills it be killed itself
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewScanner(c); lines.Scan(); {
				var r request
				json.Unmarshal(lines.Bytes(), &r)
				fmt.Fprintf(c, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", r.ID, tokenResult)
			}
		}()
	}
}

func openFiles() []string {
	var files []string
	for fd := range 64 {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil {
			files = append(files, name)
		}
	}
	return files
}

// home is a place where groat may start daemons: a socket, a state directory, and an end for whatever was started.
type home struct {
	t             *testing.T
	dir, socket   string
	state, starts string
}

func newHome(t *testing.T, mode string) *home {
	t.Helper()
	dir := shortDir(t)
	h := &home{t: t, dir: dir, socket: filepath.Join(dir, "run", "s"), state: filepath.Join(dir, "state")}
	h.starts = filepath.Join(h.state, "starts")
	if err := os.Mkdir(h.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.state, "mode"), []byte(mode), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range h.started() {
			syscall.Kill(s.PID, syscall.SIGKILL)
		}
	})
	return h
}

// env is the environment of a process of this home.
func (h *home) env(more ...string) []string {
	return append([]string{"HOME=" + h.dir, "GROAT_SOCKET=" + h.socket, "GROAT_STATE_DIR=" + h.state,
		"PATH=/usr/bin:/bin"}, more...)
}

// run runs one of the installed programs to its end.
func (h *home) run(env []string, args ...string) outcome {
	h.t.Helper()
	cmd := process(h.t.Context(), "groat", env, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// started returns the starts so far.
func (h *home) started() []started {
	b, _ := os.ReadFile(h.starts)
	var all []started
	for line := range strings.Lines(string(b)) {
		var s started
		if err := json.Unmarshal([]byte(line), &s); err == nil && s.PID > 1 {
			all = append(all, s)
		}
	}
	return all
}
