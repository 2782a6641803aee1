package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// TestRealSignIn signs a person in with both programs as they are shipped: by a device's code, and by a browser, at the
// sandbox; then uses what came of it, and signs out.
func TestRealSignIn(t *testing.T) {
	server := sandbox.New(sandbox.Options{
		Users:   []sandbox.User{{Name: "ann@example.com", Password: "a dummy password"}},
		Clients: []sandbox.Client{{ID: "desk", RedirectURIs: []string{"http://127.0.0.1/callback"}}},
		Refresh: sandbox.Refresh{Always: true, Rotate: true}, Device: sandbox.Device{Interval: time.Second},
		APIKeys: []sandbox.APIKey{{Prefix: "api-key", Value: "a dummy key"}},
	})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := newRealHome(t)
	issuer := []string{"--issuer", server.Issuer(), "--client-id", "desk", "--client-auth", "none"}

	x := r.terminal(append([]string{"login", "phone", "--grant", "device_code"}, issuer...)...)
	x.expect("this waits for you\n")
	code := regexp.MustCompile(`code: ([A-Z]{4}-[A-Z]{4})\n`).FindStringSubmatch(x.shown())
	if code == nil || !strings.Contains(x.shown(), "\n  "+server.URL()) || !strings.Contains(x.shown(), "▀") {
		t.Fatalf("it shows\n%s", x.shown())
	}
	if err := server.ApproveDevice(code[1]); err != nil {
		t.Fatal(err)
	}
	x.expect("signed in: profile phone at " + server.Issuer() + "; access token good for 1")
	x.expect("next: groat get phone\n")
	x.end(0)

	server.SetConsent(sandbox.ConsentAllow)
	x = r.terminal(append([]string{"login", "desk", "--grant", "authorization_code"}, issuer...)...)
	x.expect(questionPaste)
	x.write("http://127.0.0.1:1/callback?code=x&state=y\n")
	x.expect("groat: That was ")
	page, err := http.Get(r.opened()[1])
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, page.Body)
	page.Body.Close()
	x.expect("signed in: profile desk at " + server.Issuer())
	x.end(0)
	if page.StatusCode != http.StatusOK {
		t.Errorf("the browser ended at %s", page.Status)
	}

	if got := r.run("", "get", "desk", "--output", "header"); got.code != 0 ||
		!strings.HasPrefix(got.stdout, "Authorization: Bearer ") {
		t.Errorf("%+v", got)
	}
	if got := r.run("", "login", "desk"); got.code != 0 || !strings.HasPrefix(got.stdout,
		"already signed in: profile desk at ") {
		t.Errorf("again: %+v", got)
	}
	want := fmt.Sprintf("signed out: the session at %s has ended, and profile desk is forgotten on this machine\n",
		server.Issuer())
	if got := r.run("", "logout", "desk"); got != (outcome{0, want, ""}) {
		t.Errorf("%+v", got)
	}
	want = fmt.Sprintf("signed out: profile phone is forgotten on this machine\nnote: nothing was ended at %s\n",
		server.Issuer())
	if got := r.run("", "logout", "phone", "--keep-remote"); got != (outcome{0, want, ""}) {
		t.Errorf("%+v", got)
	}

	r.run("a dummy key\n", "login", "key", "--provider", "planet-key", "--secret-stdin")
	if got := r.run("", "get", "key", "--output", "header"); got != (outcome{0, "Authorization: api-key a dummy key\n",
		""}) {
		t.Errorf("%+v", got)
	}
	if got := r.run("", "login"); got.code != 0 || !strings.Contains(got.stdout, "\nplanet-user ") ||
		!strings.HasSuffix(got.stdout, textHowToLogin) {
		t.Errorf("%+v", got)
	}
}

// TestRealInterrupt leaves a device's sign-in, which groatd then gives up: another one can be begun. groatd learns of
// it from the end of the connection, which may come after the next sign-in has begun and joined this one.
func TestRealInterrupt(t *testing.T) {
	server := sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: "desk"}}})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := newRealHome(t)
	args := []string{"login", "phone", "--grant", "device_code", "--issuer", server.Issuer(), "--client-id", "desk",
		"--client-auth", "none"}
	interrupt := func() (codes int) {
		x := r.terminal(args...)
		x.expect("this waits for you\n")
		x.write("\x03")
		x.end(130)
		return server.Count(server.DevicePath())
	}
	if codes := interrupt(); codes != 1 {
		t.Errorf("%d codes after the first sign-in", codes)
	}
	// A login that went on would be joined each time, and no second code asked for.
	for deadline := time.Now().Add(patience); interrupt() < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the first sign-in goes on")
		}
	}
}

// TestRealImport takes nothing over that its provider does not accept, and changes nothing of the other program's.
func TestRealImport(t *testing.T) {
	r := newRealHome(t)
	file := filepath.Join(r.dir, "key.json")
	if err := os.WriteFile(file, []byte(`{"detail":"Not authenticated"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	got := r.run("", "import", "--from", file, "--yes")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "cannot be imported: ") || !strings.Contains(got.stdout, file) {
		t.Errorf("%+v", got)
	}
	if got := r.run("", "import", "--from", "none.json"); got.code != report.ExitConfig ||
		!strings.Contains(got.stderr, "/none.json does not exist") {
		t.Errorf("%+v", got)
	}
	if got := r.run("", "import", "--dry-run"); got != (outcome{0, "found nothing to import\nnext: groat login\n",
		""}) {
		t.Errorf("%+v", got)
	}
	r.vars = append(r.vars, "PL_API_KEY=PLAKdummy0123456789", "SPATIAFI_CLIENT_ID=") // the person's, and not groatd's
	got = r.run("", "import", "--yes")
	if got.code != 0 || !strings.Contains(got.stdout, "imported: Planet API key, as profile planet") ||
		!strings.Contains(got.stdout, "unset PL_API_KEY") {
		t.Errorf("%+v", got)
	}
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	next, ok := strings.CutPrefix(lines[len(lines)-1], "next: groat ")
	if !ok {
		t.Fatalf("it ends with %q", lines[len(lines)-1])
	}
	if got := r.run("", strings.Fields(next)...); got != (outcome{0, "Authorization: api-key PLAKdummy0123456789\n",
		""}) {
		t.Errorf("%s: %+v", next, got)
	}
}

// realHome is a home with the programs as they are shipped and a stand-in for the browser; groatd starts by itself.
type realHome struct {
	*desktop
	bin  string
	vars []string
}

func newRealHome(t *testing.T) *realHome {
	t.Helper()
	r := &realHome{desktop: newDesktop(t, 0), bin: buildPrograms(t, "groat", "groat-commands", "groatd")}
	// A groatd that says that it was started, and is groatd then.
	if err := os.Rename(filepath.Join(r.bin, "groatd"), filepath.Join(r.bin, "groatd.real")); err != nil {
		t.Fatal(err)
	}
	starts := filepath.Join(r.dir, "starts")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\nexec %s/groatd.real\n", starts, r.bin)
	parts.WriteProgram(t, filepath.Join(r.bin, "groatd"), script)
	t.Cleanup(func() { stopAll(t, starts) })
	r.vars = r.env(r.dir+"/run/agent.sock", "HOME="+r.dir, "GROAT_KEYSTORE=memory", "GROAT_STATE_DIR="+r.dir+"/state",
		"XDG_CONFIG_HOME="+r.dir+"/config")
	return r
}

func (r *realHome) terminal(args ...string) *terminal {
	r.t.Helper()
	return startProgram(r.t, filepath.Join(r.bin, "groat"), 100, r.vars, args...)
}

func (r *realHome) run(stdin string, args ...string) outcome {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.bin, "groat"), args...)
	var out, errs strings.Builder
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.vars, "/", strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}
