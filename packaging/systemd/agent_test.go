package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// A credential that only the sandbox of these tests knows.
const (
	clientID = "unit-client"
	secret   = "not-a-secret-of-anybody-0123456789"
)

// patience is for what the manager does by itself and does not announce.
const patience = 2 * time.Minute

// agent is groatd under its units in a real user manager.
type agent struct {
	*parts.UserManager
	groat string
}

// startAgent installs the units with two changes, which a drop-in makes as a person would: where groatd is, and a
// watchdog that does not take half a minute.
func startAgent(t *testing.T) *agent {
	t.Helper()
	a := &agent{UserManager: parts.StartUserManager(t)}
	bin := parts.Binaries(t)
	a.groat = filepath.Join(bin, "groat")
	for _, name := range []string{"groatd.socket", "groatd.service"} {
		a.Install(t, write(t, filepath.Join(a.Dir, name), unit(t, name, installed)), name)
	}
	dropIn := fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s/groatd\nWatchdogSec=1\n"+
		"Environment=GROAT_KEYSTORE=memory\n", bin)
	a.Install(t, write(t, filepath.Join(a.Dir, "test.conf"), dropIn), "groatd.service.d/test.conf")
	a.systemctl(t, "daemon-reload")
	a.systemctl(t, "enable", "--now", "groatd.socket")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the journal:\n%s", a.Journal(t))
		}
	})
	return a
}

func (a *agent) systemctl(t *testing.T, args ...string) string {
	t.Helper()
	return a.Run(t, append([]string{"systemctl", "--user"}, args...)...)
}

// property returns one property of the service.
func (a *agent) property(t *testing.T, name string) string {
	t.Helper()
	return a.systemctl(t, "show", "--value", "-p", name, "groatd.service")
}

func (a *agent) want(t *testing.T, name, want string) {
	t.Helper()
	if got := a.property(t, name); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
}

// await waits until the manager shows that ok holds.
func (a *agent) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func TestAgentUnderItsUnits(t *testing.T) {
	a := startAgent(t)
	const socket = "/run/user/4242/groat/agent.sock"

	// In this order: each step starts from the state that the one before left.
	t.Run("the socket is private from the start", func(t *testing.T) {
		got := a.Run(t, "stat", "-c", "%F %a %u", filepath.Dir(socket), socket)
		if want := "directory 700 4242\nsocket 600 4242"; got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		a.want(t, "ActiveState", "inactive")
	})
	t.Run("the first connection starts groatd", func(t *testing.T) {
		a.Run(t, a.groat, "status")
		a.want(t, "ActiveState", "active") // Type=notify: it said READY=1
		if text := a.property(t, "StatusText"); text == "" {
			t.Error("groatd says nothing of its status")
		}
	})
	t.Run("it is confined", func(t *testing.T) {
		status := a.Run(t, "grep", "-E", "^(NoNewPrivs|Seccomp|Umask):", "/proc/"+a.property(t, "MainPID")+"/status")
		if want := "Umask:\t0077\nNoNewPrivs:\t1\nSeccomp:\t2"; status != want {
			t.Errorf("got\n%s\nwant\n%s", status, want)
		}
	})
	t.Run("login and get", func(t *testing.T) { a.loginAndGet(t) })
	t.Run("reload", func(t *testing.T) {
		const profiles = parts.TesterHome + "/.config/groat/profiles.d"
		a.Run(t, "rm", profiles+"/unit.toml")
		a.systemctl(t, "reload", "groatd.service")
		a.await(t, "a status of no profiles",
			func() bool { return strings.Contains(a.property(t, "StatusText"), "0 profiles") })
	})
	t.Run("another user is refused", func(t *testing.T) { a.refuseOthers(t, socket) })
	t.Run("a daemon that hangs is replaced", func(t *testing.T) {
		pid := a.property(t, "MainPID")
		a.Run(t, "kill", "-STOP", pid)
		a.await(t, "a new groatd", func() bool {
			return a.property(t, "MainPID") != pid && a.property(t, "ActiveState") == "active"
		})
		a.want(t, "NRestarts", "1")
		a.Run(t, a.groat, "status")
	})
	t.Run("E20 a daemon that is killed is replaced and no caller notices", func(t *testing.T) {
		a.Run(t, "kill", "-KILL", a.property(t, "MainPID"))
		a.Run(t, a.groat, "status")
		a.await(t, "the second restart", func() bool { return a.property(t, "NRestarts") == "2" })
	})
	t.Run("stop is clean and the socket stays", func(t *testing.T) {
		a.systemctl(t, "stop", "groatd.service")
		a.want(t, "Result", "success")
		a.want(t, "ExecMainStatus", "0")
		a.Run(t, a.groat, "status")
		a.want(t, "ActiveState", "active")
	})
	t.Run("a broken configuration is what callers are told, and mending it is enough", func(t *testing.T) {
		a.systemctl(t, "stop", "groatd.service")
		a.Run(t, "sh", "-c", "echo 'not toml' >~/.config/groat/config.toml")
		out, err := a.Command(t, a.groat, "status").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "config.toml:1: ") ||
			!strings.Contains(string(out), "hint: ${EDITOR:-vi} ") {
			t.Errorf("groat status: %v\n%s", err, out)
		}
		a.want(t, "ActiveState", "active")
		a.Run(t, "sh", "-c", "rm ~/.config/groat/config.toml")
		a.systemctl(t, "reload", "groatd.service")
		a.await(t, "a status of no profiles",
			func() bool { return strings.Contains(a.property(t, "StatusText"), "0 profiles") })
		a.Run(t, a.groat, "status")
	})
	t.Run("E22 one that ends at each start is given up, and callers are told where to look",
		func(t *testing.T) { a.crashLoop(t) })
	t.Run("a stopped socket leaves nothing", func(t *testing.T) {
		a.systemctl(t, "stop", "groatd.socket", "groatd.service")
		a.Run(t, "test", "!", "-e", socket)
	})
}

// crashLoop puts a groatd in place that ends at once. The manager starts it a few times and no more; a caller gets
// an answer, and when groatd is mended one command brings it back.
func (a *agent) crashLoop(t *testing.T) {
	a.systemctl(t, "stop", "groatd.service")
	const dropIn = "groatd.service.d/zz-broken.conf"
	a.Install(t, write(t, filepath.Join(a.Dir, "broken.conf"), "[Service]\nExecStart=\nExecStart=/bin/false\n"), dropIn)
	a.systemctl(t, "daemon-reload")
	for range 2 { // the second finds no socket
		out, err := a.Command(t, a.groat, "get").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "hint: groat service start\n") {
			t.Errorf("groat get: %v\n%s", err, out)
		}
	}
	out, err := a.Command(t, a.groat, "service", "start").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "groatd.service failed") {
		t.Errorf("groat service start: %v\n%s", err, out)
	}
	a.await(t, "it is given up", func() bool { return a.property(t, "ActiveState") == "failed" })
	a.Run(t, "rm", parts.TesterHome+"/.config/systemd/user/"+dropIn)
	a.systemctl(t, "daemon-reload")
	a.Run(t, a.groat, "service", "start")
	a.want(t, "ActiveState", "active")
	a.Run(t, a.groat, "status")
}

// loginAndGet signs in to the sandbox, whose loopback address is the same inside, and gets its token.
func (a *agent) loginAndGet(t *testing.T) {
	server := sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: clientID, Secret: secret}}})
	if err := server.Start(""); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	login := a.Command(t, a.groat, "login", "unit", "--token-url", server.URL()+server.TokenPath(),
		"--client-auth", sandbox.ClientSecretBasic, "--client-id", clientID, "--secret-stdin")
	login.Stdin = strings.NewReader(secret + "\n")
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("groat login: %v\n%s", err, out)
	}
	first, second := a.Run(t, a.groat, "get"), a.Run(t, a.groat, "get", "unit")
	if first == "" || first != second {
		t.Errorf("two calls got different tokens, of %d and %d bytes", len(first), len(second))
	}
	if n := server.Count(server.TokenPath()); n != 1 {
		t.Errorf("%d requests for a login and two calls, want 1", n)
	}
	if strings.Contains(a.Journal(t), first) || strings.Contains(a.Journal(t), secret) {
		t.Error("the journal holds a credential")
	}
}

// refuseOthers asks as root, whom no file mode stops: groatd must hang up without a word, and groat must not trust it.
func (a *agent) refuseOthers(t *testing.T, socket string) {
	const ask = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])
try:
    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
    print(s.recv(1))
except ConnectionError:
    print(b"")
`
	out, err := a.RootCommand(t, "/usr/bin/python3", "-c", ask, socket).CombinedOutput()
	if err != nil || string(out) != "b''\n" {
		t.Errorf("root was answered %s (%v)", out, err)
	}
	var exit *exec.ExitError
	out, err = a.RootCommand(t, "env", "GROAT_SOCKET="+socket, a.groat, "get", "unit").Output()
	if exit, _ = err.(*exec.ExitError); exit == nil || len(out) > 0 {
		t.Errorf("groat as root: %v, %d bytes on stdout; want a failure and nothing", err, len(out))
	}
	out, err = a.RootCommand(t, "setpriv", "--reuid", "4243", "--regid", "4243", "--clear-groups",
		"env", "GROAT_SOCKET="+socket, "GROAT_NO_AUTOSTART=1", a.groat, "get", "unit").Output()
	if exit, _ = err.(*exec.ExitError); exit == nil || len(out) > 0 {
		t.Errorf("groat as another user: %v, %d bytes on stdout; want a failure and nothing", err, len(out))
	}
}

// TestSocketActivate starts groatd as any socket activator would, without systemd's units.
func TestSocketActivate(t *testing.T) {
	bin, dir := parts.Binaries(t), t.TempDir()
	for _, name := range []string{"run", "run/groat", "state"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "run/groat/agent.sock")
	env := []string{
		"PATH=/usr/bin:/bin", "HOME=" + dir, "GROAT_KEYSTORE=memory", "GROAT_STATE_DIR=" + dir + "/state",
		"GROAT_CONFIG=" + dir + "/config.toml", "GROAT_SOCKET=" + socket, "GROAT_NO_AUTOSTART=1",
	}
	args := []string{"--fdname=agent", "--listen=" + socket}
	for _, v := range env {
		args = append(args, "--setenv="+v)
	}
	activator := exec.Command("systemd-socket-activate", append(args, filepath.Join(bin, "groatd"))...)
	activator.Env = env
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	said := func() string {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	activator.Stderr = log
	if err := activator.Start(); err != nil {
		t.Fatalf("systemd-socket-activate: %v; if it is missing, run packaging/testing/install.sh", err)
	}
	t.Cleanup(func() {
		activator.Process.Signal(os.Interrupt) // by now it is groatd: the activator became it
		if err := activator.Wait(); err != nil {
			t.Errorf("groatd did not end cleanly: %v\n%s", err, said())
		}
		if _, err := os.Lstat(socket); err != nil {
			t.Errorf("groatd removed a socket that is not its own: %v", err)
		}
	})
	// The socket has its name before it can be connected to, so the activator's word is waited for.
	for end := time.Now().Add(patience); !strings.Contains(said(), "Listening on "); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("systemd-socket-activate does not listen: %s", said())
		}
	}
	status := exec.CommandContext(t.Context(), filepath.Join(bin, "groat"), "status", "--json")
	status.Env = env
	out, err := status.CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf(`"pid":%d`, activator.Process.Pid)) &&
		!strings.Contains(string(out), fmt.Sprintf(`"pid": %d`, activator.Process.Pid)) {
		t.Errorf("groat status: %v; want the answer of the activated groatd, pid %d\n%s", err, activator.Process.Pid,
			out)
	}
}
