package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// ownLine is a line of groatd's log.
var ownLine = regexp.MustCompile(`^\S+\t(info|warn|error)\t`)

// Whatever variables somebody has set to see more, groatd says nothing more: those that the Go runtime obeys are gone,
// and no other is asked for a level. Over TLS, for what there is to see in it.
func TestDebuggingIsOff(t *testing.T) {
	t.Parallel()
	// To be sure that the question is a fair one: these two are obeyed by programs that do nothing about it.
	r := newUserEnv(t, os.Getuid())
	r.vars = []string{"GODEBUG=inittrace=1", "LD_PRELOAD=/nonexistent/lib.so"}
	if s := r.run("", "groat", "version"); !strings.Contains(s.stderr, "init runtime") {
		t.Errorf("GODEBUG has no effect on a Go program: %s", s.stderr)
	}
	if s := r.run("", "/bin/true"); !strings.Contains(s.stderr, "/nonexistent/lib.so") {
		t.Errorf("LD_PRELOAD has no effect on a program: %s", s.stderr)
	}
	r.vars = nil
	server := sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: labClient, Secret: r.secret}}})
	if err := server.StartTLS(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ca, traces := filepath.Join(r.home, "ca.pem"), filepath.Join(r.home, "traces")
	if err := os.WriteFile(ca, server.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(traces, 0o700); err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(server.URL(), "127.0.0.1", "localhost", 1) // a name, for the resolver to talk of
	for i, test := range []struct {
		name string
		vars []string
		kept bool // it stands in the environment, and nobody cares
	}{
		{name: "HTTP/2", vars: []string{"GODEBUG=http2debug=2,http2client=1"}},
		{name: "collector", vars: []string{"GODEBUG=gctrace=1,scavtrace=1,gcpacertrace=1"}},
		{name: "resolver", vars: []string{"GODEBUG=netdns=go+2"}},
		{name: "start", vars: []string{"GODEBUG=inittrace=1"}},
		{name: "stacks", vars: []string{"GODEBUG=tracebackancestors=100", "GOTRACEBACK=system"}},
		{name: "crash", vars: []string{"GOTRACEBACK=crash"}},
		{name: "keys of TLS", vars: []string{"SSLKEYLOGFILE=" + traces + "/keys"}},
		{name: "races and coverage", vars: []string{"GORACE=log_path=" + traces + "/race", "GOCOVERDIR=" + traces}},
		{name: "a library", vars: []string{"LD_PRELOAD=/nonexistent/lib.so", "LD_DEBUG=all"}, kept: true},
		{name: "levels of others", kept: true, vars: []string{
			"GROAT_DEBUG=1", "GROAT_LOG=debug", "GROAT_LOG_LEVEL=debug", "GROATD_DEBUG=1", "DEBUG=*", "LOG_LEVEL=debug",
			"LOGLEVEL=debug", "LOG=debug",
			"ZAP_LEVEL=debug", "VERBOSE=1", "SYSTEMD_LOG_LEVEL=debug", "G_MESSAGES_DEBUG=all", "DBUS_VERBOSE=1",
			"GRPC_GO_LOG_SEVERITY_LEVEL=info",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := r.in(t)
			r.vars = append([]string{"SSL_CERT_FILE=" + ca}, test.vars...)
			p := r.start()
			if i == 0 {
				r.groat("", "keystore", "use", "sealed", "--key-file")
				r.groat(r.secret+"\n", "login", "lab", "--token-url", address+server.TokenPath(), "--client-auth",
					"client_secret_post", "--client-id", labClient, "--secret-stdin")
			}
			r.groat("", "get", "lab")
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid()))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range test.vars {
				if kept := slices.Contains(strings.Split(string(environ), "\x00"), v); kept != test.kept {
					t.Errorf("%s stands in groatd's environment: %v", v, kept)
				}
			}
			r.daemon = nil
			state, err := p.stop(map[bool]syscall.Signal{true: syscall.SIGABRT,
				false: syscall.SIGTERM}[test.name == "crash"])
			text, _ := p.log.snapshot()
			// ours prints where it was and ends; with the variable it would have asked for a core
			if test.name == "crash" {
				text, _, _ = strings.Cut(text, "SIGABRT: abort\n")
				if err != nil || state.ExitCode() != 2 {
					t.Errorf("groatd ended with %v, %v", state, err)
				}
			} else if err != nil || !state.Success() {
				t.Errorf("groatd ended with %v, %v", state, err)
			}
			for line := range strings.Lines(text) {
				// What the runtime prints before main is about packages, in a process that has read nothing.
				if before := strings.HasPrefix(line, "init ") && test.name == "start"; !ownLine.MatchString(line) &&
					!before {
					t.Errorf("groatd printed %q", line)
				}
			}
		})
	}
	if left := names(t, traces); len(left) > 0 {
		t.Errorf("these were written: %s", left)
	}
}

// passedOn are the variables that groat gives the groatd that it starts, by the beginnings of their names.
var passedOn = regexp.MustCompile(
	`^(HOME|USER|LOGNAME|PATH|LANG|TZ|TMPDIR|LC_\w+|XDG_\w+|DBUS_SESSION_BUS_ADDRESS|` +
		`GROAT_(SOCKET|CONFIG|STATE_DIR|KEYSTORE)|(?i:http|https|all|no)_(?i:proxy)|SSL_CERT_(FILE|DIR))=`)

// The groatd that groat starts gets nothing of what stands in the environment of whoever called.
func TestNothingIsPassedOn(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	planted := []string{
		"MY_TOKEN=" + r.secret, "CLIENT_SECRET=" + r.secret, "AWS_SECRET_ACCESS_KEY=" + r.password,
		"GROAT_PROFILE=" + r.password, "XDGX=" + r.secret,
		"GROAT_PASSWORD=" + r.password, "GODEBUG=gctrace=1", "GOTRACEBACK=crash", "LD_PRELOAD=" + r.secret,
		"SSLKEYLOGFILE=/nonexistent", "PWD=/" + r.secret,
	}
	r.vars = append(slices.Clone(planted), "GROAT_NO_AUTOSTART=")
	c := exec.CommandContext(t.Context(), filepath.Join(bin, "groat"), "list")
	c.Env, c.Dir = r.environ(), "/"
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pid := serving(r.socket())
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.FieldsFunc(string(environ), func(c rune) bool { return c == 0 })
	for _, v := range got {
		if !passedOn.MatchString(v) || slices.Contains(planted, v) {
			t.Errorf("groatd was given %q", v)
		}
	}
	if len(got) < 5 {
		t.Errorf("groatd was given %q only", got)
	}
	if err := r.findInProcess(pid); err != nil {
		t.Error(err)
	}
}
