package pages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// What the person of the tests types. No server but the sandbox knows it.
const (
	password   = "dummy password and client secret of this test"
	passphrase = "a passphrase of seven words for tests"
	another    = "another passphrase of seven words for tests"
)

// tutorialClient is a client of which App Credentials are in a file, as the provider's tutorial has it.
const tutorialClient = "11111111-2222-4333-8444-555555555555"

// answers are the questions that groat asks along the README.
var answers = []answer{
	{regexp.MustCompile(`(?m)^Provider, or [^\n]*: \z`), "spatiafi", false},
	{regexp.MustCompile(`(?m)^Name of the profile [^\n]*: \z`), "work", false},
	{regexp.MustCompile(`(?m)^(Password|Client secret) of [^\n]*: \z`), password, true},
	{regexp.MustCompile(`(?m)^Old passphrase: \s+New passphrase: (\s+The same again: )?\z`), another, true},
	{regexp.MustCompile(`(?m)^(New passphrase|The same again|Old passphrase|Passphrase[^\n]*): \z`), passphrase, true},
	{regexp.MustCompile(`\[y/N\] \z`), "y", false},
}

// servers are the providers of the README, as sandboxes under the providers' own names.
type servers struct {
	spatiafi, climate, earthscope, planet, lab *sandbox.Server
}

// newServers returns sandboxes in which the README's person and clients exist.
func newServers(t *testing.T) servers {
	t.Helper()
	you := []sandbox.User{{Name: "you@example.com", Password: password}}
	people := func(url, provider string) *sandbox.Server {
		return sandbox.New(sandbox.Options{
			URL: url, Dialect: sandbox.Auth0, Users: you, Consent: sandbox.ConsentAllow,
			Device:  sandbox.Device{Interval: time.Second},
			Clients: []sandbox.Client{{ID: publicClient(t, provider), Method: sandbox.None}},
		})
	}
	s := servers{
		spatiafi: sandbox.New(sandbox.Options{
			URL: "https://auth.spatiafi.com", Users: you, Clients: []sandbox.Client{{ID: tutorialClient, Secret: password}},
		}),
		climate: sandbox.New(sandbox.Options{
			URL: "https://auth.climateengine.com", Users: you,
			Clients: []sandbox.Client{{ID: "11111111-2222-4333-8444-555555555555", Secret: password}},
		}),
		earthscope: people("https://login.earthscope.org", "earthscope"),
		planet:     people("https://login.planet.com", "planet-user"),
		lab: sandbox.New(sandbox.Options{
			URL: "https://login.example.org", Users: you, Consent: sandbox.ConsentAllow, Clients: []sandbox.Client{
				{ID: "lab-client", Secret: password},
				{ID: "lab-app", Method: sandbox.None, RedirectURIs: []string{"http://127.0.0.1/callback"}},
			},
		}),
	}
	for _, server := range s.all() {
		t.Cleanup(server.Close)
	}
	return s
}

func (s servers) all() []*sandbox.Server {
	return []*sandbox.Server{s.spatiafi, s.climate, s.earthscope, s.planet, s.lab}
}

// hosts returns who answers under which name.
func (s servers) hosts() map[string]http.Handler {
	return map[string]http.Handler{
		"auth.spatiafi.com": s.spatiafi, "api.spatiafi.com": s.spatiafi,
		"auth.climateengine.com": s.climate, "api.climateengine.org": s.climate,
		"login.earthscope.org": s.earthscope, "login.planet.com": s.planet,
		"login.example.org": s.lab, "git.example.org": gitServer(s.lab),
	}
}

// publicClient returns the client id of a provider's own programs.
func publicClient(t *testing.T, provider string) string {
	t.Helper()
	p, ok := preset.Lookup(provider)
	if !ok {
		t.Fatalf("there is no provider %s", provider)
	}
	return p.For(p.Grants[0]).ClientID
}

// gitServer is a server with one repository, for requests whose password is an access token of issuer. It speaks the
// part of git's HTTP protocol that lists branches (gitprotocol-http(5), "Smart Clients").
func gitServer(issuer http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := r.BasicAuth()
		asked := httptest.NewRequest(http.MethodGet, "https://login.example.org/api/info", nil)
		asked.Header.Set("Authorization", "Bearer "+token)
		answered := httptest.NewRecorder()
		if token != "" {
			issuer.ServeHTTP(answered, asked)
		}
		if token == "" || answered.Code != http.StatusOK {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/data.git/info/refs" {
			http.NotFound(w, r)
			return
		}
		line := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		fmt.Fprint(w, line("# service=git-upload-pack\n"), "0000",
			line(strings.Repeat("1", 40)+" refs/heads/main\x00agent=test\n"), "0000")
	})
}

// machine is a person's computer: a home directory, a checkout of the repository in which the person works, and a
// network.
type machine struct {
	t    *testing.T
	net  *network
	dir  string // of everything below
	work string // the checkout
	tmp  string
	env  []string
}

// newMachine makes a computer whose variables are vars beside the usual ones. It ends every groatd that was started
// by itself when the test is over, and wants one.
func newMachine(t *testing.T, n *network, vars ...string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "groat-pages-") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, net: n, dir: dir, work: filepath.Join(dir, "groat"), tmp: filepath.Join(dir, "tmp")}
	home, run := filepath.Join(dir, "home"), filepath.Join(dir, "run")
	for _, d := range []string{home, run, m.tmp, filepath.Join(home, ".local"), filepath.Join(home, ".local/bin")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.env = append([]string{
		"HOME=" + home, "PATH=" + home + "/.local/bin:" + filepath.Dir(goProgram(t)) + ":/usr/bin:/bin",
		"LANG=C.UTF-8", "TERM=xterm", "TMPDIR=" + m.tmp, "XDG_RUNTIME_DIR=" + run,
		"GOMODCACHE=" + goEnv(t, "GOMODCACHE"), "GOCACHE=" + goEnv(t, "GOCACHE"), "GOTOOLCHAIN=local",
	}, vars...)
	t.Cleanup(func() {
		m.endDaemon()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return m
}

func goProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		t.Fatal(err)
	}
	return program
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// write puts a file for the person where the path below the machine's directory says.
func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

// run gives the text of a block to a shell on a terminal, with a person in front of it, and returns what was shown. A
// command that fails, also within a pipeline, fails the test.
func (m *machine) run(b Block) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	cmd := exec.Command("/bin/bash", "-euo", "pipefail", "-c", b.Text)
	cmd.Env, cmd.Dir = m.env, m.work
	shown, err := atTerminal(ctx, m.net, cmd, answers)
	if err != nil {
		m.t.Fatalf("%s:%d: %v; on the screen stood:\n%s", b.Page, b.Line, err, shown)
	}
	return shown
}

// usePrograms has the machine's groat be the one in a directory, without an installation.
func (m *machine) usePrograms(dir string) {
	for i, v := range m.env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			m.env[i] = "PATH=" + dir + ":" + path
		}
	}
}

// groatd returns the process id of the machine's.
func (m *machine) groatd() int {
	m.t.Helper()
	pid, err := peerOf(filepath.Join(m.dir, "run/groat/agent.sock"))
	if err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// endDaemon ends groatd as the end of the machine does, and returns when it has ended.
func (m *machine) endDaemon() {
	m.t.Helper()
	if err := endPeer(filepath.Join(m.dir, "run/groat/agent.sock")); err != nil {
		m.t.Errorf("groatd should have started by itself: %v", err)
	}
}

// peerOf returns the process behind a socket.
func peerOf(socket string) (int, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}

// endPeer asks the process behind a socket to end, and waits until it has.
func endPeer(socket string) error {
	pid, err := peerOf(socket)
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		return err
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = errors.New("it did not end")
		}
		return err
	}
}
