package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// stranger is a uid that owns nothing on the machine. Some refusals can only be seen by it: nothing is refused to root.
const stranger = 4242

// userEnv is an env whose groat and groatd run as a user of their own choice.
type userEnv struct {
	*env
	t    *testing.T
	uid  int
	vars []string // beside those of env
}

// newUserEnv makes an environment that belongs to uid. It needs root where that is another user.
func newUserEnv(t *testing.T, uid int) *userEnv {
	t.Helper()
	tier.Long(t, "the quick tier has the scripts (testdata/*.txtar), and no other end-to-end test")
	if os.Getuid() != uid {
		tier.NeedsRoot(t)
	}
	dir, err := os.MkdirTemp("", "groat-home-") // t.TempDir's parents are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	w, err := newEnv(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &userEnv{env: w, t: t, uid: uid}
	t.Cleanup(func() {
		if err := errors.Join(w.close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []string{dir, w.home, w.runtime} {
		r.own(d, uid)
	}
	return r
}

// own gives a path to a user.
func (r *userEnv) own(path string, uid int) {
	r.t.Helper()
	if err := os.Chown(path, uid, uid); err != nil {
		r.t.Fatal(err)
	}
}

// file returns the content of a file of the home.
func (r *userEnv) file(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.home, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// put writes a file of the home.
func (r *userEnv) put(name, text string) {
	r.t.Helper()
	writeFile(r.t, filepath.Join(r.home, name), text)
}

// writeFile writes a file that only its user can read, with the directories above it.
func writeFile(t testing.TB, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dir makes a directory of the mode that belongs to uid, below the home or the runtime directory.
func (r *userEnv) dir(path string, mode os.FileMode, uid int) {
	r.t.Helper()
	if !strings.HasPrefix(path, r.home+"/") && !strings.HasPrefix(path, r.runtime+"/") {
		r.t.Fatalf("%s is not in this environment", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	for above := filepath.Dir(path); above != r.home && above != r.runtime; above = filepath.Dir(above) {
		r.own(above, r.uid)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		r.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		r.t.Fatal(err)
	}
	r.own(path, uid)
}

func (r *userEnv) environ() []string { return append(r.variables(), r.vars...) }

func (r *userEnv) as() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(r.uid), Gid: uint32(r.uid)}}
}

// start starts groatd and returns it; the environment stops it when the test ends.
func (r *userEnv) start() *process { r.t.Helper(); return r.startIn("/") }

func (r *userEnv) startIn(dir string) *process {
	r.t.Helper()
	p, err := startProcess(dir, r.environ(), r.as())
	if err != nil {
		r.t.Fatal(err)
	}
	r.daemon, r.logs = p, append(r.logs, p.log)
	return p
}

func (r *userEnv) restart() {
	r.t.Helper()
	if err := r.stopDaemon(); err != nil {
		r.t.Fatal(err)
	}
	r.start()
}

// longestRun is when a program that should have ended is killed.
const longestRun = 3 * time.Minute

// result is what a program printed, and how it ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a program. No secret may be in what it prints.
func (r *userEnv) run(stdin, program string, args ...string) result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), longestRun)
	defer cancel()
	c := r.command(ctx, stdin, program, args...)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		r.t.Fatal(err)
	} else if ok && exit.ExitCode() < 0 {
		r.t.Fatalf("%s: %v", strings.Join(c.Args, " "), err)
	}
	s := result{out.String(), complaint.String(), c.ProcessState.ExitCode()}
	if what := r.find(s.stdout + s.stderr); what != "" {
		r.t.Errorf("%s printed %s", strings.Join(c.Args, " "), what)
	}
	return s
}

// command is a program as it is run.
func (r *userEnv) command(ctx context.Context, stdin, program string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(program) {
		program = filepath.Join(bin, program)
	}
	c := exec.CommandContext(ctx, program, args...)
	c.Env, c.Dir, c.SysProcAttr = r.environ(), "/", r.as()
	c.Stdin = strings.NewReader(stdin)
	return c
}

// groat runs the client, which must succeed, and returns what it prints.
func (r *userEnv) groat(stdin string, args ...string) string {
	r.t.Helper()
	s := r.run(stdin, "groat", args...)
	if s.code != 0 {
		r.t.Fatalf("groat %s ended with %d: %s", strings.Join(args, " "), s.code, s.stderr)
	}
	return s.stdout
}

// refused wants a program to fail with a code, an error and a hint.
func (r *userEnv) refused(s result, code int, theError, theHint string) {
	r.t.Helper()
	m := twoLines.FindStringSubmatch(s.stderr)
	if s.code != code || s.stdout != "" || m == nil || !strings.Contains(m[1], theError) ||
		!strings.Contains(m[2], theHint) {
		r.t.Errorf("it ended with %d and printed %q\n%swant %d, nothing, an error with %q and a hint with %q",
			s.code, s.stdout, s.stderr, code, theError, theHint)
	}
}

// signIn makes a profile at a new sandbox, with its credential in a sealed file.
func (r *userEnv) signIn(profile string) *server {
	r.t.Helper()
	s, err := r.addServer(profile)
	if err != nil {
		r.t.Fatal(err)
	}
	r.groat("", "keystore", "use", "sealed", "--key-file")
	r.groat(r.password+"\n", "login", profile, "--provider", "spatiafi", "--username", person, "--auth-server", s.URL(),
		"--secret-stdin")
	return s
}
