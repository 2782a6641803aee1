package e2e_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol/frame"
)

// person may sign in at every server of these tests, and labClient is a client there.
const (
	person    = "alice@example.com"
	labClient = "lab-client"
)

// env is what a test has to itself: a home, servers, a groatd, and the secrets in it.
type env struct {
	home    string // everything that groat and groatd write is below it or below run
	runtime string // the runtime directory: short, for the socket's sake
	servers map[string]*server
	daemon  *process // nil while none runs that the test started
	logs    []*logbook
	canaries

	// password is the person's, secret the lab client's, wrong is neither.
	password, secret, wrong string
}

// newEnv makes a home below dir.
func newEnv(dir string) (*env, error) {
	e := &env{home: filepath.Join(dir, "home"), servers: map[string]*server{}}
	for _, s := range []struct {
		what string
		into *string
	}{{"the password", &e.password}, {"the client secret", &e.secret}, {"the wrong secret", &e.wrong}} {
		// Characters that are written differently in a form, in a URL and in JSON.
		*s.into = "canary +/&=%:\"" + rand.Text()
		e.add(s.what, *s.into)
	}
	if err := os.MkdirAll(e.home, 0o700); err != nil {
		return nil, err
	}
	var err error
	e.runtime, err = os.MkdirTemp("", "groat-run-") // mode 0700
	return e, err
}

// socket is the socket of this home's place; link is the plain path, for programs that know no places.
func (e *env) socket() string {
	return filepath.Join(e.runtime, "groat", "d."+frame.UsualPlace(e.home).ID(), "agent.sock")
}

func (e *env) link() string { return filepath.Join(e.runtime, "groat", "agent.sock") }

// variables are the environment variables of every program here. None comes from the person who runs the tests.
func (e *env) variables() []string {
	return []string{
		"HOME=" + e.home, "PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=" + e.runtime,
		"XDG_RUNTIME_DIR=" + e.runtime, "XDG_CONFIG_HOME=" + e.home + "/.config",
		"XDG_STATE_HOME=" + e.home + "/.local/state",
		// There is no bus, so no keychain: not even this machine's own.
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + e.runtime + "/no-bus",
		"GROAT_NO_AUTOSTART=1",
	}
}

// addServer starts a sandbox by its options: lifetime=, latency=, skew=, auth=, scopes=, path=.
func (e *env) addServer(name string, options ...string) (*server, error) {
	o := sandbox.Options{
		Users:   []sandbox.User{{Name: person, Password: e.password}},
		Clients: []sandbox.Client{{ID: labClient, Secret: e.secret}},
	}
	later := url.Values{}
	for _, option := range options {
		switch key, value := splitOption(option); key {
		case "auth":
			o.ClientAuth = strings.Split(value, ",")
		case "scopes":
			o.Scopes = strings.Split(value, ",")
		case "path":
			o.IssuerPath = value
		default:
			later.Set(key, value)
		}
	}
	s, err := startServer(o, func(secret string) { e.add("a created client's secret", secret) })
	if err != nil {
		return nil, err
	}
	e.servers[name] = s
	if len(later) > 0 {
		return s, s.control("set", later)
	}
	return s, nil
}

// control turns a knob of the sandbox (see package sandbox, control.go), also while it is down.
func (s *server) control(knob string, form url.Values) error {
	r := httptest.NewRequest(http.MethodPost, "/sandbox/"+knob, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = "127.0.0.1:1"
	answer := httptest.NewRecorder()
	s.Server.ServeHTTP(answer, r)
	if answer.Code != http.StatusNoContent {
		return fmt.Errorf("the sandbox's %s: %s", knob, strings.TrimSpace(answer.Body.String()))
	}
	return nil
}

// startDaemon starts groatd.
func (e *env) startDaemon(env []string, args ...string) error {
	p, err := startProcess("/", env, nil, args...)
	if err != nil {
		return err
	}
	e.daemon = p
	e.logs = append(e.logs, p.log)
	return nil
}

// stopDaemon asks groatd to stop and wants it to do so without a complaint.
func (e *env) stopDaemon() error {
	p := e.daemon
	if p == nil {
		return nil
	}
	e.daemon = nil
	leak := e.findInProcess(p.pid())
	state, err := p.stop(syscall.SIGTERM)
	if err == nil && !state.Success() {
		text, _ := p.log.snapshot()
		err = fmt.Errorf("groatd ended with %s: %s", state, text)
	}
	return errors.Join(leak, err)
}

// close ends everything, and says where a secret has come out.
func (e *env) close() error {
	for _, s := range e.servers {
		s.close() // first, so that groatd does not wait for an answer that never comes
	}
	errs := []error{e.stopDaemon()}
	if pid := serving(e.socket()); pid != 0 { // groat started it
		leak := e.findInProcess(pid)
		_, err := stopServing(e.socket())
		errs = append(errs, leak, err)
	}
	for _, l := range e.logs {
		text, _ := l.snapshot()
		if what := e.find(text); what != "" {
			errs = append(errs, fmt.Errorf("groatd's log holds %s", what))
		}
	}
	errs = append(errs, e.findInFiles(e.home, e.runtime), os.RemoveAll(e.runtime))
	return errors.Join(errs...)
}
