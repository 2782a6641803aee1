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

// world is what a test has to itself: a home, servers, a groatd, and the secrets in it.
type world struct {
	home    string // everything that groat and groatd write is below it or below run
	runtime string // the runtime directory: short, for the socket's sake
	servers map[string]*server
	daemon  *process // nil while none runs that the test started
	logs    []*logbook
	canaries

	// password is the person's, secret the lab client's, wrong is neither.
	password, secret, wrong string
}

// newWorld makes a home below dir.
func newWorld(dir string) (*world, error) {
	w := &world{home: filepath.Join(dir, "home"), servers: map[string]*server{}}
	for _, s := range []struct {
		what string
		into *string
	}{{"the password", &w.password}, {"the client secret", &w.secret}, {"the wrong secret", &w.wrong}} {
		// Characters that are written differently in a form, in a URL and in JSON.
		*s.into = "canary +/&=%:\"" + rand.Text()
		w.add(s.what, *s.into)
	}
	if err := os.MkdirAll(w.home, 0o700); err != nil {
		return nil, err
	}
	var err error
	w.runtime, err = os.MkdirTemp("", "groat-run-") // mode 0700
	return w, err
}

// socket is the socket of this world's place, and link the path that programs know which know no places.
func (w *world) socket() string {
	return filepath.Join(w.runtime, "groat", "d."+frame.UsualPlace(w.home).ID(), "agent.sock")
}

func (w *world) link() string { return filepath.Join(w.runtime, "groat", "agent.sock") }

// env is the environment of everything in this world. Nothing of the person's who runs the tests is in it.
func (w *world) env() []string {
	return []string{
		"HOME=" + w.home, "PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=" + w.runtime,
		"XDG_RUNTIME_DIR=" + w.runtime, "XDG_CONFIG_HOME=" + w.home + "/.config", "XDG_STATE_HOME=" + w.home + "/.local/state",
		// There is no bus, so no keychain: not even this machine's own.
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + w.runtime + "/no-bus",
		"GROAT_NO_AUTOSTART=1",
	}
}

// addServer starts a sandbox by its options: lifetime=, latency=, skew=, auth=, scopes=, path=.
func (w *world) addServer(name string, options ...string) (*server, error) {
	o := sandbox.Options{
		Users: []sandbox.User{{Name: person, Password: w.password}}, Clients: []sandbox.Client{{ID: labClient, Secret: w.secret}},
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
	s, err := startServer(o, func(secret string) { w.add("a created client's secret", secret) })
	if err != nil {
		return nil, err
	}
	w.servers[name] = s
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

// startDaemon starts the world's groatd.
func (w *world) startDaemon(env []string, args ...string) error {
	p, err := startProcess("/", env, nil, args...)
	if err != nil {
		return err
	}
	w.daemon = p
	w.logs = append(w.logs, p.log)
	return nil
}

// stopDaemon asks groatd to stop and wants it to do so without a complaint.
func (w *world) stopDaemon() error {
	p := w.daemon
	if p == nil {
		return nil
	}
	w.daemon = nil
	leak := w.findInProcess(p.pid())
	state, err := p.stop(syscall.SIGTERM)
	if err == nil && !state.Success() {
		text, _ := p.log.snapshot()
		err = fmt.Errorf("groatd ended with %s: %s", state, text)
	}
	return errors.Join(leak, err)
}

// close ends everything, and says where a secret has come out.
func (w *world) close() error {
	for _, s := range w.servers {
		s.close() // first, so that groatd does not wait for an answer that never comes
	}
	errs := []error{w.stopDaemon()}
	if pid := serving(w.socket()); pid != 0 { // groat started it
		leak := w.findInProcess(pid)
		_, err := stopServing(w.socket())
		errs = append(errs, leak, err)
	}
	for _, l := range w.logs {
		text, _ := l.snapshot()
		if what := w.find(text); what != "" {
			errs = append(errs, fmt.Errorf("groatd's log holds %s", what))
		}
	}
	errs = append(errs, w.findInFiles(w.home, w.runtime), os.RemoveAll(w.runtime))
	return errors.Join(errs...)
}
