package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

const gotToken = "abc.DEF-123_~+/==\n"

// A command substitution ends when the last process that holds the pipe has closed it.
func TestAutostartInCommandSubstitution(t *testing.T) {
	h := newHome(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Descriptors 7, 8 and 9 stand for whatever a build tool leaves open.
	const script = `exec 7</etc/passwd 8>&1 9>&2; token=$("$0" get 6>&1) && echo "[$token]"; again=$("$0" get) && ` +
		`echo "[$again]"`
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script, bin+"/groat")
	cmd.Env = h.env(append(slices.Clone(runtimeEnv), "GODEBUG=madvdontneed=1", "AWS_SECRET_ACCESS_KEY=shh",
		"GROAT_PROFILE=p", "LC_ALL=C")...)
	cmd.Dir = h.dir
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "[abc.DEF-123_~+/==]\n[abc.DEF-123_~+/==]\n" {
		t.Fatalf("%v, %q", err, out)
	}
	all := h.started()
	if len(all) != 1 {
		t.Fatalf("%d daemons were started", len(all))
	}
	s := all[0]
	if s.Dir != "/" || s.Session != s.PID {
		t.Errorf("it runs in %s and in session %d", s.Dir, s.Session)
	}
	if len(s.Files) < 3 || !slices.Equal(s.Files[:3], []string{"/dev/null", "/dev/null", "/dev/null"}) {
		t.Errorf("its stdio is %v", s.Files)
	}
	for _, f := range s.Files[3:] {
		// the Go runtime's own
		if !strings.HasPrefix(f, "anon_inode:") && !strings.HasPrefix(f, "/sys/") && !strings.HasPrefix(f, "/proc/") {
			t.Errorf("it inherited %s", f)
		}
	}
	env := append(h.env(), "LC_ALL=C")
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	slices.Sort(env)
	slices.Sort(s.Env)
	if !slices.Equal(s.Env, env) {
		t.Errorf("its environment is %v", s.Env)
	}
	if info, err := os.Stat(filepath.Dir(h.socket)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(filepath.Dir(h.socket), "start.lock")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock: %v %v", info, err)
	}
}

func TestAutostartReplacesStaleSocket(t *testing.T) {
	h := newHome(t, "")
	if err := os.Mkdir(filepath.Dir(h.socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if got := h.run(h.env(), "get"); got != (outcome{0, gotToken, ""}) {
		t.Errorf("%+v", got)
	}
}

// A hundred callers that come at once, while groatd is slow to start, cause one start.
func TestHundredCallersStartOneStandIn(t *testing.T) {
	tier.Long(t, "it builds groat and starts it a hundred times")
	h := newHome(t, "slow")
	dir := buildPrograms(t, "groat", "groat-commands")
	if err := os.Symlink(filepath.Join(bin, "groat"), filepath.Join(dir, "groatd")); err != nil {
		t.Fatal(err)
	}
	for i, got := range runTogether(t, 100, func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "groat"), "get")
		cmd.Env = h.env()
		return cmd
	}) {
		if got != (outcome{0, gotToken, ""}) {
			t.Errorf("caller %d: %+v", i, got)
		}
	}
	if n := len(h.started()); n != 1 {
		t.Errorf("%d daemons were started", n)
	}
}

// runTogether runs n processes that are released at one moment.
func runTogether(t *testing.T, n int, command func() *exec.Cmd) []outcome {
	t.Helper()
	gate, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]outcome, n)
	var running, done sync.WaitGroup
	running.Add(n)
	for i := range n {
		done.Go(func() {
			inner := command()
			// The shell waits for the pipe to close, and becomes the program then.
			cmd := exec.CommandContext(t.Context(), "/bin/sh",
				append([]string{"-c", `read x; exec "$0" "$@"`, inner.Path}, inner.Args[1:]...)...)
			var out, errs strings.Builder
			cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = inner.Env, gate, &out, &errs
			err := cmd.Start()
			running.Done()
			if err == nil {
				cmd.Wait()
				got[i] = outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
			}
		})
	}
	running.Wait()
	gate.Close()
	release.Close()
	done.Wait()
	return got
}

// buildPrograms builds real binaries into a directory of the test's own. Their groat waits for a groatd that starts as
// long as tests wait for anything: with its own three seconds a hundred of them on a busy machine would say, rightly,
// that groatd was not ready in time.
func buildPrograms(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	overlay := patientAutostart(t)
	for _, name := range names {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-trimpath", "-o", dir,
			"github.com/groat-dev/groat/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s does not build: %s", name, out)
		}
	}
	return dir
}

// patientAutostart returns a file for go build's -overlay, with which groat's startTime is the tests' patience.
func patientAutostart(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("autostart", "autostart.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const startTime = "\tstartTime = 10 * time.Second\n"
	if !strings.Contains(string(text), startTime) {
		t.Fatalf("%s does not say %q", source, startTime)
	}
	dir := t.TempDir()
	patient := strings.Replace(string(text), startTime, "\tstartTime = 2 * time.Minute\n", 1)
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{source: filepath.Join(dir,
		"autostart.go")}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	for path, text := range map[string][]byte{filepath.Join(dir, "autostart.go"): []byte(patient), overlay: replace} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

func TestAutostartFails(t *testing.T) {
	for _, tt := range []struct {
		mode   string
		code   int
		stderr string
	}{
		{"78", report.ExitConfig, "groat: error: groatd refuses its configuration or one of its directories\ngroat: hint: " +
			bin + "/groatd --check\n"},
		{"1", report.ExitUnavailable, "groat: error: groatd ended at its start: exit status 1\ngroat: hint: " + bin +
			"/groatd --check\n"},
		{"73", report.ExitUnavailable, "groat: error: another process holds the lock STATE/lock and does not say where it " +
			"listens\ngroat: hint: fuser -v STATE/lock\n"},
		{"deaf", report.ExitUnavailable, "groat: error: groatd was not ready in time\ngroat: hint: " + bin +
			"/groatd\n"},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, tt.mode)
			says := strings.ReplaceAll(tt.stderr, "STATE", h.state)
			if got := h.run(h.env(), "get"); got != (outcome{tt.code, "", says}) {
				t.Errorf("%+v", got)
			}
			if n := len(h.started()); n != 1 {
				t.Errorf("%d daemons were started", n)
			}
		})
	}
}

// A groatd that finds another one at work says so and ends; the other one will listen in a moment.
func TestAutostartFindsAnotherDaemon(t *testing.T) {
	h := newHome(t, "73")
	listening := make(chan net.Listener, 1)
	go func() {
		for len(h.started()) == 0 {
			time.Sleep(time.Millisecond) // the observable state of an external process
		}
		l, err := net.Listen("unix", h.socket)
		if err != nil {
			close(listening)
			return
		}
		listening <- l
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Read(make([]byte, 4096))
		c.Write([]byte(`{"jsonrpc":"2.0","id":1,` + tokenResult + "}\n"))
		c.Close()
	}()
	got := h.run(h.env(), "get")
	if l := <-listening; l != nil {
		l.Close()
	}
	if got != (outcome{0, gotToken, ""}) {
		t.Errorf("%+v", got)
	}
}

func TestAutostartIsForbidden(t *testing.T) {
	h := newHome(t, "")
	want := outcome{report.ExitUnavailable, "", "groat: error: groatd does not run at " + h.socket +
		", and GROAT_NO_AUTOSTART forbids starting it\ngroat: hint: " + bin + "/groatd\n"}
	if got := h.run(h.env("GROAT_NO_AUTOSTART=1"), "get"); got != want {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Dir(h.socket)); err == nil {
		t.Error("the socket's directory was made")
	}
	if got := h.run(h.env("GROAT_NO_AUTOSTART="), "get"); got.code != 0 {
		t.Errorf("empty: %+v", got)
	}
}

func TestAutostartIsSystemds(t *testing.T) {
	h := newHome(t, "")
	runtime := filepath.Join(h.dir, "xdg")
	units := filepath.Join(h.dir, ".config", "systemd", "user")
	for _, dir := range []string{runtime, units} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(units, "groatd.socket"), []byte("[Socket]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// It serves the usual place, and this is another.
	env := []string{"HOME=" + h.dir, "XDG_RUNTIME_DIR=" + runtime, "GROAT_STATE_DIR=" + h.state}
	if got := h.run(env, "get"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	// The unit does not listen at another path.
	if got := h.run(h.env("XDG_RUNTIME_DIR="+runtime), "get"); got.code != 0 {
		t.Errorf("with GROAT_SOCKET: %+v", got)
	}
}

func TestAutostartRefusesDirectories(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		prepare    func(dir string) error
	}{
		{"open to others", "other users may enter it", func(dir string) error { return os.Mkdir(dir, 0o755) }},
		{"a link", "not a directory", func(dir string) error { return os.Symlink("/tmp", dir) }},
		{"lock is a link", "too many levels of symbolic links", func(dir string) error {
			os.Mkdir(dir, 0o700)
			return os.Symlink("/tmp/x", dir+"/start.lock")
		}},
		{"lock is a pipe", "start.lock is not a file of yours", func(dir string) error {
			os.Mkdir(dir, 0o700)
			return unix.Mkfifo(dir+"/start.lock", 0o600)
		}},
	} {
		h := newHome(t, "")
		dir := filepath.Dir(h.socket)
		if err := tt.prepare(dir); err != nil {
			t.Fatal(err)
		}
		got := h.run(h.env(), "get")
		if got.code != report.ExitConfig || got.stdout != "" || !strings.Contains(got.stderr, tt.says) ||
			!twoLines(got.stderr) {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if n := len(h.started()); n != 0 {
			t.Errorf("%s: %d daemons were started", tt.name, n)
		}
	}
}

func TestAutostartRefusesForeignDirectory(t *testing.T) {
	dir := "/usr" // root's; the test does not run as root
	if os.Getuid() == 0 {
		dir = shortDir(t)
		if err := os.Chown(dir, 4242, 4242); err != nil {
			t.Fatal(err)
		}
	}
	h := newHome(t, "")
	h.socket = filepath.Join(dir, "s")
	got := h.run(h.env(), "get")
	if got.code != report.ExitConfig || !strings.Contains(got.stderr, "it belongs to another user") || len(h.started()) != 0 {
		t.Errorf("%+v", got)
	}
}

// A process that holds the lock and never starts anything costs a caller three seconds, and not more.
func TestAutostartLockIsHeld(t *testing.T) {
	t.Parallel()
	h := newHome(t, "")
	dir := filepath.Dir(h.socket)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "start.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if got := h.run(h.env(), "get"); got.code != report.ExitUnavailable || !strings.Contains(got.stderr, "not ready in time") {
		t.Errorf("%+v", got)
	}
	if n := len(h.started()); n != 0 {
		t.Errorf("%d daemons were started", n)
	}
}

func TestFindDaemon(t *testing.T) {
	lonely := t.TempDir()
	if err := copyFile(filepath.Join(lonely, "groat"), filepath.Join(bin, "groat")); err != nil {
		t.Fatal(err)
	}
	run := func(path, dir string) outcome {
		h := newHome(t, "")
		cmd := exec.CommandContext(t.Context(), filepath.Join(lonely, "groat"), "get")
		cmd.Env, cmd.Dir = append(h.env(runtimeEnv...), "PATH="+path), dir
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.Run()
		return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
	if got := run("/nonexistent:"+bin, "/"); got != (outcome{0, gotToken, ""}) {
		t.Errorf("on PATH: %+v", got)
	}
	for _, path := range []string{"", ".", "./", "/nonexistent"} {
		if got := run(path, bin); got.code != report.ExitUnavailable ||
			!strings.Contains(got.stderr, "neither beside groat nor on PATH") {
			t.Errorf("PATH=%q in its own directory: %+v", path, got)
		}
	}
}
