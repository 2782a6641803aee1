package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
)

// A state directory that cannot be used is refused at the start.
func TestStateDirectoryRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		make   func(r *userEnv, dir string)
		theErr string
		hint   string
	}{
		{"not writable", func(r *userEnv, dir string) { r.dir(dir, 0o500, r.uid) }, "cannot be written", "chmod u+rwx "},
		{"another owner's", func(r *userEnv, dir string) { r.dir(dir, 0o700, 0) }, "belongs to another user (uid 0)",
			"ls -ld "},
		{"open to others", func(r *userEnv, dir string) { r.dir(dir, 0o750, r.uid) }, "is open to others (mode 0750)",
			"chmod 700 "},
		{"cannot be made", func(r *userEnv, dir string) { r.dir(filepath.Dir(dir), 0o500, r.uid) },
			"cannot be made: permission denied", "chmod u+rwx "},
		{"a file", func(r *userEnv, dir string) {
			r.dir(filepath.Dir(dir), 0o700, r.uid)
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is no directory", "ls -ld "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newUserEnv(t, stranger)
			dir := filepath.Join(r.home, ".local", "state", "groat")
			test.make(r, dir)
			r.refused(r.run("", "groatd"), 78, "the state directory "+dir+" "+test.theErr, test.hint)
			if _, err := os.Lstat(r.socket()); err == nil {
				t.Error("there is a socket all the same")
			}
			r.vars = []string{"GROAT_NO_AUTOSTART="}
			r.refused(r.run("", "groat", "list"), 78, "groatd refuses its configuration or one of its directories",
				"groatd --check")
		})
	}
}

// The directories stop being writable while groatd runs. Nothing is created at the provider that could not be kept,
// what is stored stays, and tokens go on being served.
func TestDirectoriesBecomeUnwritable(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	r.start()
	server := r.signIn("work")
	login := []string{"login", "work", "--username", person, "--new-client", "--secret-stdin"}
	state := filepath.Join(r.home, ".local", "state", "groat")
	profiles := filepath.Join(r.home, ".config", "groat", "profiles.d")
	for _, test := range []struct {
		dir     string
		command []string
		code    int
		theErr  string
	}{
		{state, login, 75, "keystore"},
		{profiles, []string{"login", "more", "--provider", "spatiafi", "--auth-server", server.URL(), "--username",
			person, "--secret-stdin"}, 78, "profiles.d: cannot be written"},
	} {
		if err := os.Chmod(test.dir, 0o500); err != nil {
			t.Fatal(err)
		}
		r.refused(r.run(r.password+"\n", "groat", test.command...), test.code, test.theErr, "")
		if n := server.Count(sandbox.SpatiafiClientsPath); n != 1 {
			t.Errorf("%s: %d clients were created, want the first login's", test.dir, n)
		}
		r.groat("", "get", "work")
		if err := os.Chmod(test.dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.restart()
	r.groat("", "get", "work")
	r.groat(r.password+"\n", login...)
}

// A socket's directory that another user owns could hold another user's socket. Neither groatd nor groat has anything
// to do with it: where a person named it both refuse it, else both find the next one.
func TestSocketDirectoryOfAnotherOwner(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	dir := filepath.Dir(r.link())
	r.dir(dir, 0o755, 0)
	named := "GROAT_SOCKET=" + r.link()
	r.vars = []string{named}
	r.refused(r.run("", "groatd"), 78, "the socket's directory "+dir+" belongs to another user (uid 0)", "ls -ld "+dir)
	r.vars = []string{named, "GROAT_NO_AUTOSTART="}
	r.refused(r.run("", "groat", "get", "work"), 78, "it belongs to another user", "unset GROAT_SOCKET")
	r.vars = nil
	r.fallsBack(filepath.Join(r.runtime, "groat-4242")) // TMPDIR is the runtime directory here
}

// Two users, and file modes that would let them meet. groat tells another user's groatd nothing, and groatd answers
// nobody but its own user.
func TestAnotherUsersDaemon(t *testing.T) {
	t.Parallel()
	host, guest := newUserEnv(t, stranger), newUserEnv(t, stranger+1)
	host.start()
	host.signIn("work")
	for path, mode := range map[string]os.FileMode{host.runtime: 0o755, filepath.Dir(host.link()): 0o755,
		filepath.Dir(host.socket()): 0o755, host.socket(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	guest.vars = []string{"GROAT_SOCKET=" + host.socket()}
	guest.refused(guest.run("", "groat", "get", "work"), 77, "nothing was sent to "+host.socket(),
		"ls -l "+host.socket())

	// A program that does not look who is at the other end.
	const ask = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])
try:
    s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"work"}}\n')
    sys.exit(1 if s.recv(1) else 0)
except ConnectionError:
    pass
`
	if s := guest.run("", "/usr/bin/python3", "-c", ask, host.socket()); s.code != 0 {
		t.Errorf("another user was answered (%d): %s", s.code, s.stderr)
	}
	host.groat("", "get", "work")
}

// A groatd in a user namespace, as in a container, takes itself for root. Root outside is nobody there (uid 65534), and
// is refused; the user that it really is is served.
func TestA33UserNamespace(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	p, err := become(exec.Command("unshare", "--user", "--map-root-user", filepath.Join(bin, "groatd")), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := hello.Ask(ctx, attack.To(r.socket())); !attack.HungUp(err) {
		t.Errorf("root outside the namespace: %v", err)
	}
	if err := p.waitLog(regexp.MustCompile("the peer belongs to another user: uid 65534")); err != nil {
		t.Error(err)
	}
	r.groat("", "status")
}
