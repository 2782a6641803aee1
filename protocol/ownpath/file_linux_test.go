package ownpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A private directory is this user's, closed to others, and no link to one.
func TestCheckPrivateDir(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(path string) error
		says  string // nothing where it passes
	}{
		"mode 0700": {func(path string) error { return os.Mkdir(path, 0o700) }, ""},
		"mode 0750": {func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o750)) },
			"is open to others (mode 0750)"},
		"another user's": {func(path string) error { makeDirectory(t, path, 0o700, other); return nil },
			"belongs to another user (uid 4242)"},
		"a link":  {func(path string) error { return os.Symlink("/", path) }, "is no directory"},
		"a file":  {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "is no directory"},
		"missing": {func(string) error { return nil }, "no such file"},
	} {
		path := filepath.Join(t.TempDir(), "d")
		if err := c.plant(path); err != nil {
			t.Fatal(err)
		}
		switch err := CheckPrivateDir(path); {
		case c.says == "" && err != nil, c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// Only a configuration may be root's where the user is another one.
func TestRootsFile(t *testing.T) {
	tier.NeedsRoot(t)
	path := filepath.Join(t.TempDir(), "f")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	uid := os.Geteuid()
	if err := syscall.Setresuid(-1, 987654, -1); err != nil {
		t.Fatal("to be another user this test needs root: ", err)
	}
	defer syscall.Setresuid(-1, uid, -1)
	for rule, want := range map[Rule]bool{
		OwnSecret: false, OwnState: false, GivenSecret: false, GivenConfig: true,
	} {
		if err := CheckFile(path, info, rule); (err == nil) != want {
			t.Errorf("rule %d: %v", rule, err)
		}
	}
}

// Each rule lets open what its line of the table allows. TestRule of keystore/ownfile has the other files.
func TestOpenFile(t *testing.T) {
	rules := []Rule{OwnSecret, OwnState, GivenSecret, GivenConfig}
	for name, c := range map[string]struct {
		mode  os.FileMode
		link  bool
		allow map[Rule]bool
	}{
		"mode 0600": {0o600, false,
			map[Rule]bool{OwnSecret: true, OwnState: true, GivenSecret: true, GivenConfig: true}},
		"mode 0644":         {0o644, false, map[Rule]bool{OwnState: true, GivenConfig: true}},
		"mode 0620":         {0o620, false, nil},
		"a link":            {0o600, true, map[Rule]bool{GivenSecret: true, GivenConfig: true}},
		"a link, mode 0640": {0o640, true, map[Rule]bool{GivenConfig: true}},
	} {
		path := filepath.Join(t.TempDir(), "f")
		named := path
		if c.link {
			named += ".link"
		}
		err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, c.mode))
		if c.link {
			err = errors.Join(err, os.Symlink(path, named))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range rules {
			f, err := OpenFile(named, os.O_RDONLY, rule)
			if _, refused := errors.AsType[*Error](err); refused == c.allow[rule] || (err == nil) != c.allow[rule] {
				t.Errorf("%s, rule %d: %v", name, rule, err)
			}
			f.Close()
		}
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		// A FIFO without a writer does not keep the caller waiting.
		if _, err := OpenFile(filepath.Join(dir, "fifo"), os.O_RDONLY, rule); err == nil {
			t.Errorf("rule %d: a FIFO is opened", rule)
		}
		if _, err := OpenFile(filepath.Join(dir, "none"), os.O_RDONLY, rule); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("rule %d: %v, want ErrNotExist", rule, err)
		}
	}
	f, err := OpenFile(filepath.Join(dir, "new"), os.O_RDWR|os.O_CREATE|os.O_EXCL, OwnSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode() != 0o600 {
		t.Errorf("a new file: %v, %v", info, err)
	}
}
