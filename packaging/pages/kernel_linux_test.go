package pages

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// kernel is a notebook that is open in a browser, with a real Jupyter kernel behind it. What a browser does there is
// done by testdata/kernel.py.
type kernel struct {
	t        *testing.T
	m        *machine
	path     string
	cells    []*string // the sources; nil for a cell that is text
	pid      int
	versions string // of Python and the packages
	in       io.WriteCloser
	events   *bufio.Scanner
	said     strings.Builder // everything that the driver has said
	failed   strings.Builder // its stderr, and the kernel's
	cmd      *exec.Cmd
}

// event is a line of the driver's; kernel.py says what there is.
type event struct {
	Kernel      int       `json:"kernel"`
	Versions    string    `json:"versions"`
	Cells       []*string `json:"cells"`
	Ran         *int      `json:"ran"`
	Shows       *string   `json:"shows"`
	Text        string    `json:"text"`
	Error       *string   `json:"error"`
	Asks        *string   `json:"asks"`
	Hidden      bool      `json:"hidden"`
	Environment *string   `json:"environment"`
}

// openNotebook opens a copy of a notebook of the repository, in a directory of its own on the machine. The kernel
// finds the Python package in the repository.
func (m *machine) openNotebook(name string) *kernel {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(), "protocol/python/notebooks", name))
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(m.dir, "notebooks"), 0o700); err != nil {
		m.t.Fatal(err)
	}
	m.write("notebooks/"+name, string(text), 0o600)
	k := &kernel{t: m.t, m: m, path: filepath.Join(m.dir, "notebooks", name)}
	driver := filepath.Join(Root(), "packaging/pages/testdata/kernel.py")
	if _, err := os.ReadFile(driver); err != nil { // so that the result of this test depends on it
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the cleanup has its end waited for
	k.cmd = exec.CommandContext(ctx, "/usr/bin/python3", driver, k.path)
	k.cmd.Env = append(m.env, "PYTHONPATH="+parts.Python(k.t), "PYTHONDONTWRITEBYTECODE=1")
	k.cmd.Dir, k.cmd.Stderr = m.dir, &k.failed
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	k.events = bufio.NewScanner(stdout)
	k.events.Buffer(nil, 1<<20)
	if err := m.net.start(k.cmd); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		k.in.Close()
		if err := k.cmd.Wait(); err != nil {
			m.t.Errorf("the notebook: %v\n%s", err, &k.failed)
		}
		cancel()
	})
	e := k.next()
	k.pid, k.cells, k.versions = e.Kernel, e.Cells, e.Versions
	return k
}

// next returns what happens next.
func (k *kernel) next() (e event) {
	k.t.Helper()
	if !k.events.Scan() {
		said := k.said.String()
		k.t.Fatalf("the notebook ended: %v\n%s\n%s", k.events.Err(), said[max(0, len(said)-2000):], &k.failed)
	}
	k.said.WriteString(k.events.Text() + "\n")
	if err := json.Unmarshal(k.events.Bytes(), &e); err != nil {
		k.t.Fatal(err)
	}
	return e
}

// do has the driver do something.
func (k *kernel) do(what map[string]any) {
	k.t.Helper()
	line, err := json.Marshal(what)
	if err == nil {
		_, err = k.in.Write(append(line, '\n'))
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// run runs a cell of the notebook, which must not fail, and returns its outputs. answers are what is typed where the
// kernel asks for a secret.
func (k *kernel) run(n int, answers ...string) string {
	k.t.Helper()
	k.do(map[string]any{"run": n})
	e := k.finish(answers...)
	if e.Error != nil {
		k.t.Fatalf("cell %d of %s: %s", n, filepath.Base(k.path), *e.Error)
	}
	return e.Text
}

// types runs a new cell, and returns its outputs and what is shown of its error.
func (k *kernel) types(source string, answers ...string) (text, failure string) {
	k.t.Helper()
	k.do(map[string]any{"type": source})
	e := k.finish(answers...)
	if e.Error != nil {
		failure = *e.Error
	}
	return e.Text, failure
}

// finish returns how the cell that runs has ended.
func (k *kernel) finish(answers ...string) event {
	k.t.Helper()
	for {
		e := k.next()
		switch {
		case e.Ran != nil && len(answers) > 0:
			k.t.Fatalf("nobody asked for %d answers; the cell ended with %v: %s", len(answers), e.Error, e.Text)
		case e.Ran != nil:
			return e
		case e.Asks != nil && len(answers) == 0:
			k.t.Fatalf("the kernel asks %q", *e.Asks)
		case e.Asks != nil:
			if !e.Hidden {
				k.t.Errorf("%q is asked in a way that is saved", *e.Asks)
			}
			k.do(map[string]any{"answer": answers[0]})
			answers = answers[1:]
		}
	}
}

// shows waits for an output of the cell that runs, and returns it.
func (k *kernel) shows(text string) string {
	k.t.Helper()
	for {
		if e := k.next(); e.Shows != nil && strings.Contains(*e.Shows, text) {
			return *e.Shows
		} else if e.Ran != nil {
			k.t.Fatalf("the cell has ended and never shown %q: %s", text, e.Text)
		}
	}
}

// environment returns the kernel's variables, as it has them and as the system shows them.
func (k *kernel) environment() string {
	k.t.Helper()
	k.do(map[string]any{"environment": 1})
	e := k.next()
	if e.Environment == nil {
		k.t.Fatalf("the kernel's environment is not said: %+v", e)
	}
	return *e.Environment + k.m.ofProcess(k.pid)
}

// ofProcess returns the command line and the environment of a process.
func (m *machine) ofProcess(pid int) string {
	m.t.Helper()
	all := ""
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err != nil {
			m.t.Error(err)
		}
		all += string(text)
	}
	return all
}

// signal sends a signal to the kernel and to groatd.
func (k *kernel) signal(s syscall.Signal) {
	k.t.Helper()
	for _, pid := range []int{k.pid, k.m.groatd()} {
		if err := syscall.Kill(pid, s); err != nil {
			k.t.Error(err)
		}
	}
}
