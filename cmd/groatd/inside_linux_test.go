package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// TestSecretsStayInside runs the commands on ways that go well and ways that do not, at servers that send back what they
// got. The password and the secrets are known to the test; none may be in an output, a log, a file, an argument or an
// environment: resident.run and world.close look for them.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	r := newResident(t, stranger)
	r.start()
	server := r.signIn("work")
	r.groat(r.secret+"\n", "login", "lab", "--token-url", server.URL()+"/token", "--client-auth", "client_secret_post", "--client-id", labClient, "--secret-stdin")

	at := func(args ...string) []string { return append(args, "--auth-server", server.URL(), "--secret-stdin") }
	for _, test := range []struct {
		typed string // on stdin
		path  string // that sends back
		back  string // what it was sent
		args  []string
	}{
		{r.password, sandbox.SpatiafiBasicPath, r.password, at("login", "a", "--provider", "spatiafi", "--username", person)},
		{r.wrong, sandbox.SpatiafiBasicPath, r.wrong, at("login", "a", "--provider", "spatiafi", "--username", person)},
		{r.password, sandbox.SpatiafiTokenPath, r.password, at("login", "b", "--provider", "climateengine", "--username", person)},
		{r.secret, sandbox.SpatiafiTokenPath, r.secret, at("login", "d", "--provider", "spatiafi", "--client-id", labClient, "--client-auth", "client_secret_basic")},
		{r.wrong, "/token", r.wrong, []string{"login", "e", "--issuer", server.URL(), "--client-id", labClient, "--secret-stdin"}},
		{r.wrong, "/token", r.wrong, []string{"login", "lab", "--client-id", "other", "--secret-stdin"}},
		{r.wrong, "/token", r.secret, []string{"get", "lab", "--scope", "new"}},
		{r.secret, "/token", r.secret, []string{"whoami", "lab"}},
		{r.secret, "/token", r.secret, []string{"get", "lab", "--refused"}},
		{r.secret, "", "", []string{"keystore", "use", "memory", "--passphrase-stdin"}},
		{r.secret, "", "", []string{"unlock", "--passphrase-stdin"}},
		{r.secret, "", "", []string{"helper", "git", "get"}},
		{r.secret, "", "", []string{"nonsense"}},
		{"", "", "", []string{"status"}}, {"", "", "", []string{"status", "--json"}}, {"", "", "", []string{"list"}},
		{"", "", "", []string{"reload"}}, {"", "", "", []string{"keystore"}}, {"", "", "", []string{"version"}},
		{"", "", "", []string{"get", "work", "--output", "env"}}, {"", "", "", []string{"whoami", "work", "--json"}},
	} {
		for _, f := range echoes(test.back) {
			server.ClearFaults()
			server.Script(test.path, f)
			r.run(test.typed+"\n", "groat", test.args...)
		}
	}
	server.ClearFaults()
	r.restart()
	r.groat("", "get", "lab")
	r.groat("", "get", "work")
	for _, l := range r.logs {
		if text, _ := l.snapshot(); !strings.Contains(text, "ready") {
			t.Error("a log that is searched is not groatd's")
		}
	}
}

// echoes are answers that hold what they are answers to.
func echoes(sent string) []sandbox.Fault {
	if sent == "" {
		return []sandbox.Fault{{}}
	}
	quoted, _ := json.Marshal(sent)
	return []sandbox.Fault{
		{Status: 401, Body: `{"error":"invalid_client","error_description":` + string(quoted) + `}`},
		{Status: 400, Body: `{"detail":` + string(quoted) + `}`},
		{Status: 400, Body: `{"error":` + string(quoted) + `}`},
		{Status: 502, Body: sent},
		{Status: 200, Body: `{"access_token":` + string(quoted) + `,"token_type":"bearer"}`},
		{Raw: "HTTP/1.1 200 OK\r\n" + sent + "\r\n\r\n"},
		{Raw: sent},
	}
}

// A process of the same user can read nothing of groatd's memory, and groatd leaves no core when it dies.
func TestMemoryIsClosed(t *testing.T) {
	t.Parallel()
	r := newResident(t, stranger)
	cores := filepath.Join(r.home, "cores")
	r.dir(cores, 0o700, stranger)
	// A core is wanted, and has a place to go.
	r.vars = []string{"GOTRACEBACK=crash"}
	p := r.startIn(cores)
	r.signIn("work")

	open := `for f in mem environ maps; do ( exec 3<"/proc/$1/$f" ) 2>/dev/null && echo "$f"; done; ls "/proc/$1/fd" >/dev/null 2>&1 && echo fd; exit 0`
	// To be sure that the question is a fair one: a process that is not closed answers it with all four.
	if s := r.run("", "/bin/sh", "-c", `sh -c "$1" sh $$`, "sh", open); s.stdout != "mem\nenviron\nmaps\nfd\n" {
		t.Fatalf("of an ordinary process can be opened: %q %s", s.stdout, s.stderr)
	}
	if s := r.run("", "/bin/sh", "-c", open, "sh", fmt.Sprint(p.pid())); s.stdout != "" {
		t.Errorf("a process of the same user can open these of groatd: %q", s.stdout)
	}

	r.daemon = nil
	state, err := p.stop(syscall.SIGABRT)
	if err != nil {
		t.Fatal(err)
	}
	status := state.Sys().(syscall.WaitStatus)
	if state.Success() {
		t.Errorf("groatd ended with %s", state)
	}
	if left, _ := os.ReadDir(cores); status.CoreDump() || len(left) > 0 {
		t.Errorf("groatd left a core: %s, %v", state, left)
	}
}
