package daemon

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A profile that a person has written by hand is known when it is asked for, by every method and by the address that it
// lists. A mistake in the files is named instead of a profile that there is not, and what was in use goes on.
func TestH80AProfileWrittenByHand(t *testing.T) {
	inBubble(t, sandbox.Options{}, aProfileWrittenByHand)
}

func aProfileWrittenByHand(t *testing.T, h *env, _ *faultyStore) {
	h.signIn(t, h.ofMachine("work"))
	c := h.visit(t)
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
			if err := c.Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: name},
				nil); err != nil {
				t.Error(err)
			}
		},
		"target": func(name string) {
			ask(protocol.MethodToken, protocol.TokenParams{Target: "https://" + name + ".example/x"},
				protocol.LoginRequired, "")
		},
	} {
		write(name, "provider = \"spatiafi\"\nresources = [\"https://"+name+".example\"]\n")
		do(name)
	}
	write("bad", "provider = \"spatiafi\"\nnonsense = 1\n")
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "bad"}, protocol.Config, "bad.toml:2: ")
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "none"}, protocol.UnknownProfile, "")
	if err := c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "work"}, nil); err != nil {
		t.Error("what was in use:", err)
	}
	write("bad", "provider = \"spatiafi\"\n")
	ask(protocol.MethodToken, protocol.TokenParams{Profile: "bad"}, protocol.LoginRequired, "")
}

// Where a service manager starts the daemon, a configuration that cannot be used is the answer to every request for a
// profile. A parameter out of its bounds is told first: it stays wrong when the configuration is mended.
func TestAnInvalidParameterIsToldBeforeABrokenConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte("oops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, Options{Config: configIn(t, dir), Activated: true})
	defer d.Close(t.Context())
	here, there := pair(t)
	go d.newConn(there, ourselves(t)).serve()
	c := &raw{here, bufio.NewReader(here)}
	for _, method := range []string{"token", "reject", "whoami", "logout", "login", "status"} {
		for params, code := range map[string]int{
			`"profile":"work"`:     protocol.NewError(protocol.Config, "", "").Code,
			`"profile":"../work"`:  protocol.CodeInvalidParams,
			`"profile":["a list"]`: protocol.CodeInvalidParams,
		} {
			request := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"access_token":"dummy",` +
				params + `}}`
			c.say(t, request+"\n")
			line, _ := c.hear(t)
			var a answer
			if err := json.Unmarshal([]byte(line), &a); err != nil || a.Error == nil || a.Error.Code != code {
				t.Errorf("%s: %s, want the code %d", request, line, code)
			}
		}
	}
}
