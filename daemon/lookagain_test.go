package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A profile that a person has written by hand is known when it is asked for, by every method and by the address that it lists. A
// mistake in the files is named instead of a profile that there is not, and what was in use goes on.
func TestH80AProfileWrittenByHand(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(h.config, "profiles.d", name+".toml")
		old := time.Now().Add(-time.Hour)
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(method string, params any, kind protocol.Kind, says string) {
		t.Helper()
		err := c.Call(t.Context(), method, params, nil)
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || e.Kind() != kind || !strings.Contains(e.Message, says) {
			t.Errorf("%s: %v, want %s with %q", method, err, kind, says)
		}
	}
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "a"}, protocol.UnknownProfile, `there is no profile "a"`)
	for name, do := range map[string]func(name string){
		"token": func(name string) {
			ask(protocol.MethodToken, protocol.TokenParams{Profile: name}, protocol.LoginRequired, "")
		},
		"whoami": func(name string) {
			ask(protocol.MethodWhoami, protocol.WhoamiParams{Profile: name}, protocol.LoginRequired, "")
		},
		"status": func(name string) {
			if err := c.Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: name}, nil); err != nil {
				t.Error(err)
			}
		},
		"target": func(name string) {
			ask(protocol.MethodToken, protocol.TokenParams{Target: "https://" + name + ".example/x"}, protocol.LoginRequired, "")
		},
	} {
		write(name, "provider = \"spatiafi\"\nresources = [\"https://"+name+".example\"]\n")
		do(name)
	}
	write("bad", "provider = \"spatiafi\"\nnonsense = 1\n")
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "bad"}, protocol.Config, "bad.toml:2: ")
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "none"}, protocol.Config, "bad.toml:2: ")
	if err := c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "work"}, nil); err != nil {
		t.Error("what was in use:", err)
	}
	write("bad", "provider = \"spatiafi\"\n")
	h.loading.Lock()
	h.looked.at = h.looked.at.Add(-lookAgainTime) // a second later
	h.loading.Unlock()
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "bad"}, protocol.LoginRequired, "")
}

// Where the files are as they were, nobody who asks for a profile that there is not has them read.
func TestH81NothingIsReadInVain(t *testing.T) {
	h := newHouse(t, sandbox.Options{})
	dir := filepath.Join(h.config, "profiles.d")
	old := time.Now().Add(-time.Hour)
	file := filepath.Join(dir, "a.toml")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, []byte("provider = \"spatiafi\"\n"), 0o600), os.Chtimes(dir, old, old)); err != nil {
		t.Fatal(err)
	}
	if err := h.lookAgain(); err != nil {
		t.Fatal(err)
	}
	before := h.profiles.Load()
	if before.byName["a"] == nil {
		t.Fatal("a is not known")
	}
	for range 3 {
		if err := h.lookAgain(); err != nil || h.profiles.Load() != before {
			t.Errorf("it was read again: %v", err)
		}
	}
	// Files that cannot be used are not read for everybody who asks.
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "b.toml"), []byte("x"), 0o600), os.Chtimes(dir, old.Add(time.Second), old.Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	first := h.lookAgain()
	if again := h.lookAgain(); first == nil || again != first {
		t.Errorf("%v, then %v", first, again)
	}
}
