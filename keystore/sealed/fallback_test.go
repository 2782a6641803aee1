package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// What the disk does not take outlives the process that had it, whatever the disk says, and is stored when that can be
// done.
func TestSpare(t *testing.T) {
	for _, test := range []struct {
		id   string
		fail error
	}{{"D14 full", syscall.ENOSPC}, {"D14 quota", syscall.EDQUOT}, {"D14 failing", syscall.EIO},
		{"D16 read-only", syscall.EROFS}} {
		t.Run(test.id, func(t *testing.T) {
			s, disk := filesOnTestDisk(t)
			markSent(t, s, "work", nil)
			disk.set(failBelow(filepath.Dir(s.path), test.fail))
			for _, id := range []string{"2", "3"} { // the second takes the place of the first
				err := s.Set(t.Context(), "work", credential(id))
				if !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, test.fail) ||
					!strings.Contains(err.Error(), s.fallback.path) {
					t.Fatalf("%v; want ErrUnavailable, %v and where the copy is", err, test.fail)
				}
			}
			wantItem(t, s, "work", "1") // what could not be stored is not what is stored

			s = reopen(t, s)
			wantItem(t, s, "work", "3")
			wantItem(t, s, "other", "1")
			wantInDoubt(t, s)
			if _, err := s.MarkSent(t.Context(), "work"); !errors.Is(err, test.fail) {
				t.Errorf("presented while its answer could not be stored: %v", err)
			}
			s = reopen(t, s)
			wantItem(t, s, "work", "3")

			disk.set(nil)
			if err := s.Set(t.Context(), "other", credential("2")); err != nil || exists(s.fallback.path) {
				t.Errorf("healed: %v; the copy is there: %v", err, exists(s.fallback.path))
			}
			s = reopen(t, s)
			wantItem(t, s, "work", "3")
			wantItem(t, s, "other", "2")
			markSent(t, s, "work", nil)
		})
	}
}

// A process that can write to the disk stores the copy at once.
func TestSpareIsTakenIn(t *testing.T) {
	s, disk := filesOnTestDisk(t)
	disk.set(failBelow(filepath.Dir(s.path), syscall.ENOSPC))
	for _, p := range []string{"work", "other", "new"} {
		if err := s.Set(t.Context(), p, credential("2")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(s.fallback.path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the copy's mode: %v, %v", info, err)
	}
	disk.set(nil)
	s = reopen(t, s)
	if exists(s.fallback.path) || s.suspect {
		t.Error("the copy is still there")
	}
	for range 2 {
		for _, p := range []string{"work", "other", "new"} {
			wantItem(t, s, p, "2")
		}
		s = reopen(t, s)
	}
}

// A copy that is not newer than what is stored never counts, though it came back after it was dropped.
func TestOldSpare(t *testing.T) {
	s, disk := filesOnTestDisk(t)
	disk.set(failBelow(filepath.Dir(s.path), syscall.ENOSPC))
	if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	disk.set(nil)
	old, err := os.ReadFile(s.fallback.path)
	if err != nil {
		t.Fatal(err)
	}
	back := func() {
		t.Helper()
		if err := os.WriteFile(s.fallback.path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s)
	}
	if err := s.Set(t.Context(), "work", credential("3")); err != nil || exists(s.fallback.path) {
		t.Fatalf("%v; the copy is there: %v", err, exists(s.fallback.path))
	}
	back()
	wantItem(t, s, "work", "3")
	if exists(s.fallback.path) {
		t.Error("a copy of no use is still there")
	}

	// What was deleted does not come back from a copy; if the copy cannot be removed, it is not deleted.
	disk.set(failBelow(filepath.Dir(s.path), syscall.ENOSPC))
	if err := s.Set(t.Context(), "new", credential("1")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	disk.set(failBelow(filepath.Dir(s.fallback.path), syscall.EIO))
	if err := s.Delete(t.Context(), "new"); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("deleted, but the copy is there: %v", err)
	}
	disk.set(nil)
	if err := s.Delete(t.Context(), "new"); err != nil || exists(s.fallback.path) {
		t.Errorf("%v; the copy is there: %v", err, exists(s.fallback.path))
	}

	// A person who removes the file to give up what it held gives up the copy too.
	s.Close()
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	back()
	if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrNotFound) || exists(s.fallback.path) {
		t.Errorf("given up: %v; the copy is there: %v", err, exists(s.fallback.path))
	}
}

// A copy that is cut or has a bit flipped is the copy or nothing.
func TestDamagedSpare(t *testing.T) {
	s, disk := filesOnTestDisk(t)
	disk.set(failBelow(filepath.Dir(s.path), syscall.ENOSPC))
	if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.fallback.path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(t *testing.T, what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(s.fallback.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s)
		i, err := s.Get(t.Context(), "work")
		if err != nil || !i.Equal(credential("1")) && !i.Equal(credential("2")) {
			t.Fatalf("%s: %q, %v", what, i.ClientID, err)
		}
		wantItem(t, s, "other", "1")
	}
	t.Run("D9 cut", func(t *testing.T) {
		for n := range whole {
			try(t, fmt.Sprint("cut at ", n), whole[:n])
		}
	})
	t.Run("D10 flipped", func(t *testing.T) {
		for n := range whole {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << (n % 8)
			try(t, fmt.Sprint("a bit of byte ", n), flipped)
		}
	})
	try(t, "whole", whole)
	wantItem(t, s, "work", "2")
}

// A disk that hangs: what it may still write is in the fallback file too, and whatever it does later, the newest
// counts.
func TestSpareForDiskThatHangs(t *testing.T) {
	s, disk := filesOnTestDisk(t)
	entered, wake := make(chan struct{}), make(chan struct{})
	disk.set(func(op, path string) error {
		if op == "sync" && filepath.Dir(path) == filepath.Dir(s.path) {
			disk.set(nil)
			close(entered)
			<-wake
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- s.Set(ctx, "work", credential("2")) }()
	<-entered
	cancel()
	if err := <-failed; !strings.Contains(fmt.Sprint(err), s.fallback.path) {
		t.Errorf("a write that hangs: %v", err)
	}
	if err := s.Set(ctx, "work", credential("3")); !strings.Contains(fmt.Sprint(err), s.fallback.path) {
		t.Errorf("a write behind it: %v", err)
	}
	close(wake) // the first is carried out after all
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantItem(t, s, "work", "2")
	s = reopen(t, s)
	wantItem(t, s, "work", "3")
	s = reopen(t, s)
	wantItem(t, s, "work", "3")
}

// A fallback directory that cannot be used makes nothing worse.
func TestNoSpare(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s *Store){
		"none":      func(_ *testing.T, s *Store) { s.fallback.path = "" },
		"gone":      func(t *testing.T, s *Store) { s.fallback.path = filepath.Join(t.TempDir(), "none", "spare") },
		"not ours":  func(t *testing.T, s *Store) { os.Chmod(filepath.Dir(s.fallback.path), 0o777) },
		"a symlink": func(t *testing.T, s *Store) { os.Symlink(s.path, s.fallback.path) },
		"a directory": func(t *testing.T, s *Store) {
			if err := os.MkdirAll(filepath.Join(s.fallback.path, "x"), 0o700); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, disk := filesOnTestDisk(t)
			spoil(t, s)
			disk.set(failBelow(filepath.Dir(s.path), syscall.ENOSPC))
			if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%v, want ENOSPC", err)
			}
			wantItem(t, s, "work", "1")
			disk.set(nil)
			s = reopen(t, s)
			if err := s.Set(t.Context(), "work", credential("3")); err != nil {
				t.Error(err)
			}
			wantItem(t, s, "work", "3")
			wantItem(t, reopen(t, s), "work", "3")
		})
	}
}
