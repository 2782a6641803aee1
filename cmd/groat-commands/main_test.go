package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/protocol/frame"
)

// patience bounds every wait for another process. It is reached only when something is broken.
const patience = 2 * time.Minute

// bin holds this test binary under its names, and is what the tests run as separate processes: groatd is [standIn], all
// others are the program under test.
var bin string

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "groat", helper.GitName, helper.DockerName, helper.CargoName, helper.KeyringName:
		main()
	case "groatd":
		standIn()
		return
	}
	os.Exit(install(m))
}

func install(m *testing.M) int {
	// Under nohup the tests ignore hang-ups, and so would their children: a signal that is caught here is
	// at its default there.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	self, err := os.Executable()
	if err == nil {
		bin, err = os.MkdirTemp("", "groat-test")
	}
	if err == nil {
		err = copyFile(filepath.Join(bin, "groat"), self)
	}
	for _, name := range []string{"groatd", helper.GitName, helper.DockerName, helper.CargoName, helper.KeyringName} {
		if err == nil {
			err = os.Symlink("groat", filepath.Join(bin, name))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the programs for the tests cannot be installed:", err)
		return 1
	}
	defer os.RemoveAll(bin)
	if testing.CoverMode() != "" {
		counters, err := os.MkdirTemp("", "groat-test-counters")
		if err != nil {
			fmt.Fprintln(os.Stderr, "there is no directory for the counters of -cover:", err)
			return 1
		}
		defer os.RemoveAll(counters)
		runtimeEnv = append(runtimeEnv, "GOCOVERDIR="+counters)
	}
	return m.Run()
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// shortDir is a temporary directory with a path that leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "gr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// request is one line as the daemon's side reads it.
type request struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  map[string]any  `json:"params"`
}

// fakeDaemon is a daemon that is written from PROTOCOL.md by hand, so that the client is tested against the
// specification and not against the other half of its own library.
type fakeDaemon struct {
	socket  string
	hangUps int // the first requests end their connections without an answer; to be set before the first one
	mu      sync.Mutex
	got     []request
}

// newFakeDaemon serves with answer, which returns the reply's "result" or "error" member as JSON text.
func newFakeDaemon(t *testing.T, answer func(r request) string) *fakeDaemon {
	return newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + answer(r) + `}`)
	})
}

// newScriptedDaemon serves with talk, which is called for each request, may send any lines and read further requests.
func newScriptedDaemon(t *testing.T, talk func(r request, say func(string), hear func() request)) *fakeDaemon {
	t.Helper()
	f := &fakeDaemon{socket: filepath.Join(shortDir(t), "s")}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c, talk) })
		}
	})
	return f
}

func (f *fakeDaemon) serve(c net.Conn, talk func(r request, say func(string), hear func() request)) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	ended, all := false, 0
	hear := func() request {
		var r request
		if !lines.Scan() {
			ended = true
			return r
		}
		json.Unmarshal(lines.Bytes(), &r)
		f.mu.Lock()
		f.got = append(f.got, r)
		all = len(f.got)
		f.mu.Unlock()
		return r
	}
	for {
		r := hear()
		if ended || all <= f.hangUps {
			return
		}
		talk(r, func(line string) { io.WriteString(c, line+"\n") }, hear)
	}
}

// requests returns what was asked so far, but for "hello", by which a command at a terminal learns in the end which
// groatd it was.
func (f *fakeDaemon) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.got), func(r request) bool { return r.Method == "hello" })
}

// outcome is what a run of groat left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs groat in this process against the daemon at socket, without a terminal.
func run(t *testing.T, socket, stdin string, args ...string) outcome {
	t.Helper()
	return runEnv(t, socket, stdin, map[string]string{"GROAT_NO_AUTOSTART": "1"}, args...)
}

func runEnv(t *testing.T, socket, stdin string, env map[string]string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{
		stdin:  strings.NewReader(stdin),
		stdout: &out,
		stderr: &errs,
		getenv: func(name string) string { return env[name] },
		tty:    func() (*os.File, error) { return nil, os.ErrNotExist },
		route:  func() (*frame.Route, error) { return &frame.Route{Sockets: frame.Sockets{Explicit: socket}}, nil },
	}
	code := a.main("groat", args)
	return outcome{code, out.String(), errs.String()}
}

// process prepares groat, or one of its other names, as a process of its own with exactly this environment.
func process(ctx context.Context, name string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = append(env, runtimeEnv...)
	cmd.Dir = "/"
	return cmd
}

// runtimeEnv is what Go's runtime is told in each process of this test binary: under the race detector not to wait a
// second before it ends, and under -cover where its counters go, without which it writes a warning to stderr.
var runtimeEnv = []string{"GORACE=atexit_sleep_ms=0"}

const tokenResult = `"result":{"access_token":"abc.DEF-123_~+/==","token_type":"Bearer","expires_at":1790000000,` +
	`"expires_in":839,` +
	`"scope":"read write","profile":"work","header":"Authorization: Bearer abc.DEF-123_~+/==","later":true}`
