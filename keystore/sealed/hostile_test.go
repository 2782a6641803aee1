package sealed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
)

// The key is there and the file is not, or is empty: a fresh store, for nothing was ever acknowledged.
func TestNothingThere(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"missing":        func(string) error { return nil },
		"empty":          func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"part of a head": func(path string) error { return os.WriteFile(path, []byte(magic[:7]), 0o600) },
		"left by a crash": func(path string) error {
			return os.WriteFile(path+".new", []byte("left by a crash"), 0o600)
		},
	} {
		t.Run("D11 "+name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "sealed")
			if err := make(p); err != nil {
				t.Fatal(err)
			}
			s, err := Open(p, diskKey)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("get: %v", err)
			}
			wantInDoubt(t, s)
			setItem(t, s, "work", "1")
			wantItem(t, s, "work", "1")
		})
	}
}

// A file system without locks is refused, one on which a file cannot take another's place keeps what it has.
func TestPoorFileSystem(t *testing.T) {
	for _, err := range []syscall.Errno{syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		t.Run(fmt.Sprint("D18 no locks, ", err), func(t *testing.T) {
			disk := &testDisk{fail: failEvery("lock", err)}
			if _, got := (Files{Path: filepath.Join(t.TempDir(), "sealed"), Disk: disk}).Open(diskKey); !errors.Is(got,
				keystore.ErrUnavailable) || !errors.Is(got, err) {
				t.Errorf("%v, want ErrUnavailable and %v", got, err)
			}
		})
	}
	for _, op := range []string{"rename", "sync directory", "lock"} {
		t.Run("D18 no rewrite, "+op, func(t *testing.T) {
			s, disk := suspectStore(t)
			disk.set(failEvery(op, syscall.EINVAL))
			for range 2 {
				if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, syscall.EINVAL) {
					t.Errorf("%v, want EINVAL", err)
				}
				newItemOrOld(t, s, false)
				wantItem(t, s, "other", "1")
			}
			disk.set(nil)
			setItem(t, s, "work", "3")
			wantItem(t, reopen(t, s), "work", "3")
		})
	}
}

// No descriptor is left: what is on the disk counts all the same, and no caller is told that it does not.
func TestNoDescriptors(t *testing.T) {
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE} {
		t.Run(err.Error(), func(t *testing.T) {
			s, disk := storeOnTestDisk(t)
			disk.set(failEvery("open", err))
			markSent(t, s, "work", nil)
			setItem(t, s, "work", "2")
			disk.set(nil)
			wantItem(t, reopen(t, s), "work", "2")
		})
	}
}

// liar is a disk that stores something else than it was given, and reports success.
type liar struct {
	ownfile.Disk
	lie func([]byte) []byte
}

type liarFile struct {
	ownfile.File
	disk *liar
}

func (l *liar) Open(path string, flags int) (ownfile.File, error) {
	f, err := l.Disk.Open(path, flags)
	if err != nil {
		return nil, err
	}
	return &liarFile{f, l}, nil
}

func (f *liarFile) WriteAt(b []byte, offset int64) (int, error) {
	if f.disk.lie != nil {
		if n, err := f.File.WriteAt(f.disk.lie(append([]byte(nil), b...)), offset); err != nil {
			return n, err
		}
		return len(b), nil
	}
	return f.File.WriteAt(b, offset)
}

// A disk that reports success for what it does not store is detected.
func TestLyingDisk(t *testing.T) {
	for name, lie := range map[string]func([]byte) []byte{
		"a bit":   func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"zeros":   func(b []byte) []byte { return make([]byte, len(b)) },
		"nothing": func([]byte) []byte { return nil },
		"half":    func(b []byte) []byte { return b[:len(b)/2] },
	} {
		t.Run("D20 keeps "+name, func(t *testing.T) {
			s, disk := storeOnTestDisk(t)
			s.Close()
			l := &liar{Disk: disk}
			s, err := Files{Path: s.path, Disk: l}.Open(diskKey)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l.lie = lie
			if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("acknowledged: %v", err)
			}
			wantItem(t, s, "work", "1")
			if err := s.Probe(t.Context()); !errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("a probe: %v", err)
			}
			l.lie = nil
			setItem(t, s, "work", "2")
			wantItem(t, reopen(t, s), "work", "2")
		})
	}
}

// What is put in the file's place while it is open is not written to, nor trusted, and nothing of it is changed.
func TestTakenPlace(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"another file": func(path string) error { return os.WriteFile(path, []byte("somebody's"), 0o600) },
		"a directory":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":       func(path string) error { return os.Symlink(path+".old", path) },
		"a FIFO":       func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run("D16 "+name, func(t *testing.T) {
			s, _ := filesOnTestDisk(t)
			if err := errors.Join(os.Rename(s.path, s.path+".old"), take(s.path)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(s.path)
			if err != nil {
				t.Fatal(err)
			}
			_, presented := s.MarkSent(t.Context(), "work")
			for what, err := range map[string]error{"presented": presented,
				"set": s.Set(t.Context(), "work", credential("2"))} {
				if !errors.Is(err, keystore.ErrUnavailable) {
					t.Errorf("%s: %v, want ErrUnavailable", what, err)
				}
			}
			wantItem(t, s, "work", "1")
			after, err := os.Lstat(s.path)
			if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() ||
				before.Mode() != after.Mode() {
				t.Errorf("changed: %v, %v", after, err)
			}
			if err := errors.Join(os.Remove(s.path), os.Rename(s.path+".old", s.path)); err != nil {
				t.Fatal(err)
			}
			setItem(t, s, "other", "2")
			wantItem(t, reopen(t, s), "work", "2") // from the fallback file
		})
	}
}

// writeLargeFile writes a sealed file of many profiles, each with two generations of a session's size, every hundredth
// sent.
func writeLargeFile(t testing.TB, profiles int) (path string) {
	t.Helper()
	k, err := newKeys(diskKey)
	if err != nil {
		t.Fatal(err)
	}
	item := credential("a client")
	item.Issuer, item.TokenEndpoint, item.Grant = "https://auth.example", "https://auth.example/token", "device_code"
	item.RefreshToken = keystore.SecretString(fmt.Sprintf("%01000d", 0))
	b, err := keystore.EncodeItem(item)
	if err != nil {
		t.Fatal(err)
	}
	data := k.header()
	for n := range profiles {
		name := fmt.Sprint("profile-", n)
		records := []record{{kindSet, name, b}, {kindSet, name, b}}
		if n%100 == 0 {
			records = append(records, record{kind: kindSent, profile: name})
		}
		for g, r := range records {
			frame, err := k.seal(uint64(min(g+1, 2)), r)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, frame...)
		}
	}
	path = filepath.Join(t.TempDir(), "sealed")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ten thousand profiles are read at once, take little room, and a write among them is still one append.
func TestTenThousandProfiles(t *testing.T) {
	t.Run("D19 opened", func(t *testing.T) {
		const profiles = 10_000
		path, seen := writeLargeFile(t, profiles), t.TempDir()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		s, err := Files{Path: path, RollbackDir: seen}.Open(diskKey)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		t.Logf("figure: sealed file of 10,000 sessions opened = %v", time.Since(start).Round(time.Millisecond))
		runtime.ReadMemStats(&after)
		// Whatever the collector does, what was never allocated is no peak. The file has 24 MiB.
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%d MiB were allocated to open %d profiles", n>>20, profiles)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 30<<20 {
			t.Errorf("%d MiB of memory for %d profiles", n>>20, profiles)
		}
		names, err := s.InDoubt(t.Context())
		if len(profilesOf(t, s)) != profiles || len(names) != profiles/100 || err != nil || s.Damaged() != 0 {
			t.Errorf("%d profiles, %d unsettled, %d damaged, %v", len(profilesOf(t, s)), len(names), s.Damaged(), err)
		}
		node := inode(t, path)
		markSent(t, s, "profile-7", nil)
		setItem(t, s, "profile-7", "2")
		if inode(t, path) != node {
			t.Error("one rotation has rewritten all the others'")
		}
		wantItem(t, s, "profile-7", "2")
		markSent(t, s, "profile-100", keystore.ErrUnanswered)
	})
}
