package setup_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A new version that a killed groat has left is in nothing's way. What is none, and a tool's own lock that does not say
// what groat would write, is not touched.
func TestKilledBeforeARename(t *testing.T) {
	tier.Needs(t, "git")
	file := func(path string, after []byte) error { return os.WriteFile(path, after, 0o644) }
	const record, held = "state/setup/git.work.json.groat-new", ".gitconfig.lock"
	for name, tt := range map[string]struct {
		path  string
		plant func(path string, after []byte) error
		want  setup.Reason
	}{
		"the record":     {record, file, 0},
		"the copy":       {"state/setup/git.work.0.gitconfig.before.groat-new", file, 0},
		"a directory":    {record, func(path string, _ []byte) error { return os.Mkdir(path, 0o700) }, setup.Busy},
		"a link":         {record, func(path string, _ []byte) error { return os.Symlink(".", path) }, setup.Busy},
		"the file":       {held, file, 0},
		"git's lock":     {held, func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) }, setup.Busy},
		"git's, written": {held, func(path string, after []byte) error { return file(path, after[1:]) }, setup.Busy},
	} {
		m := machine(t)
		config, planted := filepath.Join(m.Home, ".gitconfig"), filepath.Join(m.Home, tt.path)
		write(t, config, "[user]\n", 0o600)
		plan, err := m.Setup(t.Context(), setup.Find("git"), work)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(os.MkdirAll(filepath.Dir(planted), 0o700), tt.plant(planted, plan.Changes[0].After))
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.Apply(); reason(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(planted); (err == nil) != (tt.want != 0) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(config); err != nil || strings.Contains(string(b), "groat") != (tt.want == 0) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// A path that a variable gives from where groat was called is found from everywhere.
func TestAPathFromTheDirectory(t *testing.T) {
	tier.Needs(t, "git")
	m := machine(t)
	m.Getenv = func(name string) string { return map[string]string{"GIT_CONFIG_GLOBAL": "own"}[name] }
	write(t, filepath.Join(m.Home, "elsewhere", "own"), "[mine]\n", 0o600)
	t.Chdir(m.Home)
	before := tree(t, m)
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	apply(t, plan, err)
	t.Chdir("elsewhere")
	plan, err = m.Undo(setup.Find("git"), work.Name)
	if changes := apply(t, plan, err).Changes; len(changes) != 1 || changes[0].Path != filepath.Join(m.Home, "own") {
		t.Errorf("%+v", changes)
	}
	if after := tree(t, m); len(after) != len(before) {
		t.Errorf("%v", after)
	}
}

// A file that groat has written is known until it is taken back, also where the one that is to be written instead
// cannot be.
func TestAFileThatIsNotTakenBackYet(t *testing.T) {
	tier.Needs(t, "git")
	m := machine(t)
	at := "a"
	m.Getenv = func(name string) string {
		return map[string]string{"GIT_CONFIG_GLOBAL": filepath.Join(m.Home, at)}[name]
	}
	write(t, filepath.Join(m.Home, "a"), "[mine]\n", 0o600)
	before := tree(t, m)
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	apply(t, plan, err)
	at = "b"
	plan, err = m.Setup(t.Context(), setup.Find("git"), work)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(m.Home, "b"), "[other]\n", 0o600)
	if err := plan.Apply(); reason(err) != setup.Changed {
		t.Errorf("%v", err)
	}
	before[filepath.Join(m.Home, "b")] = tree(t, m)[filepath.Join(m.Home, "b")]
	plan, err = m.Setup(t.Context(), setup.Find("git"), work)
	apply(t, plan, err)
	if all := tree(t, m); all[filepath.Join(m.Home, "a")] != before[filepath.Join(m.Home, "a")] {
		t.Errorf("%v", all)
	}
	plan, err = m.Undo(setup.Find("git"), work.Name)
	apply(t, plan, err)
	if diff := cmp.Diff(before, tree(t, m)); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(filepath.Join(m.State, "setup")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", left, err)
	}
}

// No other user may be able to replace a link that leads to the file.
func TestALinkOverAnOpenDirectory(t *testing.T) {
	tier.Needs(t, "git")
	m := machine(t)
	open, config := filepath.Join(m.Home, "open"), filepath.Join(m.Home, "safe", "git")
	write(t, config, "[user]\n", 0o600)
	err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(config, filepath.Join(open, "git")),
		os.Symlink("open/git", filepath.Join(m.Home, ".gitconfig")))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	if err == nil {
		err = plan.Apply()
	}
	if reason(err) != setup.NotWritten || !strings.Contains(err.Error(), open) {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != "[user]\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// The copy of a kubeconfig that a killed groat has left is removed by the next one.
func TestACopyThatIsLeft(t *testing.T) {
	m := machine(t)
	left := filepath.Join(m.State, "setup-1", "config")
	write(t, left, "users: []\n", 0o600)
	unlock, err := m.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Lstat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// What a tool has started and left behind is not waited for.
func TestAToolThatLeavesAProcess(t *testing.T) {
	for name, path := range map[string]string{"git": ".gitconfig", "kubectl": ".kube/config", "gdal": "", "go": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := machine(t)
			fifo, program := filepath.Join(m.Home, "fifo"), filepath.Join(m.Home, "program")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, program, "#!/bin/sh\ncat "+fifo+" &\n", 0o700)
			m.Find = func(string) string { return program }
			if path != "" {
				write(t, filepath.Join(m.Home, path), "", 0o600)
			}
			if _, err := m.Setup(t.Context(), setup.Find(name), work); err == nil {
				t.Error("what it said counts")
			}
			if err := os.WriteFile(fifo, nil, 0); err != nil { // the process is there still, and ends
				t.Error(err)
			}
		})
	}
}

// What groat has written is taken back although its record was lost: to set the tool up again finds it.
func TestARecordThatIsLost(t *testing.T) {
	tier.Needs(t, "git")
	const mine = "[user]\n\tname = Ann\n"
	m := machine(t)
	config := filepath.Join(m.Home, ".gitconfig")
	write(t, config, mine, 0o600)
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	apply(t, plan, err)
	if err := os.RemoveAll(filepath.Join(m.State, "setup")); err != nil {
		t.Fatal(err)
	}
	plan, err = m.Setup(t.Context(), setup.Find("git"), work)
	if changes := apply(t, plan, err).Changes; len(changes) > 0 {
		t.Errorf("%+v", changes)
	}
	plan, err = m.Undo(setup.Find("git"), work.Name)
	if left := apply(t, plan, err).Left; len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != mine {
		t.Errorf("%q, %v", b, err)
	}
}
