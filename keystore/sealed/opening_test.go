package sealed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/groat-dev/groat/keystore"
)

// makeFile is a file with one item, which is closed, and the options to open it again.
func makeFile(t *testing.T) Options {
	t.Helper()
	o := Options{Files: Files{Path: filepath.Join(t.TempDir(), "sealed"), Disk: new(testDisk)}, KeyName: "file"}
	o.Key = o.KeyFile()
	s := New(o)
	if err := errors.Join(s.Set(t.Context(), "work", credential("1")), s.Close()); err != nil {
		t.Fatal(err)
	}
	return o
}

// A call that only reads and waits for another one makes nothing if the file is moved away meanwhile: that would put a
// new key in the place of the file's.
func TestMovedAwayWhileAReadWaits(t *testing.T) {
	o := makeFile(t)
	key, err := os.ReadFile(o.KeyFile().Path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := New(o)
		s.opening = make(chan struct{}, 1)
		s.opening <- struct{}{}
		result := make(chan error, 1)
		go func() {
			_, err := s.Get(t.Context(), "work")
			result <- err
		}()
		synctest.Wait()
		if err := os.Rename(o.Path, o.Path+".away"); err != nil {
			t.Fatal(err)
		}
		<-s.opening
		if err := <-result; !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
	if now, err := os.ReadFile(o.KeyFile().Path); string(now) != string(key) || err != nil {
		t.Errorf("the key is another one: %v", err)
	}
	if Exists(o.Path) {
		t.Error("a file was made")
	}
}

// mover is a key whose file is moved away just before it is brought.
type mover struct {
	KeySource
	path string
}

func (m mover) Key(ctx context.Context, create bool) (keystore.Secret, error) {
	if err := os.Rename(m.path, m.path+".away"); err != nil {
		return keystore.Secret{}, err
	}
	return m.KeySource.Key(ctx, create)
}

// Also between the key and the file nothing is made in the place of a file that was there: it would be empty, and so
// look like damage.
func TestMovedAwayBehindItsKey(t *testing.T) {
	o := makeFile(t)
	o.Key = mover{o.Key, o.Path}
	if err := New(o).Open(t.Context()); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if _, err := os.Lstat(o.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}

// Two people type a passphrase at the same time, and the file is opened with one of them: the other one is told that
// theirs does not fit.
func TestUnlockTwiceAtOnce(t *testing.T) {
	o := Options{Files: Files{Path: filepath.Join(t.TempDir(), "sealed"), Disk: new(testDisk)}, KeyName: "passphrase"}
	o.Key = o.Passphrase(keystore.Secret{})
	right, wrong := o.Passphrase(keystore.SecretString("right")), o.Passphrase(keystore.SecretString("wrong"))
	first := New(o)
	if err := errors.Join(first.Unlock(t.Context(), right), first.Close()); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := New(o)
		s.opening, s.writer = make(chan struct{}, 1), make(chan struct{}, 1)
		s.opening <- struct{}{}
		fits, differs := make(chan error, 1), make(chan error, 1)
		go func() { fits <- s.Unlock(t.Context(), right) }()
		synctest.Wait()
		go func() { differs <- s.Unlock(t.Context(), wrong) }()
		synctest.Wait()
		<-s.opening
		if err := <-fits; err != nil {
			t.Errorf("the right passphrase: %v", err)
		}
		if err := <-differs; !errors.Is(err, ErrWrongKey) {
			t.Errorf("the wrong passphrase: %v, want ErrWrongKey", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The disk hangs in the first write to a new file, and the store is asked again. Nothing is made, and no other key,
// before that write ends; then what it made is opened.
func TestFirstWriteHangs(t *testing.T) {
	disk := new(testDisk)
	o := Options{Files: Files{Path: filepath.Join(t.TempDir(), "sealed"), Disk: disk}, KeyName: "file"}
	o.Key = o.KeyFile()
	synctest.Test(t, func(t *testing.T) {
		s, answers := New(o), make(chan struct{})
		disk.set(func(op, path string) error {
			if op == "sync" && strings.HasSuffix(path, ".new") {
				<-answers
			}
			return nil
		})
		for range 3 {
			if err := s.Set(t.Context(), "work", credential("1")); !errors.Is(err, keystore.ErrUnavailable) {
				t.Fatalf("%v, want ErrUnavailable", err)
			}
		}
		disk.set(nil)
		close(answers)
		if err := s.Set(t.Context(), "work", credential("2")); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", "2")
		if Exists(o.KeyFile().Path + ".old") {
			t.Error("a second key was made")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	next := New(o)
	defer next.Close()
	wantItem(t, next, "work", "2")
}

// A write that hangs when the store is closed does not keep the lock of the file that it puts in place at last.
func TestClosedWhileAWriteHangs(t *testing.T) {
	o := makeFile(t)
	disk := o.Disk.(*testDisk)
	s := New(o)
	wantItem(t, s, "work", "1")
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		s.writer = make(chan struct{}, 1)
		disk.set(func(op, path string) error {
			switch {
			case op == "write" && path == o.Path:
				return syscall.EIO // so the file is rewritten
			case op == "sync" && strings.HasSuffix(path, ".new"):
				<-answers
			}
			return nil
		})
		if err := s.Set(t.Context(), "work", credential("2")); !errors.Is(err, keystore.ErrUnavailable) {
			t.Fatalf("%v, want ErrUnavailable", err)
		}
		s.Close()
		close(answers)
		synctest.Wait()
	})
	next := New(o)
	defer next.Close()
	if err := next.Open(t.Context()); err != nil {
		t.Error(err)
	}
}

// The file is moved away, and a new one cannot be made, however often that is tried: the key of the one that was moved
// away is still there when it comes back.
func TestKeyOfAMovedFileSurvivesFailedAttempts(t *testing.T) {
	for _, op := range []string{"open", "lock", "sync", "rename"} {
		o := makeFile(t)
		if err := os.Rename(o.Path, o.Path+".away"); err != nil {
			t.Fatal(err)
		}
		disk := o.Disk.(*testDisk)
		disk.set(failEvery(op, syscall.EIO))
		s := New(o)
		for range 3 {
			if err := s.Set(t.Context(), "new", credential("1")); !errors.Is(err, keystore.ErrUnavailable) {
				t.Fatalf("%s: %v, want ErrUnavailable", op, err)
			}
		}
		disk.set(nil)
		if _, err := os.Lstat(o.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: an empty file is left, which looks like damage: %v", op, err)
		}
		if err := os.Rename(o.Path+".away", o.Path); err != nil {
			t.Fatal(err)
		}
		wantItem(t, s, "work", "1")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
