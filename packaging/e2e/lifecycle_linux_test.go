package e2e_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
)

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// says waits until the log holds a text once more than it did when f began.
func (p *process) says(t *testing.T, text string, f func()) {
	t.Helper()
	before, _ := p.log.snapshot()
	n := strings.Count(before, text)
	f()
	if err := p.waitLog(regexp.MustCompile(`(?s)` + strings.Repeat(regexp.QuoteMeta(text)+".*", n+1))); err != nil {
		t.Fatal(err)
	}
}

// connected is a connection that was there before, on which one can ask again and again.
type connected struct {
	*net.UnixConn
	t *testing.T
}

func (u *attackedEnv) connect() *connected {
	u.t.Helper()
	c, err := u.dial()
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { c.Close() })
	return &connected{c, u.t}
}

func (c *connected) ask() {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(hello.Text); err != nil {
		c.t.Fatal("the connection that was there:", err)
	}
	b := make([]byte, 4<<10)
	if n, err := c.Read(b); err != nil || !strings.Contains(string(b[:n]), "groatd") {
		c.t.Fatalf("the connection that was there: %q, %v", b[:n], err)
	}
}

// A configuration that cannot be used changes nothing, and says so.
func TestE5InvalidConfigurationOnReload(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	u.ask(work)
	file := filepath.Join(u.home, ".config", "groat", "profiles.d", "work.toml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"no TOML": "oops\n", "an unknown provider": "provider = \"nobody\"\n",
		"an unknown key": string(good) + "\nx = 1\n", "a NUL": "\x00",
	} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		u.daemon.says(t, "a profile cannot be used", func() { u.daemon.signal(t, syscall.SIGHUP) })
		if t.Run("E5 "+name, func(t *testing.T) { u.ask(work) }); t.Failed() {
			return
		}
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	u.daemon.says(t, "a profile can be used again", func() { u.daemon.signal(t, syscall.SIGHUP) })
	u.ask(work)
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d token requests, want the login's", n)
	}
}

// A log that nobody reads any more, and signals that end other programs.
func TestE6Signals(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	u.signIn("work")
	for name, s := range map[string]syscall.Signal{"E6 SIGQUIT": syscall.SIGQUIT, "E6 SIGUSR1": syscall.SIGUSR1} {
		t.Run(name, func(t *testing.T) {
			u.daemon.says(t, "still here", func() { u.daemon.signal(t, s) })
			if text, _ := u.daemon.log.snapshot(); strings.Contains(text, "goroutine ") {
				t.Errorf("stacks in the log:\n%s", text)
			}
			u.ask(work)
		})
	}
	t.Run("E6 SIGPIPE", func(t *testing.T) {
		u.daemon.signal(t, syscall.SIGPIPE)
		u.ask(work)
	})
	t.Run("E6 a log whose reader has left", func(t *testing.T) {
		u := &attackedEnv{userEnv: newUserEnv(t, os.Getuid())}
		u.dial = attack.To(u.socket())
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(bin, "groatd"))
		cmd.Env, cmd.Dir, cmd.Stderr = u.environ(), "/", w
		p, err := launch(cmd)
		if err != nil {
			t.Fatal(err)
		}
		u.daemon, u.env.daemon = p, p
		w.Close()
		r.SetReadDeadline(time.Now().Add(patience))
		if n, err := r.Read(make([]byte, 4096)); n == 0 {
			t.Fatal(err)
		}
		r.Close()
		for range 3 { // each has something to say
			p.signal(t, syscall.SIGHUP)
			p.signal(t, syscall.SIGQUIT)
			u.ask(hello)
		}
	})
}

// A socket that a killed groatd has left is taken over, and what it stored is there.
func TestE8StaleSocketAfterKill(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	u.signIn("work")
	for range 3 {
		if _, err := u.daemon.stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(u.socket()); err != nil || info.Mode().Type() != os.ModeSocket {
			t.Fatalf("what it left: %v, %v", info, err)
		}
		u.daemon = u.start()
		u.ask(work)
	}
}

// made wants a socket that nobody else may use.
func (u *attackedEnv) made() {
	u.t.Helper()
	info, err := os.Lstat(u.socket())
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		u.t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
}

const (
	madeAnew = "the socket had gone and was made anew"
	notMade  = "the socket has gone and is not made anew"
)

// Somebody removes the socket. It is made anew; who was connected notices nothing, and the end leaves nothing behind.
func TestE9SocketDeleted(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	u.made()
	there := u.connect()
	there.ask()
	for range 3 {
		if err := os.Remove(u.socket()); err != nil {
			t.Fatal(err)
		}
		u.daemon.says(t, madeAnew, func() { u.daemon.signal(t, syscall.SIGHUP) })
		u.made()
		u.ask(hello)
		there.ask()
	}
	if err := u.stopDaemon(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(u.socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// The socket's directory is moved away, or another is in its place. A place that would be refused at the start is
// refused, and looked at again.
func TestE10DirectoryReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(t *testing.T, dir string)
		says string
		heal func(t *testing.T, dir string) // nil where nothing has to be done
	}{
		"E10 moved away":       {put: func(*testing.T, string) {}, says: madeAnew},
		"E10 another in place": {put: func(t *testing.T, dir string) { mkdir(t, dir, 0o700) }, says: madeAnew},
		"E10 open to others": {put: func(t *testing.T, dir string) { mkdir(t, dir, 0o777) }, says: notMade,
			heal: func(t *testing.T, dir string) { chmod(t, dir, 0o700) }},
		"E10 a link": {
			put: func(t *testing.T, dir string) {
				mkdir(t, dir+".other", 0o700)
				if err := os.Symlink(dir+".other", dir); err != nil {
					t.Fatal(err)
				}
			}, says: notMade, heal: remove,
		},
		"E10 a file": {
			put: func(t *testing.T, dir string) {
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}, says: notMade, heal: remove,
		},
		"E10 another user's": {
			put: func(t *testing.T, dir string) {
				mkdir(t, dir, 0o700)
				if err := os.Chown(dir, stranger, stranger); err != nil {
					t.Fatal(err)
				}
			}, says: notMade, heal: remove,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newAttackedEnv(t, "")
			there := u.connect()
			there.ask()
			dir := filepath.Dir(u.socket())
			if err := os.Rename(dir, dir+".old"); err != nil {
				t.Fatal(err)
			}
			c.put(t, dir)
			look := func() { u.daemon.signal(t, syscall.SIGHUP) }
			u.daemon.says(t, c.says, look)
			there.ask()
			if c.heal != nil {
				if _, err := u.dial(); err == nil {
					t.Error("there is a socket in a place that was refused")
				}
				c.heal(t, dir)
				u.daemon.says(t, madeAnew, look)
				there.ask()
			}
			u.made()
			u.ask(hello)
			if _, err := attack.To(filepath.Join(dir+".old", "agent.sock"))(); err == nil {
				t.Error("the old place is still served")
			}
		})
	}
}

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, mode)
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// A groatd that ends late leaves its successor's socket alone, and one that looks after its own does, too.
func TestE11LateExit(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	first := u.daemon
	if err := os.Remove(u.socket()); err != nil {
		t.Fatal(err)
	}
	// Else the lock keeps the second from starting; and it has the same socket, although it is another place.
	u.vars = []string{"GROAT_STATE_DIR=" + filepath.Join(u.home, "other"), "GROAT_SOCKET=" + u.socket()}
	second := u.start()
	pid := serving(u.socket())
	if pid != second.pid() {
		t.Fatalf("process %d serves the socket, not the second groatd, %d", pid, second.pid())
	}
	first.says(t, notMade, func() { first.signal(t, syscall.SIGHUP) })
	if text, _ := first.log.snapshot(); !strings.Contains(text, "another process serves") {
		t.Errorf("the first does not say why: %s", text)
	}
	if state, err := first.stop(syscall.SIGTERM); err != nil || !state.Success() {
		t.Errorf("%v, %v", state, err)
	}
	u.ask(hello)
	u.made()
	if again := serving(u.socket()); again != pid {
		t.Errorf("process %d serves the socket now, not %d", again, pid)
	}
}

// The session ends, and the runtime directory with it: nobody can come any more, and groatd ends without a complaint.
func TestE24RuntimeDirectoryGone(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	u.signIn("work")
	if err := os.RemoveAll(u.runtime); err != nil {
		t.Fatal(err)
	}
	u.daemon.signal(t, syscall.SIGHUP)
	if state, err := u.daemon.wait(); err != nil || !state.Success() {
		t.Errorf("%v, %v", state, err)
	}
	if text, _ := u.daemon.log.snapshot(); !strings.Contains(text, "the session is over") {
		t.Errorf("it does not say why: %s", text)
	}
	u.env.daemon = nil
	if _, err := os.Lstat(u.runtime); !os.IsNotExist(err) {
		t.Errorf("it has made the directory again: %v", err)
	}
	if _, err := hello.Ask(context.Background(), u.dial); err == nil {
		t.Error("somebody still answers")
	}
}
