package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// holdLock takes the lock of a state directory and writes a record into it, as a groatd does that runs there.
func holdLock(t *testing.T, state string, h frame.Holder) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(state, frame.LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
}

// A groatd that finds the state held by another one ends with 73. The error says at once which process holds it, on
// which host, and what to do: no caller waits three seconds for a socket that never comes.
func TestH9WhoHoldsTheState(t *testing.T) {
	host, boot := frame.ThisHost()
	for name, c := range map[string]struct {
		change func(h *frame.Holder)
		env    []string
		code   int
		says   []string
		hint   string
	}{
		"another host": {func(h *frame.Holder) { h.Host = "node17" }, nil, report.ExitUnavailable,
			[]string{"groatd of host node17 (pid 1, socket /run/x/agent.sock) holds the state directory"},
			frame.LocalState() + " groat login work"},
		"a host of the same name": {func(h *frame.Holder) { h.Boot = "other" }, []string{"GROAT_PROFILE=lab"},
			report.ExitUnavailable,
			[]string{"holds the state directory"}, frame.LocalState() + " groat login lab"},
		"a socket that is not there": {func(*frame.Holder) {}, nil, report.ExitUnavailable,
			[]string{"groatd of host " + host +
				" (pid 1, socket /run/x/agent.sock) runs, and its socket cannot be reached from here"},
			"kill -HUP 1 && groat status"},
		"processes that are not seen": {func(h *frame.Holder) { h.PID = 1 << 30 }, nil, report.ExitUnavailable,
			[]string{"cannot be reached from here"}, frame.LocalState() + " groat login work"},
		"another place": {func(h *frame.Holder) { h.Place.Home = "/home/alice" }, nil, report.ExitConfig,
			[]string{"for another place (HOME=/home/alice, ", "this is HOME="}, "env -u GROAT_STATE_DIR groat status"},
		"another configuration": {func(h *frame.Holder) { h.Place.Configuration = "/c d" }, nil, report.ExitConfig,
			[]string{"configuration /c d"}, "groat status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, "73")
			runtime, profiles := filepath.Join(h.dir, "xdg"), filepath.Join(h.dir, ".config", "groat", "profiles.d")
			for _, dir := range []string{runtime, profiles} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range []string{"; rm -rf x.toml", "work.toml"} {
				if err := os.WriteFile(filepath.Join(profiles, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			place := frame.UsualPlace(h.dir)
			place.State = h.state
			record := frame.Holder{PID: 1, Host: host, Boot: boot, Place: place, Socket: "/run/x/agent.sock"}
			c.change(&record)
			holdLock(t, h.state, record)
			env := append([]string{"HOME=" + h.dir, "XDG_RUNTIME_DIR=" + runtime, "GROAT_STATE_DIR=" + h.state},
				c.env...)
			// Waiting for a groatd to start would take 10 s each time. On a machine that is very busy groat may take
			// that long without waiting, so the fastest of three runs counts.
			var got outcome
			tries, fastest := 0, 3*time.Second
			for ; tries < 3 && fastest >= 3*time.Second; tries++ {
				begun := time.Now()
				got = h.run(env, "get")
				fastest = min(fastest, time.Since(begun))
			}
			if fastest >= 3*time.Second {
				t.Errorf("it waited")
			}
			for _, says := range c.says {
				if !strings.Contains(got.stderr, says) {
					t.Errorf("it does not say %q", says)
				}
			}
			if got.code != c.code || !twoLines(got.stderr) || !strings.HasSuffix(got.stderr, c.hint+"\n") {
				t.Errorf("%+v, want the hint %s", got, c.hint)
			}
			if name == "another configuration" && !strings.Contains(got.stderr,
				" GROAT_CONFIG='/c d' GROAT_STATE_DIR="+h.state+" groat status") {
				t.Errorf("hint: %s", got.stderr)
			}
			if n := len(h.started()); n == 0 || n > 3*tries {
				t.Errorf("%d daemons were started", n)
			}
		})
	}
}

// The record that a killed groatd has left in its lock is not believed.
func TestH10StaleRecord(t *testing.T) {
	host, boot := frame.ThisHost()
	for name, record := range map[string]string{
		"nothing": "", "a pid of an older version": "4711\n", "cut short": `{"pid":1,"ho`,
		"another host's": `{"pid":1,"host":"node17","socket":"/s"}`,
		"this host's":    `{"pid":1073741824,"host":"` + host + `","boot":"` + boot + `","socket":"/run/x/agent.sock"}`,
		"long":           strings.Repeat(" ", 2*frame.MaxHolder),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, "")
			runtime := filepath.Join(h.dir, "xdg")
			if err := os.Mkdir(runtime, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.state, frame.LockFile), []byte(record), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"HOME=" + h.dir, "XDG_RUNTIME_DIR=" + runtime, "GROAT_STATE_DIR=" + h.state}
			if got := h.run(env, "get"); got != (outcome{0, gotToken, ""}) {
				t.Errorf("%+v", got)
			}
			if n := len(h.started()); n != 1 {
				t.Errorf("%d daemons were started", n)
			}
		})
	}
}
