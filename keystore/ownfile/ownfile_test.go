package ownfile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// The rule, a row a file: which of the four rules of package ownpath let it be opened. What is refused is not changed.
func TestRule(t *testing.T) {
	tier.NeedsRoot(t)
	file := func(mode fs.FileMode) func(string) error {
		return func(path string) error {
			return errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, mode))
		}
	}
	const secret, state, givenSecret, givenConfig = ownpath.OwnSecret, ownpath.OwnState, ownpath.GivenSecret,
		ownpath.GivenConfig
	for name, c := range map[string]struct {
		make  func(path string) error
		allow []ownpath.Rule
		says  string
	}{
		"mode 0600": {file(0o600), []ownpath.Rule{secret, state, givenSecret, givenConfig}, ""},
		"mode 0400": {file(0o400), []ownpath.Rule{secret, state, givenSecret, givenConfig}, ""},
		"mode 0700": {file(0o700), []ownpath.Rule{state, givenSecret, givenConfig}, "has mode 0700, want 0600"},
		"mode 0640": {file(0o640), []ownpath.Rule{state, givenConfig}, "mode 0640"},
		"mode 0644": {file(0o644), []ownpath.Rule{state, givenConfig}, "mode 0644"},
		"mode 0620": {file(0o620), nil, "mode 0620"},
		"mode 0602": {file(0o602), nil, "mode 0602"},
		"another user's": {func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4242, 4242))
		}, nil, "belongs to another user (uid 4242)"},
		"a link": {func(path string) error {
			return errors.Join(os.WriteFile(path+".target", []byte("x"), 0o600), os.Symlink(path+".target", path))
		}, []ownpath.Rule{givenSecret, givenConfig}, "is a symbolic link"},
		"a FIFO":      {func(path string) error { return syscall.Mkfifo(path, 0o600) }, nil, "is not a regular file"},
		"a directory": {func(path string) error { return os.Mkdir(path, 0o700) }, nil, "is not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			allowed := map[ownpath.Rule]bool{}
			for _, rule := range c.allow {
				allowed[rule] = true
			}
			for _, rule := range []ownpath.Rule{secret, state, givenSecret, givenConfig} {
				_, err := ownfile.Read(path, rule, 8)
				if allowed[rule] {
					if err != nil {
						t.Errorf("rule %d: %v", rule, err)
					}
					continue
				}
				e, ok := errors.AsType[*ownpath.Error](err)
				if !ok || e.Path != path || e.Hint == "" {
					t.Errorf("rule %d: %v, want a refusal with a hint", rule, err)
				}
				if rule == secret && !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("rule %d: %v, want %q", rule, err, c.says)
				}
			}
		})
	}
}

func TestReadLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345678"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ownfile.Read(path, ownpath.OwnSecret, 8); err != nil || string(b) != "12345678" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ownfile.Read(path, ownpath.OwnSecret, 7); !errors.Is(err, ownfile.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	f, err := ownfile.Open(ownfile.System, path, os.O_RDONLY, ownpath.OwnSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := ownfile.ReadAll(f, 7); !errors.Is(err, ownfile.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if _, err := ownfile.Read(path+".missing", ownpath.OwnSecret, 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
}

// disk fails in the call with the number n, counted from 1, and lists the calls that change something.
type disk struct {
	ownfile.Disk
	n     int
	calls []string
}

var errDisk = errors.New("the disk fails")

func (d *disk) next(call string) error {
	d.calls = append(d.calls, call)
	if len(d.calls) == d.n {
		return errDisk
	}
	return nil
}

func (d *disk) Open(path string, flags int) (ownfile.File, error) {
	if err := d.next("open " + filepath.Base(path)); err != nil {
		return nil, err
	}
	f, err := d.Disk.Open(path, flags)
	if err != nil {
		return nil, err
	}
	return &diskFile{f, d}, nil
}

func (d *disk) Rename(from, to string) error {
	if err := d.next("rename to " + filepath.Base(to)); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

func (d *disk) SyncDirectory(path string) error { return d.next("sync the directory") }

type diskFile struct {
	ownfile.File
	disk *disk
}

func (f *diskFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.disk.next("write"); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, offset)
}

func (f *diskFile) Sync() error { return f.disk.next("sync") }

func (f *diskFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.disk.next("read back"); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

// Replacing has one order. Whichever step fails, the old content or the new one is there as a whole, no draft stays,
// and success is not reported before the directory is synced.
func TestReplaceStepByStep(t *testing.T) {
	steps := []string{"open f.new", "write", "sync", "read back", "rename to f", "sync the directory"}
	for n := range len(steps) + 1 {
		path := filepath.Join(t.TempDir(), "f")
		err := errors.Join(os.WriteFile(path, []byte("old"), 0o644),
			os.WriteFile(path+".new", []byte("left by a crash"), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		d := &disk{Disk: ownfile.System, n: n}
		err = ownfile.ReplaceOn(d, path, ownfile.Beside(path), ownpath.OwnSecret, []byte("new content"))
		want, calls := "old", steps[:n]
		switch n {
		case 0:
			want, calls = "new content", steps
		case len(steps):
			want = "new content"
		}
		if (err == nil) != (n == 0) || n > 0 && !errors.Is(err, errDisk) {
			t.Errorf("step %d: %v", n, err)
		}
		if fmt.Sprint(d.calls) != fmt.Sprint(calls) {
			t.Errorf("step %d: the calls were %q, want %q", n, d.calls, calls)
		}
		if b, err := os.ReadFile(path); string(b) != want || err != nil {
			t.Errorf("step %d: %q, %v", n, b, err)
		}
		if _, err := os.Lstat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step %d: a draft is left: %v", n, err)
		}
		if info, err := os.Lstat(path); n == 0 && (err != nil || info.Mode() != 0o600) {
			t.Errorf("the new file: %v, %v", info, err)
		}
	}
}

// garbled is a disk that returns something else than was written.
type garbled struct{ ownfile.Disk }

func (d garbled) Open(path string, flags int) (ownfile.File, error) {
	f, err := d.Disk.Open(path, flags)
	return garbledFile{f}, err
}

type garbledFile struct{ ownfile.File }

func (f garbledFile) WriteAt(b []byte, offset int64) (int, error) {
	return f.File.WriteAt([]byte(strings.ToUpper(string(b))), offset)
}

func TestReplaceReadsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	err := ownfile.ReplaceOn(garbled{ownfile.System}, path, ownfile.Unique(path), ownpath.OwnSecret, []byte("new"))
	if err == nil || !strings.Contains(err.Error(), "does not return what was written") {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) > 0 || err != nil {
		t.Errorf("%v, %v are left", entries, err)
	}
}

// What is written in a directory that is not this process's alone does not disturb another's draft.
func TestUnique(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, b := ownfile.Unique(path), ownfile.Unique(path)
	if a == b || filepath.Dir(a) != filepath.Dir(path) {
		t.Errorf("%s, %s", a, b)
	}
	if err := ownfile.Replace(path, a, ownpath.OwnSecret, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "1" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// A file system that cannot sync a directory is no reason to refuse what is written there.
func TestSyncDirectory(t *testing.T) {
	for path, want := range map[string]error{t.TempDir(): nil, "/proc": nil, "/nowhere": fs.ErrNotExist} {
		if err := ownfile.System.SyncDirectory(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// mapping is the disk of a server that makes files as another user, as NFS does for root.
type mapping struct{ ownfile.Disk }

func (d mapping) Open(path string, flags int) (ownfile.File, error) {
	f, err := d.Disk.Open(path, flags)
	return f, errors.Join(err, os.Chown(path, 65534, 65534))
}

// What is refused as soon as it is made does not stay.
func TestCreateAsAnotherUser(t *testing.T) {
	tier.NeedsRoot(t)
	path := filepath.Join(t.TempDir(), "f")
	err := ownfile.ReplaceOn(mapping{ownfile.System}, path, ownfile.Unique(path), ownpath.OwnSecret, []byte("new"))
	if e, ok := errors.AsType[*ownpath.Error](err); !ok || !strings.Contains(e.Message, "uid 65534") {
		t.Errorf("%v, want a refusal", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) > 0 || err != nil {
		t.Errorf("%v, %v are left", entries, err)
	}
}

// openMode is the disk of a file system that has a mode of its own for all files, as CIFS, vfat and exfat do.
type openMode struct {
	ownfile.Disk
	mode os.FileMode
}

func (d openMode) Open(path string, flags int) (ownfile.File, error) {
	f, err := d.Disk.Open(path, flags)
	return f, errors.Join(err, os.Chmod(path, d.mode))
}

// What holds no secret, or is encrypted, may be on a file system that has no mode 0600.
func TestCreateWhereModesAreFixed(t *testing.T) {
	for _, c := range []struct {
		rule    ownpath.Rule
		mode    os.FileMode
		allowed bool
	}{
		{ownpath.OwnSecret, 0o755, false},
		{ownpath.OwnState, 0o755, true},
		{ownpath.OwnState, 0o777, false},
		{ownpath.Export, 0o777, true},
	} {
		path := filepath.Join(t.TempDir(), "f")
		disk := openMode{ownfile.System, c.mode}
		err := ownfile.ReplaceOn(disk, path, ownfile.Unique(path), c.rule, []byte("new"))
		if _, refused := errors.AsType[*ownpath.Error](err); refused == c.allowed || (err == nil) != c.allowed {
			t.Errorf("rule %d, mode %04o: %v", c.rule, c.mode, err)
		}
	}
}

// The operating system's file does what the interface promises: a lock that another open of it does not get, room that
// does not change its length, content that a reader of a shorter one is told of.
func TestSystemFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	open := func() ownfile.File {
		f, err := ownfile.Open(ownfile.System, path, os.O_RDWR|os.O_CREATE, ownpath.OwnSecret)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	defer b.Close()
	if err := a.Lock(); err != nil {
		t.Error(err)
	}
	if err := b.Lock(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("%v, want EWOULDBLOCK", err)
	}
	if err := errors.Join(a.Close(), b.Lock()); err != nil {
		t.Errorf("closing it does not release the lock: %v", err)
	}
	if err := b.Reserve(0, 8192); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if info, err := b.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("after Reserve: %v, %v", info, err)
	}
	if _, err := b.WriteAt([]byte("12345678"), 0); err != nil {
		t.Fatal(err)
	}
	if content, err := ownfile.ReadAll(b, 8); string(content) != "12345678" || err != nil {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := ownfile.ReadAll(shrunk{b}, 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want ErrUnexpectedEOF", err)
	}
}

// shrunk is a file that was cut between its Stat and its ReadAt.
type shrunk struct{ ownfile.File }

func (f shrunk) ReadAt(b []byte, offset int64) (int, error) {
	n, _ := f.File.ReadAt(b[:len(b)/2], offset)
	return n, io.EOF
}
