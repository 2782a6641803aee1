package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Below a directory that others can write, none is private: who can write the one can put another in the other's place.
func TestDirectoriesBelowOpenOnes(t *testing.T) {
	for name, c := range map[string]struct {
		variable func(below string) string
		theErr   string // with the directory's path
	}{
		"state": {func(below string) string { return "GROAT_STATE_DIR=" + below + "/groat" },
			"the state directory %[1]s/mine/groat is no safe place: %[1]s "},
		"socket": {func(below string) string { return "GROAT_SOCKET=" + below + "/groat/s" },
			"the socket's directory %[1]s/mine/groat is no safe place: %[1]s "},
		"configuration": {func(below string) string { return "GROAT_CONFIG=" + below + "/" }, "%[1]s: "},
	} {
		for how, d := range map[string]struct {
			mode os.FileMode
			uid  int
			says string // nothing where it is fine
		}{
			"open":                {0o777, stranger, "may be written by others (mode 0777)"},
			"root's open":         {0o777, 0, "may be written by others (mode 0777)"},
			"root's sticky":       {0o777 | os.ModeSticky, 0, ""},
			"another's":           {0o755, stranger + 1, fmt.Sprintf("belongs to another user (uid %d)", stranger+1)},
			"of one's own group":  {0o775, stranger, ""}, // as where everybody has a group, and a umask of 002
			"of another's group":  {0o775, 0, "may be written by others (mode 0775)"},
			"nothing that others": {0o755, stranger, ""},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				r := newUserEnv(t, stranger)
				parent := filepath.Join(r.runtime, "p")
				r.dir(parent, 0o700, stranger)
				r.dir(filepath.Join(parent, "mine"), 0o700, stranger)
				r.dir(parent, d.mode, d.uid)
				r.vars = []string{c.variable(filepath.Join(parent, "mine"))}
				if d.says != "" {
					r.refused(r.run("", "groatd"), 78, fmt.Sprintf(c.theErr, parent)+d.says, parent)
					return
				}
				r.start()
				if err := r.stopDaemon(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// groatd that refuses its configuration has touched no socket: nobody can connect to one that is about to end.
func TestConfigurationIsReadBeforeTheSocketIsMade(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	r.dir(filepath.Dir(r.socket()), 0o700, stranger)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	r.own(r.socket(), stranger)
	before, err := os.Lstat(r.socket())
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(r.home, ".config", "groat")
	r.dir(config, 0o700, stranger)
	if err := os.WriteFile(filepath.Join(config, "config.toml"), []byte("oops\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, vars := range [][]string{nil, {"GROAT_CONFIG=/dev/null", "GROAT_KEYSTORE=magic"}} {
		r.vars = vars
		r.refused(r.run("", "groatd"), 78, "", "")
		if after, err := os.Lstat(r.socket()); err != nil || !os.SameFile(before, after) {
			t.Errorf("the stale socket was touched: %v", err)
		}
	}
}

// A keystore that is refused is what a groatd with a service manager's socket answers with: were it to end, the manager
// would start it for every caller, until it gives up.
func TestActivatedWithoutAKeystore(t *testing.T) {
	for name, c := range map[string]struct {
		spoil          func(r *userEnv)
		theErr, repair string
	}{
		"a choice that cannot stand": {func(r *userEnv) { r.vars = []string{"GROAT_KEYSTORE=magic"} },
			`GROAT_KEYSTORE is "magic"`, "systemctl --user unset-environment GROAT_KEYSTORE"},
		"a state directory that is open": {func(r *userEnv) {
			r.dir(filepath.Join(r.home, ".local", "state", "groat"), 0o755, r.uid)
		}, "is open to others (mode 0755)", "chmod 700 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newUserEnv(t, stranger)
			c.spoil(r)
			server, err := r.addServer("AUTH")
			if err != nil {
				t.Fatal(err)
			}
			profiles := filepath.Join(r.home, ".config", "groat", "profiles.d")
			r.dir(profiles, 0o700, r.uid)
			text := fmt.Sprintf("provider = \"spatiafi\"\nauth_server = %q\n", server.URL())
			if err := os.WriteFile(filepath.Join(profiles, "work.toml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			p := r.activate()
			hint := c.repair + ".*systemctl --user restart groatd"
			for _, args := range [][]string{
				{"get", "work"}, {"login", "work", "--username", person, "--secret-stdin"},
				{"keystore", "use", "memory"}, {"unlock"},
			} {
				s := r.run(r.password+"\n", "groat", args...)
				r.refused(s, 78, c.theErr, c.repair)
				if !regexp.MustCompile(hint).MatchString(s.stderr) {
					t.Errorf("groat %s: %s", args[0], s.stderr)
				}
			}
			if n := server.Count(sandbox.SpatiafiClientsPath); n != 0 {
				t.Errorf("%d clients were created that could not be kept", n)
			}
			if s := r.run("", "groat", "status"); !strings.Contains(s.stdout+s.stderr, c.theErr) {
				t.Errorf("groat status: %s%s", s.stdout, s.stderr)
			}
			if state, err := p.stop(syscall.SIGTERM); err != nil || !state.Success() {
				t.Errorf("%v, %v", state, err)
			}
		})
	}
}

// activate has systemd's own activator listen, as the user, and become groatd with the first connection.
func (r *userEnv) activate() *process {
	r.t.Helper()
	r.dir(filepath.Dir(r.socket()), 0o700, r.uid)
	return r.activateAt(r.socket())
}

// activateAt is activate with the socket at another path.
func (r *userEnv) activateAt(socket string) *process {
	r.t.Helper()
	tier.Needs(r.t, "systemd-socket-activate")
	args := []string{"--fdname=agent", "--listen=" + socket}
	for _, v := range r.environ() {
		args = append(args, "--setenv="+v)
	}
	cmd := exec.Command("systemd-socket-activate", append(args, filepath.Join(bin, "groatd"))...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = r.environ(), "/", r.as()
	p, err := launch(cmd)
	if err != nil {
		r.t.Fatalf("%v; if systemd-socket-activate is missing, run packaging/testing/install.sh", err)
	}
	r.logs = append(r.logs, p.log)
	r.t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	if err := p.waitLog(regexp.MustCompile("Listening on")); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// A reload waits for a request that is under way; the watchdog hears from groatd all the same.
func TestReloadHoldsNoWatchdogUp(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	notify, err := net.ListenUnixgram("unixgram",
		&net.UnixAddr{Name: filepath.Join(r.runtime, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	r.own(notify.LocalAddr().String(), r.uid)
	r.vars = []string{"NOTIFY_SOCKET=" + notify.LocalAddr().String(), "WATCHDOG_USEC=200000"}
	p := r.start()
	server := r.signIn("work")
	asked := server.Count(sandbox.SpatiafiTokenPath)
	server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Cut: sandbox.Hang})
	waiting := exec.CommandContext(t.Context(), filepath.Join(bin, "groat"), "get", "work", "--scope", "other")
	waiting.Env, waiting.Dir, waiting.SysProcAttr = r.environ(), "/", r.as()
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	defer waiting.Wait()
	for end := time.Now().Add(patience); server.Count(sandbox.SpatiafiTokenPath) == asked; time.Sleep(
		5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no request is under way")
		}
	}
	if err := os.Remove(filepath.Join(r.home, ".config", "groat", "profiles.d", "work.toml")); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	notify.SetReadDeadline(time.Now().Add(patience))
	for fed, begun := 0, false; fed < 3; {
		b := make([]byte, 4096)
		n, err := notify.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		begun = begun || strings.Contains(string(b[:n]), "0 profiles") // the status: the reload has begun
		if begun && strings.Contains(string(b[:n]), "WATCHDOG=1") {
			fed++
		}
	}
	if text, _ := p.log.snapshot(); strings.Contains(text, "was reloaded") {
		t.Error("the watchdog heard nothing before the reload was over " +
			"(or the reload waited for nothing, and this test shows nothing)")
	}
	server.down() // and the request ends
	if err := p.waitLog(regexp.MustCompile("was reloaded")); err != nil {
		t.Error(err)
	}
}

// trials is how often what goes wrong only now and then is tried.
const trials = 100

// Four are started at once where a killed one has left its socket. One stays and serves; the others say that it runs.
func TestE7DoubleStart(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	if _, err := u.daemon.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	u.env.daemon = nil
	for trial := range trials {
		if _, err := os.Lstat(u.socket()); err != nil {
			t.Fatal("there is no stale socket:", err)
		}
		u.oneOfFour(trial)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d trials of 4 starters", trials)
}

func (u *attackedEnv) oneOfFour(trial int) {
	u.t.Helper()
	var cmds []*exec.Cmd
	for range 4 {
		c := exec.Command(filepath.Join(bin, "groatd"))
		log := newLogbook()
		c.Env, c.Dir, c.Stderr = u.environ(), "/", log
		cmds, u.logs = append(cmds, c), append(u.logs, log)
	}
	starters, err := attack.Together(cmds...)
	if err != nil {
		u.t.Fatal(err)
	}
	defer starters.Stop()
	codes, running := starters.Losers(patience)
	if !slices.Equal(codes, []int{73, 73, 73}) || len(running) != 1 {
		u.t.Errorf("trial %d: %d run, the others ended with %v", trial, len(running), codes)
		return
	}
	winner := cmds[running[0]].Process.Pid
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ctx, cancel := context.WithTimeout(u.t.Context(), patience)
		_, err := hello.Ask(ctx, u.dial)
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			u.t.Errorf("trial %d: the one that runs is not reached: %v", trial, err)
			return
		}
	}
	if pid := serving(u.socket()); pid != winner {
		u.t.Errorf("trial %d: process %d serves, and %d runs", trial, pid, winner)
	}
}
