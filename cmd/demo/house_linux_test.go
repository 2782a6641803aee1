package main

import (
	"context"
	"errors"
	"fmt"
	"net"
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
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// patience bounds every wait. None takes a tenth of it, unless the machine is very busy.
const patience = 2 * time.Minute

// house is a person's machine as the README finds it: a home, the two programs on PATH, a desktop's keychain, a network
// with the servers that it names.
type house struct {
	t    *testing.T
	dir  string
	env  []string
	auth string // the sandbox's URL
	used map[*row]bool

	manager *parts.UserManager // nil until something is asked of it
}

// prelude is what every shell of the house begins with.
const prelude = `
elsewhere() { (
	dir=$(mktemp -d "$HOME/../e.XXXXXX")
	export HOME="$dir" XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir/c" XDG_STATE_HOME="$dir/s"
	"$@"
) }
# browse is the person's browser: it opens the address that a sign-in shows, and goes where it is sent.
browse() {
	while read -r line; do
		case $line in *"/authorize?"*) curl -sSfL "http${line#*http}" >/dev/null ;; esac
	done
}
`

func newHouse(t *testing.T) *house {
	t.Helper()
	const dummy = "dummy password and client secret of this test"
	server := sandbox.New(sandbox.Options{
		Users: []sandbox.User{{Name: "you@example.com", Password: dummy}},
		Clients: []sandbox.Client{
			{ID: "11111111-2222-4333-8444-555555555555", Secret: dummy}, {ID: "lab-client", Secret: dummy},
			{ID: "lab-app", Method: sandbox.None, RedirectURIs: []string{"http://127.0.0.1/callback"}},
		},
		Consent: sandbox.ConsentAllow,
	})
	people := sandbox.New(sandbox.Options{
		Dialect: sandbox.Auth0, Consent: sandbox.ConsentAllow, Device: sandbox.Device{Interval: time.Second},
		Users: []sandbox.User{{Name: "you@example.com", Password: dummy}},
		Clients: []sandbox.Client{
			{ID: public(t, "earthscope"), Method: sandbox.None}, {ID: public(t, "planet-user"), Method: sandbox.None},
		},
	})
	for _, s := range []*sandbox.Server{server, people} {
		if err := s.Start(""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
	}
	dir, err := os.MkdirTemp("", "groat-readme-") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: dir, auth: server.URL(), used: map[*row]bool{}}
	t.Cleanup(h.close)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"password.txt", "secret.txt"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(dummy+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.env = []string{
		"HOME=" + home, "PATH=" + parts.Binaries(t) + ":/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=" + dir,
		"XDG_RUNTIME_DIR=" + dir, "XDG_CONFIG_HOME=" + home + "/.config", "XDG_STATE_HOME=" + home + "/.local/state",
		"DBUS_SESSION_BUS_ADDRESS=" + parts.StartSecretService(t).Address,
		"AUTH=" + h.auth, "PEOPLE=" + people.URL(), "AUTHLIB_INSECURE_TRANSPORT=1", // plain http, on loopback
	}
	return h
}

// public returns the client id of a provider's own programs.
func public(t *testing.T, provider string) string {
	t.Helper()
	p, ok := preset.Lookup(provider)
	if !ok {
		t.Fatalf("there is no provider %s", provider)
	}
	return p.For(p.Grants[0]).ClientID
}

// close ends every groatd that the README's commands have started, and removes everything.
func (h *house) close() {
	sockets, _ := filepath.Glob(h.dir + "/groat/agent.sock")
	more, _ := filepath.Glob(h.dir + "/*/groat/agent.sock")
	if sockets = append(sockets, more...); len(sockets) == 0 {
		h.t.Error("no groatd runs: it should have started by itself")
	}
	for _, s := range sockets {
		if err := end(s); err != nil {
			h.t.Errorf("%s: %v", s, err)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Error(err)
	}
}

// end asks the process behind a socket to end, and waits until it has.
func end(socket string) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(int(peer.Pid), 0)
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

// run runs a piece of shell.
func (h *house) run(script string) {
	h.t.Helper()
	if script != "" {
		h.command("/bin/sh", "-euc", prelude+script)
	}
}

// python runs a block of Python, and then calls the API with the session that it has made.
func (h *house) python(text string) {
	h.t.Helper()
	text += fmt.Sprintf("\nprint(session.get(%q, timeout=30).status_code)\n", h.auth+"/api/info")
	if out := h.command("/usr/bin/python3", "-c", text); out != "200\n" {
		h.t.Errorf("the session's call was answered with %s", out)
	}
}

func (h *house) command(program string, args ...string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env, c.Dir = h.env, filepath.Join(h.dir, "home")
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		h.t.Errorf("%v\n%s\n%s", err, strings.TrimPrefix(args[len(args)-1], prelude), out)
	}
	return string(out)
}

// asTester runs a command as the user of a systemd user manager, with what it needs of the repository.
func (h *house) asTester(command string) {
	h.t.Helper()
	if h.manager == nil {
		h.manager = parts.StartUserManager(h.t)
		copyInto(h.t, h.manager.Dir, "packaging/systemd/groatd.socket", "packaging/systemd/groatd.service")
	}
	h.manager.Run(h.t, "sh", "-euc", "cd "+h.manager.Dir+" && "+command)
	if strings.HasPrefix(command, "systemctl") {
		if got := h.manager.Run(h.t, "systemctl", "--user", "is-active", "groatd.socket"); got != "active" {
			h.t.Errorf("after %s the socket is %s", command, got)
		}
	}
}

// copyInto copies files of the repository, where every user can read them.
func copyInto(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(readFile(t, filepath.Join(root, name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// isTarget makes sure that the Makefile knows what make is asked for.
func (h *house) isTarget(command string) {
	h.t.Helper()
	target := strings.TrimPrefix(command, "make ")
	if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(readFile(h.t, root+"/Makefile")) {
		h.t.Errorf("the Makefile does not know %q", target)
	}
}
