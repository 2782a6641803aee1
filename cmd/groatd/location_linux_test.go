package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// program writes a shell script.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "getent")
	parts.WriteProgram(t, path, "#!/bin/sh\n"+text+"\n")
	return path
}

// A user who is not in /etc/passwd is looked up by a program that gets no environment and one second.
func TestH21UsualHome(t *testing.T) {
	const unused = 4294967000
	t.Setenv("SECRET", "s")
	for name, c := range map[string]struct{ script, home string }{
		"an answer": {`[ "$1 $2" = "passwd 4294967000" ] && [ -z "$SECRET$HOME" ] && ` +
			`echo "ann:x:4294967000:1:Ann:/home/ann:/bin/sh"`, "/home/ann"},
		"about another user":     {`echo "ann:x:1000:1:Ann:/home/ann:/bin/sh"`, ""},
		"no such user":           {"exit 2", ""},
		"no answer":              {"exec sleep 60", ""},
		"a child that stays":     {"sleep 60 & echo", ""},
		"an answer without end":  {"exec yes", ""},
		"a home that is no path": {`echo "ann:x:4294967000:1:Ann::/bin/sh"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			if home, ok := usualHome(unused, program(t, c.script)); home != c.home || ok != (c.home != "") {
				t.Errorf("%q, %v", home, ok)
			}
			if took := time.Since(begun); took > 50*time.Second { // a program that is waited for sleeps for 60
				t.Errorf("it took %v", took)
			}
		})
	}
	if home, ok := usualHome(unused, "/nonexistent/getent"); ok {
		t.Errorf("without the program: %q", home)
	}
	if home, ok := usualHome(0, "/nonexistent/getent"); !ok || home != "/root" {
		t.Errorf("root: %q, %v", home, ok)
	}
}

// The groatd of the usual place replaces the alias at the plain path by its socket, and keeps the path.
func TestH22UsualPlaceTakesThePlainPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	place := frame.UsualPlace("/h")
	sockets := frame.Sockets{
		Dir: dir, Own: filepath.Join(dir, "d."+place.ID(), "agent.sock"), Plain: filepath.Join(dir, "agent.sock"),
		Alias: true,
	}
	log := zaptest.NewLogger(t)
	start := func(usual bool) *listener {
		t.Helper()
		s := location{protocol.PlaceStatus{ID: place.ID(), Place: place, Usual: usual}, sockets}
		l, err := listen(s, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.linkAlias(log)
		return l
	}
	other := start(false)
	defer other.release()
	if !isAlias(sockets.Plain) {
		t.Fatal("there is no link")
	}
	usual := start(true)
	info, err := os.Lstat(sockets.Plain)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	other.check(log) // it does not take it back
	if now, err := os.Lstat(sockets.Plain); err != nil || !os.SameFile(now, info) {
		t.Errorf("%v, %v", now, err)
	}
	// Somebody removes the socket, and the other one is faster.
	if err := os.Remove(sockets.Plain); err != nil {
		t.Fatal(err)
	}
	other.check(log)
	if !isAlias(sockets.Plain) {
		t.Error("there is no link")
	}
	usual.check(log)
	if isAlias(sockets.Plain) {
		t.Error("the link stays")
	}
	usual.release()
	other.check(log)
	if !isAlias(sockets.Plain) {
		t.Error("the link is not made again")
	}
	// A link to something else is left alone, by both.
	if err := errors.Join(os.Remove(sockets.Plain), os.Symlink("elsewhere/agent.sock", sockets.Plain)); err != nil {
		t.Fatal(err)
	}
	other.check(log)
	if target, err := os.Readlink(sockets.Plain); err != nil || target != "elsewhere/agent.sock" {
		t.Errorf("%q, %v", target, err)
	}
	_, err = listen(location{protocol.PlaceStatus{ID: place.ID(), Place: place, Usual: true}, sockets}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is in the way") {
		t.Error(err)
	}
}

// The record in the lock names the socket while groatd listens on it, and not afterwards.
func TestH23Record(t *testing.T) {
	state := t.TempDir()
	place := frame.Place{Home: "/h", Configuration: "/c", State: state}
	s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	if err := os.WriteFile(filepath.Join(state, "lock"), []byte(strings.Repeat("x", 9000)), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := lockState(s)
	if err != nil {
		t.Fatal(err)
	}
	says := func(socket string) {
		t.Helper()
		h, err := frame.ReadHolder(state)
		if err != nil || h.PID != os.Getpid() || h.Place != place || h.Socket != socket || !h.Here() {
			t.Errorf("%+v, %v", h, err)
		}
	}
	says("")
	lock.record("/s", "/o")
	says("/s")
	t.Run("M13 a shorter record", func(t *testing.T) {
		before, err := lock.file.Stat()
		lock.record("", "")
		after, err2 := lock.file.Stat()
		if err := errors.Join(err, err2); err != nil || after.Size() != before.Size() {
			t.Errorf("the file was cut: %v", err)
		}
		says("")
		lock.record("/s", "/o")
		says("/s")
	})
	_, err = lockState(s)
	if r, ok := errors.AsType[*refusal](err); !ok || r.code != exitCantCreate ||
		!strings.Contains(err.Error(), "another groatd runs (pid ") {
		t.Error(err)
	}
	s.Home = "/other"
	if _, err = lockState(s); err == nil ||
		!strings.Contains(err.Error(), "for another place: HOME=/h, configuration /c, state "+state) {
		t.Error(err)
	}
	// The socket is said to have gone before it goes.
	path := filepath.Join(t.TempDir(), "groat", "agent.sock")
	l, err := bind(path)
	if err != nil {
		t.Fatal(err)
	}
	l.says = func(string) {
		if c, err := net.Dial("unix", path); err != nil {
			t.Error("no process listens any more:", err)
		} else {
			c.Close()
		}
		lock.record("", "")
	}
	l.release()
	says("")
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = lockState(s); err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

// The environment leads to a place and a socket; one that does not is refused with what to set.
func TestFindLocation(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"GROAT_CONFIG", "GROAT_STATE_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	s, err := findLocation(flags{})
	if err != nil || s.Home != home || s.Usual || s.checkHome() != nil {
		t.Errorf("%+v, %v", s, err)
	}
	path := filepath.Join(home, "agent.sock")
	t.Setenv("GROAT_SOCKET", "")
	if err := s.findSockets(path); err != nil || s.socket() != path || s.alias() != "" {
		t.Errorf("the flag's socket: %q, %v", s.socket(), err)
	}
	refused := func(what, hint string, err error) {
		t.Helper()
		if r, ok := errors.AsType[*refusal](err); !ok || r.code != exitConfig || r.hint != hint {
			t.Errorf("a relative %s: %v", what, err)
		}
	}
	refused("--socket", "groatd -h", s.findSockets("agent.sock"))
	t.Setenv("GROAT_SOCKET", "agent.sock")
	refused("GROAT_SOCKET", "unset GROAT_SOCKET", s.findSockets(""))
	_, err = findLocation(flags{config: "config.toml"})
	refused("--config", "groatd -h", err)
	t.Setenv("GROAT_CONFIG", "config.toml")
	_, err = findLocation(flags{})
	refused("GROAT_CONFIG", "unset GROAT_CONFIG", err)
}
