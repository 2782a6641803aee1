package sealed

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
)

// testDisk is the operating system's disk, on which a test lets calls fail that no test machine lets fail.
// Since no test cuts the power, it does not sync: that takes most of a write's time.
type testDisk struct {
	mu   sync.Mutex
	fail func(op, path string) error // asked before each call; nil is no failure
}

func (d *testDisk) set(fail func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *testDisk) ask(op, path string) error {
	d.mu.Lock()
	fail := d.fail
	d.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(op, path)
}

func (d *testDisk) Open(path string, flags int) (ownfile.File, error) {
	if err := d.ask("open", path); err != nil {
		return nil, err
	}
	f, err := ownfile.System.Open(path, flags)
	if err != nil {
		return nil, err
	}
	return &testFile{f, d}, nil
}

func (d *testDisk) Lstat(path string) (fs.FileInfo, error) {
	if err := d.ask("lstat", path); err != nil {
		return nil, err
	}
	return ownfile.System.Lstat(path)
}

func (d *testDisk) Rename(from, to string) error {
	if err := d.ask("rename", to); err != nil {
		return err
	}
	return ownfile.System.Rename(from, to)
}

func (d *testDisk) Remove(path string) error {
	if err := d.ask("remove", path); err != nil {
		return err
	}
	return ownfile.System.Remove(path)
}

func (d *testDisk) SyncDirectory(path string) error {
	return d.ask("sync directory", path)
}

type testFile struct {
	ownfile.File
	disk *testDisk
}

func (f *testFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.disk.ask("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

func (f *testFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.disk.ask("write", f.Name()); errors.Is(err, errKilled) {
		return 0, err
	} else if err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], offset) // what fails may have begun
		return n, err
	}
	return f.File.WriteAt(b, offset)
}

func (f *testFile) Truncate(size int64) error {
	if err := f.disk.ask("truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *testFile) Sync() error {
	return f.disk.ask("sync", f.Name())
}

func (f *testFile) Lock() error {
	if err := f.disk.ask("lock", f.Name()); err != nil {
		return err
	}
	return f.File.Lock()
}

func (f *testFile) Reserve(offset, size int64) error {
	if err := f.disk.ask("reserve", f.Name()); err != nil {
		return err
	}
	return f.File.Reserve(offset, size)
}

var diskKey = keystore.SecretString("0123456789abcdef0123456789abcdef")

// reopen opens the store's files again, as the next process would. Closing writes nothing, so this process might as
// well have been killed.
func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	s.Close()
	s, err := Files{Path: s.path, FallbackDir: dirOf(s.fallback.path), RollbackDir: dirOf(s.guard.path),
		Disk: s.disk}.Open(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dirOf(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Dir(path)
}

// filesOnTestDisk is faulty with all of the store's files, each in a directory of its own.
func filesOnTestDisk(t *testing.T) (*Store, *testDisk) {
	t.Helper()
	s, disk := storeOnTestDisk(t)
	s.fallback.path, s.guard.path = inDir(t.TempDir(), "spare", s.path), inDir(t.TempDir(), "seen", s.path)
	return reopen(t, s), disk
}

// failBelow answers the calls that change something below a directory.
func failBelow(dir string, err error) func(string, string) error {
	return func(op, path string) error {
		changes := op != "stat" && op != "lstat" && op != "read" && op != "lock" &&
			(op != "open" || strings.HasSuffix(path, ".new"))
		if changes && strings.HasPrefix(path, dir) {
			return err
		}
		return nil
	}
}

func profilesOf(t *testing.T, s *Store) []string {
	t.Helper()
	names, err := s.Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}
