package e2e_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A bug costs the request, the connection, the login or the renewal that hit it, and says where it is. What was at hand
// when it happened, a secret too, is in no answer and no log.
func TestBugs(t *testing.T) {
	tier.Long(t, "it builds a groatd with bugs")
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	p := r.startVariant(buggy(t), "/")
	server := r.signIn("work")
	lab := []string{"login", "lab", "--token-url", server.URL() + server.TokenPath(), "--client-auth",
		sandbox.ClientSecretPost, "--client-id", labClient, "--secret-stdin"}
	r.groat(r.secret+"\n", lab...)
	secret, err := json.Marshal(r.secret)
	if err != nil {
		t.Fatal(err)
	}
	const said = "groatd has a bug: string in "
	for _, test := range []struct {
		name    string
		provoke func(t *testing.T, r *userEnv)
	}{
		{"in a request", func(t *testing.T, r *userEnv) {
			answers := r.say(`{"jsonrpc":"2.0","id":1,"method":"bug","params":{"x":`+string(secret)+`}}`,
				`{"jsonrpc":"2.0","id":2,"method":"status"}`)
			if len(answers) != 2 || !strings.Contains(answers[0]+answers[1], said) ||
				!strings.Contains(answers[0]+answers[1], `"kind":"internal"`) {
				t.Errorf("the answers are %s", answers)
			}
		}},
		{"in the reading of requests", func(t *testing.T, r *userEnv) {
			answers := r.say(`{"jsonrpc":"2.0","id":1,"method":"token",` +
				`"params":{"profile":"bug-in-reading","audience":` + string(secret) + `}}`)
			if len(answers) != 0 {
				t.Errorf("the answers are %s", answers)
			}
		}},
		{"in a login", func(t *testing.T, r *userEnv) {
			r.refused(r.run(r.secret+"\n", "groat", "login", "more", "--subject", "bug-in-login"), 1, said, "")
		}},
		{"in a login's request to the server", func(t *testing.T, r *userEnv) {
			r.refused(r.run(r.secret+"\n", "groat", append(lab, "--scope", "bug-in-asking")...), 1, said, "")
		}},
		{"in a renewal", func(t *testing.T, r *userEnv) {
			r.refused(r.run("", "groat", "get", "lab", "--scope", "bug-in-asking again"), 1, said, "")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := r.in(t)
			before, _ := p.log.snapshot()
			test.provoke(t, r)
			if got := r.groat("", "get", "work"); got == "" || serving(r.socket()) != p.pid() {
				t.Error("groatd did not go on")
			}
			r.groat("", "get", "lab")
			if err := p.waitLog(regexp.MustCompile(`(?s)\A` + regexp.QuoteMeta(before) + ".*" +
				regexp.QuoteMeta(said))); err != nil {
				t.Error(err)
			}
		})
	}
	if text, _ := p.log.snapshot(); strings.Contains(text, "goroutine ") {
		t.Errorf("a stack was printed:\n%s", text)
	}
	r.crashes(p, func() {
		r.say(`{"jsonrpc":"2.0","id":1,"method":"crash","params":{"x":` + string(secret) + `,"padding":"` +
			strings.Repeat("x", 64) + `"}}`)
	},
		"panic: assignment to entry in nil map")
}

// Whatever groatd dies of, what it prints of its stacks and registers holds no secret.
func TestCrashesTellNothing(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, os.Getuid())
	r.start()
	r.signIn("work")
	for _, s := range []syscall.Signal{syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL,
		syscall.SIGTRAP, syscall.SIGSYS} {
		if r.daemon == nil {
			r.start()
		}
		p := r.daemon
		r.groat("", "get", "work")
		r.crashes(p, func() { p.cmd.Process.Signal(s) }, "SIG[A-Z]+: ")
	}
}

// crashes has groatd die, which must print where it was and nothing else.
func (r *userEnv) crashes(p *process, kill func(), says string) {
	r.t.Helper()
	r.daemon = nil
	kill()
	state, err := p.wait()
	if err != nil {
		r.t.Fatal(err)
	}
	text, _ := p.log.snapshot()
	if state.ExitCode() != 2 || !regexp.MustCompile(says).MatchString(text) || !strings.Contains(text, "goroutine ") {
		r.t.Errorf("groatd ended with %s:\n%s", state, text)
	}
	if what := r.find(text) + r.inWords(text); what != "" {
		r.t.Errorf("what it printed holds %s:\n%s", what, text)
	}
}

// inWords says whether eight bytes of any secret stand in a text as a register or an argument is printed.
func (c *canaries) inWords(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for secret := range c.secrets {
		for i := len("canary +/&=%:\""); i+8 <= len(secret); i++ {
			if word := fmt.Sprintf("%x", binary.LittleEndian.Uint64([]byte(secret[i:]))); strings.Contains(text, word) {
				return "eight bytes of a secret in a word, " + word
			}
		}
	}
	return ""
}

// say sends lines over one connection and returns what is answered until its end.
func (r *userEnv) say(lines ...string) (answers []string) {
	r.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.socket(), Net: "unix"})
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write([]byte(strings.Join(lines, "\n") + "\n"))
	c.CloseWrite()
	for in := bufio.NewScanner(c); in.Scan(); {
		answers = append(answers, in.Text())
	}
	for _, a := range answers {
		if what := r.find(a); what != "" {
			r.t.Errorf("an answer holds %s: %s", what, a)
		}
	}
	return answers
}
