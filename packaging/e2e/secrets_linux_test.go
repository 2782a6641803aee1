package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/sealed"
)

// TestSecretsStayIn is one canary run: every command, every method, every way to sign in and to be refused, with
// secrets that the test knows. Then it looks everywhere.
func TestSecretsStayIn(t *testing.T) {
	t.Parallel()
	v := newWatchedEnv(t)
	v.watchDataKey()
	v.peopleSignIn()
	t.Run("every command", func(t *testing.T) { testEveryCommand(t, v) })
	v.watchDataKey() // that of the file as it is now
	t.Run("every method", func(t *testing.T) { testEveryMethod(t, v) })
	t.Run("the Python module", func(t *testing.T) { testPythonModule(t, v) })
	t.Run("servers that send back", func(t *testing.T) { testServersThatSendBack(t, v) })
	t.Run("a second start", func(t *testing.T) {
		v := v.in(t)
		v.restart() // from what is stored
		v.succeeds("", "get", "machine")
		v.succeeds("", "get", "confidential")
	})
	t.Run("everywhere", func(t *testing.T) { testEverywhere(t, v) })
}

// watchDataKey watches for the key of the sealed file, which nobody ever types.
func (v *watchedEnv) watchDataKey() {
	v.t.Helper()
	source := sealed.Passphrase{Params: filepath.Join(v.home, ".local", "state", "groat", "sealed.kdf"),
		Passphrase: keystore.SecretString(v.passphrase)}
	key, err := source.Key(v.t.Context(), false)
	if err != nil {
		v.t.Fatal(err)
	}
	v.add("the sealed file's key", key.Reveal())
}

// peopleSignIn signs in to what takes a person: in a browser, with a code, at a terminal.
func (v *watchedEnv) peopleSignIn() {
	v.t.Helper()
	own := []string{"--issuer", v.server.Issuer(), "--client-auth", "none", "--client-id", ownClient, "--scope",
		"openid email", "--grant"}
	if code := v.throughTheBrowser(v.visit, append(append([]string{"login", "session"}, own...), "authorization_code",
		"--no-browser")...); code != 0 {
		v.t.Fatalf("a sign-in by browser ended with %d", code)
	}
	s := v.startLogin("", "confidential", "--issuer", v.server.Issuer(), "--client-auth", "client_secret_basic",
		"--client-id", ownSecret, "--grant", "authorization_code")
	s.asks("Client secret of " + ownSecret)
	s.types(v.secret)
	v.look(s)
	v.visit(s.address())
	s.succeeds()
	if code := v.throughTheBrowser(v.visit, append(append([]string{"login", "second"}, own...), "authorization_code",
		"--no-browser")...); code != 0 {
		v.t.Fatalf("a sign-in by browser ended with %d", code)
	}
	v.server.SetConsent(sandbox.ConsentForm)
	d := v.startLogin("", append(append([]string{"device"}, own...), "device_code")...)
	if err := v.server.ApproveDevice(d.code()); err != nil {
		v.t.Fatal(err)
	}
	v.look(d)
	d.succeeds()
	for _, each := range []*loginRun{s, d} {
		screen, _ := each.screen.snapshot()
		v.search("the terminal", screen, nothing)
	}
}

// look searches what the system shows of a groat login that waits.
func (v *watchedEnv) look(s *loginRun) {
	v.t.Helper()
	pid := s.cmd.Process.Pid
	if err := errors.Join(v.findInProcess(pid), v.tokens.findInProcess(pid), v.ids.findInProcess(pid)); err != nil {
		v.hit("%v", err)
	}
}

// testEverywhere looks into what was left behind, and makes sure that it would see something there.
func testEverywhere(t *testing.T, v *watchedEnv) {
	v = v.in(t)
	p := v.daemon
	t.Run("E6 signals that end nothing", func(t *testing.T) {
		v := v.in(t)
		for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE, syscall.SIGQUIT} {
			p.cmd.Process.Signal(s)
		}
		if err := p.waitLog(regexp.MustCompile("still here")); err != nil {
			t.Error(err)
		}
		v.succeeds("", "get", "machine")
		if text, _ := p.log.snapshot(); strings.Contains(text, "goroutine ") || serving(v.socket()) != p.pid() {
			t.Errorf("groatd has printed stacks, or is another one: %s", text)
		}
	})
	all := []*canaries{&v.canaries, v.tokens, v.ids, v.typos}
	for _, c := range all {
		if err := errors.Join(c.findInProcess(p.pid()), c.findInFiles(v.home, v.runtime)); err != nil {
			v.hit("%v", err)
		}
		for _, l := range v.logs {
			text, _ := l.snapshot()
			if what := c.find(text); what != "" {
				v.hit("groatd's log holds %s:\n%s", what, text)
			}
			if !strings.Contains(text, "ready") {
				t.Errorf("a log that is searched is not groatd's: %s", text)
			}
		}
	}
	searched := v.testReplies()
	v.wouldBeSeen()
	t.Logf("figure: secrets searched for = %d, and %d access tokens, ID tokens and API keys, each in %d forms",
		len(v.secrets), len(v.tokens.secrets)+len(v.ids.secrets), len(formsOf(v.secret)))
	t.Logf("figure: places searched for them = %d: "+
		"outputs, %d conversations over the socket, logs, files, all of /proc/PID", v.texts+v.tokens.texts, searched)
	t.Logf("figure: secrets found where none may be = %d", v.hits.Load())
}

var (
	asksForToken = regexp.MustCompile(`"method":"(token|reject)"`)
	asksForID    = regexp.MustCompile(`"method":"(token|reject)".*"token_use":"id"`)
)

// testReplies searches what groatd said over its socket.
func (v *watchedEnv) testReplies() (conversations int) {
	v.t.Helper()
	heard, said := v.tap.snapshot()
	typed, tokens, ids := canaries{}, 0, 0
	for what, secret := range map[string]string{"the password": v.password, "the client secret": v.secret,
		"the passphrase": v.passphrase, "the API key": v.apiKey} {
		typed.add(what, secret)
	}
	for i := range said {
		want := nothing
		switch {
		case asksForID.Match(heard[i]):
			want = idToken
		case asksForToken.Match(heard[i]):
			want = accessToken
		}
		v.search("a reply", string(said[i]), want)
		if want == accessToken && v.tokens.find(string(said[i])) != "" {
			tokens++
		}
		if want == idToken && v.ids.find(string(said[i])) != "" {
			ids++
		}
	}
	if n := len(typed.found(bytes.Join(heard, nil))); n < len(typed.secrets) || tokens == 0 || ids == 0 {
		v.t.Errorf("of %d secrets that were typed %d are in what was recorded, and %d tokens and %d ID tokens in "+
			"replies: the recording is not what was said", len(typed.secrets), n, tokens, ids)
	}
	return len(said)
}

// wouldBeSeen plants a secret in each kind of place, to be sure that the search is one.
func (v *watchedEnv) wouldBeSeen() {
	v.t.Helper()
	if err := v.findInFiles(v.mine); err == nil {
		v.t.Error("the person's own files hold secrets, and none was found")
	}
	if err := v.findInProcess(v.daemon.pid()); err != nil {
		v.t.Error(err)
	}
	c := exec.Command("/bin/sh", "-c", "read x", v.secret)
	c.Env = []string{"SECRET=" + v.passphrase}
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	found := fmt.Sprint(v.findInProcess(c.Process.Pid))
	in.Close()
	c.Wait()
	for _, name := range []string{"cmdline", "environ"} {
		if !strings.Contains(found, fmt.Sprintf("/proc/%d/%s shows", c.Process.Pid, name)) {
			v.t.Errorf("of a process that has secrets in its %s is found: %s", name, found)
		}
	}
}
