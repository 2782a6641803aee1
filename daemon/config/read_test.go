package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// node is a directory, or a link where it has somewhere to lead; ROOT stands for where they are planted.
type node struct {
	path string
	mode fs.FileMode
	uid  int
	link string
}

func plant(t *testing.T, nodes []node) string {
	t.Helper()
	tier.NeedsRoot(t)
	root := t.TempDir()
	for _, n := range nodes {
		path := filepath.Join(root, n.path)
		var err error
		if n.link != "" {
			err = errors.Join(os.Symlink(strings.ReplaceAll(n.link, "ROOT", root), path), os.Lchown(path, n.uid, n.uid))
		} else {
			err = errors.Join(os.Mkdir(path, 0o700), os.Chown(path, n.uid, n.uid), os.Chmod(path, n.mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCheckWay(t *testing.T) {
	const other = 4242
	for name, c := range map[string]struct {
		tree        []node
		path        string
		place, says string // nothing where it is fine
	}{
		"own directories": {[]node{{path: "a", mode: 0o755}, {path: "a/b", mode: 0o700}}, "a/b", "", ""},
		"nothing there":   {[]node{{path: "a", mode: 0o700}}, "a/b/c", "", ""},
		"a sticky parent": {[]node{{path: "a", mode: 0o777 | fs.ModeSticky}, {path: "a/b", mode: 0o700}},
			"a/b", "", ""},
		"itself open": {[]node{{path: "a", mode: 0o777}}, "a", "a", "mode 0777"},
		"open to a group": {[]node{{path: "a", mode: 0o770}, {path: "a/b", mode: 0o700}}, "a/b", "a",
			"mode 0770"},
		"an open parent": {[]node{{path: "a", mode: 0o777}, {path: "a/b", mode: 0o700},
			{path: "a/b/c", mode: 0o700}}, "a/b/c", "a", "may be written by others"},
		"an open one, not there": {[]node{{path: "a", mode: 0o777}}, "a/b/c", "a", "may be written by others"},
		"another user's": {[]node{{path: "a", mode: 0o755, uid: other}, {path: "a/b", mode: 0o700}}, "a/b", "a",
			"belongs to another user (uid 4242)"},
		"another user's, sticky": {[]node{{path: "a", mode: 0o777 | fs.ModeSticky, uid: other},
			{path: "a/b", mode: 0o700}}, "a/b", "a", "belongs to another user"},
		"a link to a good one": {[]node{{path: "a", mode: 0o700}, {path: "l", link: "a"}, {path: "a/b", mode: 0o700}},
			"l/b", "", ""},
		"a link into an open one": {[]node{{path: "o", mode: 0o777}, {path: "o/a", mode: 0o700},
			{path: "l", link: "ROOT/o/a"}},
			"l/b", "o", "may be written by others"},
		"a link by way of an open one": {[]node{{path: "a", mode: 0o700}, {path: "o", mode: 0o777},
			{path: "o/l", link: "../a"}, {path: "m", link: "o/l"}},
			"m", "o", "may be written by others"},
		"another user's link": {[]node{{path: "s", mode: 0o777 | fs.ModeSticky}, {path: "a", mode: 0o700},
			{path: "s/l", link: "ROOT/a", uid: other}},
			"s/l", "s/l", "is a link of another user"},
		"links without end": {[]node{{path: "l", link: "m"}, {path: "m", link: "l"}}, "l/x", "l/x", "symbolic links"},
		"up again": {[]node{{path: "a", mode: 0o700}, {path: "a/b", mode: 0o700},
			{path: "a/l", link: "../a/./b//"}}, "a/l/../b", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := plant(t, c.tree)
			err := checkPath(root + "/" + c.path)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, filepath.Join(root, c.place), c.says)
		})
	}
}

// Nothing is read from a directory that others could have filled, and nothing written into it.
func TestDirectoriesThatOthersCouldWriteAreRefused(t *testing.T) {
	for _, open := range []string{"profiles.d", "", ".."} {
		d := place(t, map[string]string{"profiles.d/work.toml": spatiafi})
		dir := filepath.Join(d.path, open)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load()
		refused(t, err, dir, "may be written by others (mode 0777)")
		refused(t, save(d, Profile{Name: "lab", Provider: "spatiafi"}), dir, "may be written by others")
		refused(t, d.Writable(), dir, "may be written by others")
		refused(t, d.Removable("work"), dir, "may be written by others")
		if err := d.Removable("lab"); err != nil { // there is no file of it
			t.Error(err)
		}
		if e, _ := errors.AsType[*Error](err); e == nil || e.Hint != "chmod go-w "+dir {
			t.Errorf("hint of %v", err)
		}
	}
}

func TestLinks(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere.toml")
	for _, file := range []string{"config.toml", "profiles.d/work.toml"} {
		d := place(t, map[string]string{"profiles.d/lab.toml": spatiafi})
		link := filepath.Join(d.path, file)
		if err := os.Symlink(elsewhere, link); err != nil {
			t.Fatal(err)
		}
		_, err := d.one(t)
		refused(t, err, link, "is a link to "+elsewhere+", and nothing is there")
		if err := os.WriteFile(elsewhere, []byte(map[string]string{"config.toml": "",
			"profiles.d/work.toml": spatiafi}[file]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.one(t); err != nil {
			t.Errorf("a link that leads somewhere: %v", err)
		}
		if err := os.Chmod(filepath.Dir(elsewhere), 0o777); err != nil {
			t.Fatal(err)
		}
		_, err = d.one(t)
		refused(t, err, filepath.Dir(elsewhere), "may be written by others")
		if err := errors.Join(os.Chmod(filepath.Dir(elsewhere), 0o700), os.Remove(elsewhere)); err != nil {
			t.Fatal(err)
		}
	}
}

// Load does not wait on a pipe in a file's place.
func TestPipeIsNotWaitedFor(t *testing.T) {
	d := place(t, map[string]string{"profiles.d/lab.toml": spatiafi})
	if err := syscall.Mkfifo(d.profileFile("work"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := d.one(t); done <- err }()
	select {
	case err := <-done:
		refused(t, err, "work.toml", "is not a regular file")
	case <-time.After(2 * time.Minute):
		t.Error("Load waits for a writer of a pipe")
	}
}

func TestFilesAreBounded(t *testing.T) {
	d := place(t, map[string]string{"config.toml": "#" + strings.Repeat("x", maxFile-1)})
	if _, err := d.Load(); err != nil {
		t.Errorf("of 8 MiB: %v", err)
	}
	if err := os.WriteFile(d.file, []byte("#"+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := d.Load()
	refused(t, err, "config.toml", "larger than 8 MiB")
}

// A stamp differs once a profile was added or removed, and is no stamp while that cannot be told.
func TestH79Stamp(t *testing.T) {
	home := t.TempDir()
	d, err := At(home + "/")
	if err != nil {
		t.Fatal(err)
	}
	profiles, main := filepath.Join(home, "profiles.d"), filepath.Join(home, "config.toml")
	old := time.Now().Add(-time.Hour)
	age := func(path string) error { old = old.Add(time.Minute); return os.Chtimes(path, old, old) }
	seen := map[string]string{}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"the directory", func() error { return errors.Join(os.Mkdir(profiles, 0o700), age(profiles)) }},
		{"a profile", func() error { return errors.Join(os.WriteFile(profiles+"/a.toml", nil, 0o600), age(profiles)) }},
		{"none again", func() error { return errors.Join(os.Remove(profiles+"/a.toml"), age(profiles)) }},
		{"config.toml", func() error { return errors.Join(os.WriteFile(main, nil, 0o600), age(main)) }},
		{"more in it", func() error { return errors.Join(os.WriteFile(main, []byte("# x\n"), 0o600), age(main)) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		s := d.Stamp()
		if before, ok := seen[s]; ok || s == "" || s != d.Stamp() {
			t.Errorf("%s has the stamp %q, as %s had", step.name, s, before)
		}
		seen[s] = step.name
	}
	now := time.Now()
	if err := os.Chtimes(main, now, now); err != nil {
		t.Fatal(err)
	}
	if s := d.Stamp(); s != "" && time.Since(now) < youngest {
		t.Errorf("what was changed just now has the stamp %q", s)
	}
}
