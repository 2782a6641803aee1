package sealed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

// restoreFile closes the store, puts the file back to what it was, and opens it.
func restoreFile(t *testing.T, s *Store, data []byte) *Store {
	t.Helper()
	s.Close()
	if err := os.WriteFile(s.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return reopen(t, s)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func setItem(t *testing.T, s *Store, profile, id string) {
	t.Helper()
	if err := s.Set(t.Context(), profile, credential(id)); err != nil {
		t.Fatal(err)
	}
}

// A file that came back from a backup is used, and reported as one until its token was accepted or replaced.
func TestRollback(t *testing.T) {
	t.Run("D13 once and again", func(t *testing.T) {
		s, _ := filesOnTestDisk(t)
		backup := readFile(t, s.path)
		setItem(t, s, "work", "2")
		setItem(t, s, "work", "3")
		newer := readFile(t, s.path)

		s = restoreFile(t, s, backup)
		wantItem(t, s, "work", "1")
		markSent(t, s, "other", nil)
		markSent(t, s, "work", keystore.ErrRolledBack)
		s = reopen(t, s)
		markSent(t, s, "work", keystore.ErrRolledBack)
		if err := s.MarkAnswered(t.Context(), "work"); err != nil { // accepted after all
			t.Fatal(err)
		}
		s = reopen(t, s)
		markSent(t, s, "work", nil)

		setItem(t, s, "work", "4")
		setItem(t, s, "work", "5")
		setItem(t, s, "work", "6")
		markSent(t, s, "work", nil)
		s = restoreFile(t, s, newer) // the same again, with another copy
		wantItem(t, s, "work", "3")
		markSent(t, s, "work", keystore.ErrRolledBack)
		setItem(t, s, "work", "7")
		markSent(t, s, "work", nil)
		wantInDoubt(t, reopen(t, s), "work")
	})
}

// What replaces a rolled-back item is above all that there was, so that no copy of what was in between passes for it.
func TestRollbackTwice(t *testing.T) {
	t.Run("D13 two copies", func(t *testing.T) {
		s, _ := filesOnTestDisk(t)
		backup := readFile(t, s.path)
		for n := range 5 {
			setItem(t, s, "work", fmt.Sprint("a", n))
		}
		before := readFile(t, s.path)
		s = restoreFile(t, s, backup)
		setItem(t, s, "work", "b1")
		s = restoreFile(t, s, before)
		wantItem(t, s, "work", "a4")
		markSent(t, s, "work", keystore.ErrRolledBack)
	})
}

// A login after a logout begins anew, and is no copy of anything; the file from before the logout is.
func TestRollbackAfterLogout(t *testing.T) {
	s, _ := filesOnTestDisk(t)
	setItem(t, s, "work", "2")
	backup := readFile(t, s.path)
	if err := s.Delete(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	setItem(t, s, "work", "3")
	markSent(t, s, "work", nil)
	s = reopen(t, s)
	markSent(t, s, "work", keystore.ErrUnanswered)
	s = restoreFile(t, s, backup)
	markSent(t, s, "work", keystore.ErrRolledBack)
}

// The newest record is damaged: the one before is returned, and reported as that.
func TestNewestDamaged(t *testing.T) {
	s, _ := filesOnTestDisk(t)
	setItem(t, s, "work", "2")
	data := readFile(t, s.path)
	data[len(data)-1] ^= 1
	s = restoreFile(t, s, data)
	wantItem(t, s, "work", "1")
	markSent(t, s, "work", keystore.ErrNewestDamaged)
	markSent(t, s, "work", keystore.ErrNewestDamaged)
	wantInDoubt(t, s, "work")
	setItem(t, s, "work", "3")
	markSent(t, s, "work", nil)
}

// What is known of generations is in a directory that backups leave out; it costs no fsync, and no profile's name is in
// it.
func TestSeenFile(t *testing.T) {
	s, disk := filesOnTestDisk(t)
	dir := filepath.Dir(s.guard.path)
	disk.set(func(op, path string) error {
		if strings.HasPrefix(op, "sync") && strings.HasPrefix(path, dir) {
			t.Error("synced")
		}
		return nil
	})
	for n := range 50 {
		setItem(t, s, fmt.Sprint("p", n%10), fmt.Sprint(n))
	}
	if text := string(readFile(t, filepath.Join(dir, "CACHEDIR.TAG"))); !strings.HasPrefix(text,
		"Signature: 8a477f597d28d172789f06886806bc55\n") {
		t.Errorf("CACHEDIR.TAG is %q", text)
	}
	info, err := os.Stat(s.guard.path)
	if err != nil || info.Mode() != 0o600 || info.Size() != 12*entrySize {
		t.Errorf("%v, %v; want 0600 and 12 entries", info, err)
	}
	if data := readFile(t, s.guard.path); strings.Contains(string(data), "work") {
		t.Error("a profile's name is in it")
	}
}

// Whatever is wrong with that file, the store works, and reports no rollback that did not happen.
func TestSeenSpoiled(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s *Store, disk *testDisk){
		"none":    func(_ *testing.T, s *Store, _ *testDisk) { s.guard.path = "" },
		"removed": func(t *testing.T, s *Store, _ *testDisk) { os.Remove(s.guard.path) },
		"empty":   func(t *testing.T, s *Store, _ *testDisk) { os.Truncate(s.guard.path, 0) },
		"torn":    func(t *testing.T, s *Store, _ *testDisk) { os.Truncate(s.guard.path, entrySize+5) },
		"zeros": func(t *testing.T, s *Store,
			_ *testDisk) {
			os.WriteFile(s.guard.path, make([]byte, 500), 0o600)
		},
		"endless":   func(t *testing.T, s *Store, _ *testDisk) { os.Truncate(s.guard.path, 1<<40) },
		"mode 0644": func(t *testing.T, s *Store, _ *testDisk) { os.Chmod(s.guard.path, 0o644) },
		"not ours":  func(t *testing.T, s *Store, _ *testDisk) { os.Chmod(filepath.Dir(s.guard.path), 0o777) },
		"no place":  func(t *testing.T, s *Store, _ *testDisk) { os.RemoveAll(filepath.Dir(s.guard.path)) },
		"a directory": func(t *testing.T, s *Store,
			_ *testDisk) {
			os.Remove(s.guard.path)
			os.Mkdir(s.guard.path, 0o700)
		},
		"disk full": func(_ *testing.T, s *Store, disk *testDisk) {
			disk.set(failBelow(filepath.Dir(s.guard.path), syscall.ENOSPC))
		},
		"another key's": func(t *testing.T, s *Store, _ *testDisk) {
			for n := range 3 {
				data := readFile(t, s.guard.path)
				data[n*5] ^= 1
				if err := os.WriteFile(s.guard.path, data, 0o600); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, disk := filesOnTestDisk(t)
			setItem(t, s, "work", "2")
			spoil(t, s, disk)
			for n := range 2 {
				s = reopen(t, s)
				markSent(t, s, "work", nil)
				setItem(t, s, "work", fmt.Sprint("more ", n))
				wantItem(t, s, "work", fmt.Sprint("more ", n))
			}
			if err := s.Delete(t.Context(), "work"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Removing a store removes all of its files, whether or not each is there.
func TestRemove(t *testing.T) {
	s, _ := filesOnTestDisk(t)
	s.Close()
	files := Files{Path: s.path, FallbackDir: dirOf(s.fallback.path), RollbackDir: dirOf(s.guard.path)}
	if err := files.Remove(); err != nil || exists(s.path) || exists(s.guard.path) {
		t.Error(err)
	}
	if err := files.Remove(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
}
