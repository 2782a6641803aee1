// Package parts starts real programs for groat's tests: a certified authorization server, a browser, a Secret Service,
// a systemd user manager, and groat's own binaries.
//
// Each function returns when the part has said that it is ready, and the test's cleanup ends it; a part that this
// package starts also ends by itself when the test process dies. A part that is missing fails the test, with one
// sentence that names the script that installs it: nothing here skips. It is for tests only, and imports nothing of
// groat's.
package parts

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/checkout"
)

const (
	// startTimeout bounds how long a part may take to say that it is ready, on a busy machine.
	startTimeout = 2 * time.Minute
	// stopTimeout bounds how long it may take to end before it is killed.
	stopTimeout = time.Minute
	// maxOutput is how much of a part's output is kept for the report of a failure.
	maxOutput = 64 << 10
)

// installer is what a failure tells people to run.
const installer = "packaging/testing/install.sh"

// path returns the path of a file beside [installer].
func path(elem ...string) string {
	return filepath.Join(append([]string{checkout.Root(), filepath.Dir(installer)}, elem...)...)
}

// start runs cmd until the test is over, and returns what follows "READY " in the line of its standard output that it
// prints once it is up. What programs of its own print is for its standard error: a pipe that two programs write to has
// lines in the middle of lines. The end of its standard input asks it to end.
func start(t testing.TB, what string, cmd *exec.Cmd) string {
	t.Helper()
	out := new(output)
	stdout := &readyLine{kept: out, ready: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = stdout, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s is missing: run %s (%v)", what, installer, err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() })
		<-ended
		if !kill.Stop() {
			t.Errorf("%s had to be killed", what)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", what, out)
		}
	})
	select {
	case rest := <-stdout.ready:
		return rest
	case <-ended:
		t.Fatalf("%s did not start; if a part is missing, run %s", what, installer)
	case <-time.After(startTimeout):
		t.Fatalf("%s was not ready in %v", what, startTimeout)
	}
	return ""
}

// run runs a short command and returns what it prints, without the last newline.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// command is a command that is killed when it takes longer than a part may take to start.
func command(t testing.TB, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	return cmd
}

// publicDir returns a new directory that every user of the machine can enter, unlike t.TempDir's, and whose path is
// short enough for a Unix socket in it (108 bytes).
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "groat-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readyLine looks for the line of a part's standard output that says that it is ready.
type readyLine struct {
	kept  *output
	ready chan string // has room for one

	line []byte // what has come of the line that has not ended
	said bool
}

// Write implements [io.Writer]. It never fails: a part must not die of what nobody reads.
func (r *readyLine) Write(p []byte) (int, error) {
	r.kept.Write(p)
	for line := range bytes.Lines(p) {
		if r.said {
			break
		}
		if r.line = append(r.line, line...); !bytes.HasSuffix(r.line, []byte("\n")) {
			r.line = r.line[:min(len(r.line), maxOutput)]
			break
		}
		if rest, ok := bytes.CutPrefix(r.line, []byte("READY ")); ok {
			r.said = true
			r.ready <- string(bytes.TrimSpace(rest))
		}
		r.line = r.line[:0]
	}
	return len(p), nil
}

// output keeps what a part prints.
type output struct {
	mu   sync.Mutex
	text []byte
}

// Write implements [io.Writer]. It never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxOutput - len(o.text); room > 0 {
		o.text = append(o.text, p[:min(len(p), room)]...)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
