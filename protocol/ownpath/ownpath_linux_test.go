package ownpath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

const other = 4242

func makeDirectory(t *testing.T, path string, mode fs.FileMode, uid int) {
	t.Helper()
	tier.NeedsRoot(t)
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, uid, uid), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// No directory is made before the owner of every one above it is known to be right, root, too, makes
// nothing in another user's.
func TestH4NothingIsMadeInAnothersDirectory(t *testing.T) {
	tier.NeedsRoot(t)
	for name, c := range map[string]struct {
		plant func(root string)
		says  string // nothing where it is made
	}{
		"in one's own":    {func(root string) { makeDirectory(t, root+"/a", 0o700, 0) }, ""},
		"in a sticky one": {func(root string) { makeDirectory(t, root+"/a", 0o777|fs.ModeSticky, 0) }, ""},
		"another user's": {func(root string) { makeDirectory(t, root+"/a", 0o700, other) },
			"belongs to another user (uid 4242)"},
		"another's sticky": {func(root string) { makeDirectory(t, root+"/a", 0o777|fs.ModeSticky, other) },
			"belongs to another user"},
		"an open one": {func(root string) { makeDirectory(t, root+"/a", 0o777, 0) }, "may be written by others"},
		"below another user's": {func(root string) {
			makeDirectory(t, root+"/a", 0o755, other)
			makeDirectory(t, root+"/a/b", 0o700, 0)
		}, "belongs to another user"},
		"a link to another user's": {func(root string) {
			makeDirectory(t, root+"/b", 0o700, other)
			if err := os.Symlink(root+"/b", root+"/a"); err != nil {
				t.Fatal(err)
			}
		}, "belongs to another user"},
		"a file": {func(root string) {
			if err := os.WriteFile(root+"/a", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			c.plant(root)
			before := listTree(t, root)
			err := MakeDir(root + "/a/b/c/d")
			if c.says == "" {
				if info, err2 := os.Stat(root + "/a/b/c/d"); err != nil || err2 != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%v, %v", err, err2)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(e.Error(), c.says) || e.Hint == "" {
				t.Errorf("%v, want %q and a hint", err, c.says)
			}
			if after := listTree(t, root); after != before {
				t.Errorf("it was\n%sand is\n%s", before, after)
			}
		})
	}
}

func listTree(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		b.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A user who does not own the directory above makes nothing in it either, although the system would allow it.
func TestH5MayMakeIn(t *testing.T) {
	entries := map[string]Entry{
		"/": {Mode: fs.ModeDir | 0o755}, "/tmp": {Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		"/usr": {Mode: fs.ModeDir | 0o755},
		"/h":   {UID: 1000, GID: 1000, Mode: fs.ModeDir | 0o700}, "/o": {UID: other, Mode: fs.ModeDir | 0o755},
	}
	v := View{UID: 1000, GID: 1000, Lstat: func(path string) (Entry, error) {
		if e, ok := entries[path]; ok {
			return e, nil
		}
		return Entry{}, fs.ErrNotExist
	}}
	for path, want := range map[string]bool{"/h/a/b": true, "/tmp/a": true, "/usr/a": false, "/o/a": false,
		"/new": false} {
		if err := v.MayMakeIn(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A directory that another user has made in the meantime, in one that all may write, is refused.
func TestH6FasterThanUs(t *testing.T) {
	root := t.TempDir()
	makeDirectory(t, root+"/tmp", 0o777|fs.ModeSticky, 0)
	makeDirectory(t, root+"/tmp/groat-0", 0o755, other)
	if err := MakeDir(root + "/tmp/groat-0"); err == nil || !strings.Contains(err.Error(),
		"belongs to another user (uid 4242)") {
		t.Error(err)
	}
	if info, err := os.Stat(root + "/tmp/groat-0"); err != nil || info.Sys().(*syscall.Stat_t).Uid != other {
		t.Errorf("%v, %v", info, err)
	}
}

func TestH7ParseUser(t *testing.T) {
	for line, want := range map[string]string{
		"alice:x:1000:1000:Alice,,,:/home/alice:/bin/sh\n": "/home/alice",
		"alice:x:1000:1000::/home/alice:":                  "/home/alice",
		"alice:x:1001:1000::/home/alice:/bin/sh":           "",
		"alice:x:1000:1000::home:/bin/sh":                  "", "alice:x:1000": "", "": "",
	} {
		if u, ok := ParseUser(line, 1000); u.Home != want || ok != (want != "") {
			t.Errorf("%q: %+v, %v", line, u, ok)
		}
	}
}

// Root is told whose home it has, and how to run as that person.
func TestH29WhoseHome(t *testing.T) {
	tier.NeedsRoot(t)
	home := t.TempDir()
	if err := os.Chown(home, 1, 1); err != nil {
		t.Fatal("to give a home away this test needs root: ", err)
	}
	owner, ok := LocalUser(1)
	if !ok {
		t.Fatal("uid 1 is not in /etc/passwd")
	}
	e, ok := errors.AsType[*Error](CheckHome(home))
	if !ok || e.Path != "HOME="+home || e.Message != "belongs to "+owner.Name+" (uid 1), and you are root (uid 0)" ||
		e.Hint != "sudo -u "+owner.Name+" groat status" {
		t.Errorf("%+v", e)
	}
}

// Whom nothing gives a home, a container's user, is told one that can be made.
func TestH84NoHome(t *testing.T) {
	tier.NeedsRoot(t)
	if err := MakeDir(SpareHome()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(SpareHome()); err != nil {
		t.Fatal(err)
	}
	uid := os.Geteuid()
	if err := syscall.Setresuid(-1, 987654, -1); err != nil {
		t.Fatal("to be another user this test needs root: ", err)
	}
	defer syscall.Setresuid(-1, uid, -1)
	e, ok := errors.AsType[*Error](CheckHome("/"))
	if want := "HOME=/var/tmp/home-987654 groat status"; !ok || e.Hint != want ||
		!strings.Contains(e.Message, "you are uid 987654") {
		t.Errorf("%+v, want the hint %s", e, want)
	}
}

// Every directory on the way counts, also those that links lead over.
func TestCheck(t *testing.T) {
	const link = fs.ModeSymlink | 0o777
	mine, roots, others := Entry{UID: 987653, GID: 987653}, Entry{}, Entry{UID: other, GID: other}
	as := func(e Entry, mode fs.FileMode) Entry { e.Mode = mode; return e }
	entries := map[string]Entry{
		"/": as(roots, fs.ModeDir|0o755), "/tmp": as(roots, fs.ModeDir|fs.ModeSticky|0o777),
		"/h": as(mine, fs.ModeDir|0o700), "/h/group": as(mine, fs.ModeDir|0o770), "/h/open": as(mine, fs.ModeDir|0o707),
		"/h/shared": as(Entry{UID: mine.UID, GID: other}, fs.ModeDir|0o770), "/h/file": as(mine, 0o600),
		"/h/sticky": as(mine, fs.ModeDir|fs.ModeSticky|0o777), "/srv": as(roots, fs.ModeDir|0o775),
		"/o": as(others, fs.ModeDir|0o755), "/tmp/mine": as(mine, fs.ModeDir|0o700), "/tmp/theirs": as(others, link),
		"/h/up": as(mine, link), "/h/abs": as(mine, link), "/h/loop": as(mine, link), "/h/lost": as(mine, link),
		"/h/broken": as(mine, link), "/h/out": as(mine, link),
	}
	links := map[string]string{"/tmp/theirs": "/h", "/h/up": "../tmp/mine", "/h/abs": "/h/group", "/h/loop": "loop",
		"/h/lost": "nothing", "/h/out": "/o"}
	v := View{UID: mine.UID, GID: mine.GID, Lstat: func(path string) (Entry, error) {
		if strings.HasPrefix(path, "/h/file/") {
			return Entry{}, syscall.ENOTDIR
		}
		if e, ok := entries[path]; ok {
			return e, nil
		}
		return Entry{}, fs.ErrNotExist
	}, Readlink: func(path string) (string, error) {
		if target, ok := links[path]; ok {
			return target, nil
		}
		return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.EIO}
	}}
	for path, says := range map[string]string{
		"/h": "", "/h/new/and/more": "", "/h/group": "", "/h/file": "", "/tmp/mine": "", "/h/up/new": "",
		"/h/abs/new": "",
		"/h/lost":    "", "/h/../h/group": "",
		"/h/open":   "/h/open may be written by others (mode 0707)",
		"/h/shared": "/h/shared may be written by others (mode 0770)",
		"/h/sticky": "/h/sticky may be written by others", "/srv/new": "/srv may be written by others (mode 0775)",
		"/o/new":          "/o belongs to another user (uid 4242)",
		"/tmp/theirs/new": "/tmp/theirs is a link of another user (uid 4242)",
		"/h/out/new":      "/o belongs to another user", "/h/loop": "/h/loop cannot be examined: too many levels",
		"/h/broken": "/h/broken cannot be examined: input/output error",
	} {
		err := v.Check(path)
		e, ok := errors.AsType[*Error](err)
		if says == "" && err != nil || says != "" && (!ok || !strings.HasPrefix(e.Error(), says) || e.Hint == "") {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
	delete(entries, "/")
	if err := v.Check("/h"); err == nil || !strings.Contains(err.Error(), "/ cannot be examined") {
		t.Errorf("without a root: %v", err)
	}
	if err := Check("/"); err != nil {
		t.Error(err)
	}
}
