package sealed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// maxFile bounds what a start reads; ten thousand profiles take a fifth of it.
const maxFile = 64 << 20

// openLimit is how long a caller waits for another one that opens the file.
const openLimit = 10 * time.Second

// errAbsent means that there is no file, and that none is missed. It is an ErrNotFound.
var errAbsent = fmt.Errorf("%w: there is no sealed file", keystore.ErrNotFound)

// Open opens the file with [Options.Key], and makes none. The error is an [keystore.ErrNotFound] where there is no file
// and none is expected, and else says what a person can do.
func (s *Store) Open(ctx context.Context) error {
	_, err := s.open(ctx, s.options.Key, false)
	return err
}

// absent returns why there is no file to open.
func (s *Store) absent() error {
	if err := s.Missing(); err != nil {
		return err
	}
	return errAbsent
}

// Unlock opens the file with the key of source, or makes it. Where it is open already, and source is a passphrase, it
// is [ErrWrongKey] if that passphrase does not fit: a person who believes in another one learns it now, and not
// after the next start.
func (s *Store) Unlock(ctx context.Context, source KeySource) error {
	opened, err := s.open(ctx, source, true)
	if err != nil || opened || lacksPassphrase(source) {
		return err
	}
	if _, passphrase := source.(Passphrase); passphrase {
		return s.fits(ctx, source)
	}
	return nil
}

// fits returns ErrWrongKey where source has another key than the one that the open file is sealed with.
func (s *Store) fits(ctx context.Context, source KeySource) error {
	key, err := source.Key(ctx, false)
	if err != nil {
		return err
	}
	defer key.Wipe()
	other, err := newKeys(key)
	if err == nil && other.id != s.keys.id {
		err = fmt.Errorf("%s: %w", s.path, ErrWrongKey)
	}
	return err
}

// lacksPassphrase reports whether a person has yet to type the passphrase.
func lacksPassphrase(source KeySource) bool {
	p, ok := source.(Passphrase)
	return ok && p.Passphrase.IsZero()
}

// openExisting opens the file for a call that only reads. Its error is errAbsent where there is nothing to read.
func (s *Store) openExisting(ctx context.Context) error {
	if s.Absent() {
		return errAbsent
	}
	return s.Open(ctx)
}

// open opens the file with the key of source, and reports whether it was this call that did. A file that is not there
// is made only where mayMake is set.
func (s *Store) open(ctx context.Context, source KeySource, mayMake bool) (opened bool, err error) {
	if s.isOpen.Load() {
		return false, nil
	}
	if !mayMake && s.Absent() {
		return false, s.absent()
	}
	if err := s.emptied(); err != nil {
		return false, err
	}
	if lacksPassphrase(source) {
		if err := s.Missing(); err != nil {
			return false, err
		}
		return false, fmt.Errorf("%w: the sealed file waits for its passphrase", keystore.ErrLocked)
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	select {
	case s.opening <- struct{}{}:
		defer func() { <-s.opening }()
	case <-ctx.Done():
		return false, fmt.Errorf("%w: the sealed file is still being opened", keystore.ErrUnavailable)
	}
	if s.isOpen.Load() {
		return false, nil
	}
	if s.closed {
		return false, fmt.Errorf("%w: the sealed file is closed", keystore.ErrUnavailable)
	}
	// The first write of an earlier attempt to make the file may hang. It uses that attempt's key, and may put the file
	// in its place yet.
	endWrite, err := s.beginWrite(ctx)
	if err != nil {
		return false, err
	}
	endWrite()
	if err := s.emptied(); err != nil { // checked again, now that no other caller is making it
		return false, err
	}
	create := !Exists(s.path)
	if create && !mayMake {
		return false, s.absent()
	}
	s.making.Store(create)
	defer s.making.Store(false)
	err = s.explain(s.openWith(ctx, source, create))
	return err == nil, err
}

// openWith opens the file, or with create makes it, with the key that source brings. The caller has the token of
// opening.
func (s *Store) openWith(ctx context.Context, source KeySource, create bool) error {
	key, err := source.Key(ctx, create)
	if k, ok := source.(KeyFile); ok && !create && errors.Is(err, os.ErrNotExist) {
		return s.lostKey(k)
	}
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := s.openKey(key, create); err != nil {
		if create && !errors.Is(err, ErrInUse) {
			s.discardNew(source)
		}
		return err
	}
	if !create && s.index.end == 0 {
		// Nothing in it says that this is its key.
		err = fmt.Errorf("%s: %w: its header is cut off", s.path, keystore.ErrCorrupt)
	} else if create {
		err = s.probe(ctx) // from now on it is bound to its key
	}
	if err != nil {
		s.mu.RLock()
		empty := create && s.index.end == 0
		s.mu.RUnlock()
		if err = errors.Join(err, s.release()); empty {
			s.discardNew(source)
		}
		return err
	}
	s.isOpen.Store(true)
	return nil
}

// discardNew removes a new file in which nothing could be stored, for an empty one looks like damage, and restores the
// key in whose place its own was put.
func (s *Store) discardNew(source KeySource) {
	if !Exists(s.path) {
		s.disk.Remove(s.path)
	}
	restoreKey(source)
}

// openKey opens the file, or with create makes an empty one, takes its lock, and adds what an earlier process left
// in the fallback file. The key has 32 bytes and stays the caller's.
func (s *Store) openKey(key keystore.Secret, create bool) error {
	k, err := newKeys(key)
	if err != nil {
		return err
	}
	file, err := openLocked(s.disk, s.path, create)
	if err != nil {
		return err
	}
	x, err := scanFile(k, file)
	if err != nil {
		file.Close()
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.keys, s.suspect = k, x.end == 0 || x.end != x.size
	s.fallback = &fallback{disk: s.disk, path: s.options.fallbackFile(), keys: k}
	s.guard = &rollbackGuard{disk: s.disk, path: s.options.rollbackFile(), keys: k}
	s.mu.Lock()
	s.file, s.index, s.released = file, x, false
	s.mu.Unlock()
	s.fallback.load()
	s.mergeFallback()
	s.guard.open(s.index)
	return nil
}

// Close releases the file and its lock for good: a caller that comes late must not open, and so make, the file again. A
// write that is going on fails or ends first.
func (s *Store) Close() error {
	s.opening <- struct{}{} // held while a file is opened, which ends
	defer func() { <-s.opening }()
	s.closed = true
	s.isOpen.Store(false)
	return s.release()
}

// release closes the file. A write that still hangs closes the file that it puts in place.
func (s *Store) release() error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-time.After(writeLimit):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil || s.released {
		return nil
	}
	s.released = true
	return errors.Join(s.file.Close(), s.guard.close())
}

// explain says of the key or the file what would else sound like one profile's item: a login would not help, nor would
// the keychain's password help against another key.
func (s *Store) explain(err error) error {
	remedy := "bring it back, or remove that file to give up what it holds"
	for _, path := range []string{s.options.KeyFile().Path, s.options.Passphrase(keystore.Secret{}).Params} {
		if errors.Is(err, ErrWrongKey) && Exists(path+".old") {
			remedy = fmt.Sprintf("bring it back (what was in the place of %s before is %s.old), "+
				"or remove that file to give up what it holds",
				filepath.Base(path), filepath.Base(path))
		}
	}
	name := s.options.KeyName
	_, passphrase := s.options.Key.(Passphrase)
	switch {
	case errors.Is(err, keystore.ErrNotFound):
		return fmt.Errorf("%w: the key of the sealed file %s is not where it was (%s): %s", keystore.ErrUnavailable,
			s.path, name, remedy)
	case errors.Is(err, ErrWrongKey) && !passphrase:
		return fmt.Errorf("%w: the sealed file %s was sealed with another key than there is now (%s): %s",
			keystore.ErrUnavailable, s.path, name, remedy)
	case errors.Is(err, keystore.ErrCorrupt):
		return fmt.Errorf("%w: the sealed file %s or its key: %v", keystore.ErrUnavailable, s.path, err)
	}
	return err
}

// lostKey is the error of a key file that is gone. Its command gives up what the sealed file holds, and keeps the file
// in case that the key comes back.
func (s *Store) lostKey(k KeyFile) error {
	lost := "what it holds"
	if names := s.expected(); names != "" {
		lost = "the credentials of " + names
	}
	return &keystore.GoneError{Said: fmt.Sprintf("the key file %s is gone, and nothing else opens %s: bring it back "+
		"from a backup; or give up %s by moving the sealed file away, and sign in again", k.Path, s.path, lost),
		Next: "mv " + visible.Word(s.path) + " " + visible.Word(s.path+".lost"), SignIn: true}
}

// IsOpen reports whether the file is open.
func (s *Store) IsOpen() bool { return s.isOpen.Load() }

// Absent reports whether there is nothing to read: no file is open and none is there. A file that was removed
// while it is open here is still there for this process.
func (s *Store) Absent() bool { return !s.isOpen.Load() && s.Removed() }

// Removed reports whether the file was removed, or never made. An emptied file is damaged, and not removed.
func (s *Store) Removed() bool { return !Exists(s.path) && s.emptied() == nil }

// Missing returns an error where the file is not there, and held something. Its words are for people.
func (s *Store) Missing() error {
	expected := s.expected()
	if expected == "" || s.options.Changing() || s.making.Load() || !s.Absent() {
		return nil
	}
	how, next := s.startOver()
	return &keystore.GoneError{Said: fmt.Sprintf("the sealed file %s is not there, and held the credentials of %s: "+
		"bring it back, or give up what it held and %s", s.path, expected, how), Next: next, SignIn: next == ""}
}

// emptied returns an error where the file has lost what it held: it is not a new one then, which any passphrase would
// fit.
func (s *Store) emptied() error {
	expected := s.expected()
	info, err := os.Lstat(s.path)
	if expected == "" || s.making.Load() || err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
		return nil
	}
	how, next := s.startOver()
	remove := "rm " + visible.Word(s.path)
	if next != "" {
		remove += " && " + next
	}
	return &keystore.GoneError{Said: fmt.Sprintf("the sealed file %s is damaged: it is empty, and held the "+
		"credentials of %s: bring it back from a backup, or give up what it held (rm %s) and %s",
		s.path, expected, s.path, how), Next: remove, SignIn: next == ""}
}

// startOver is how a person goes on with a new file, in words and as a command; signing in is none of this package's.
func (s *Store) startOver() (how, next string) {
	if _, passphrase := s.options.Key.(Passphrase); passphrase {
		next = "groat keystore use sealed --passphrase"
		return "choose a passphrase for a new one: " + next, next
	}
	return "sign in again", ""
}

// expected names the profiles whose items should be in the file, the first three of them; empty where there are none.
func (s *Store) expected() string {
	names, more := s.options.Expected(), ""
	if n := len(names); n > 3 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n-3)
	}
	return strings.Join(names, ", ") + more
}

// openLocked opens the file, or with create makes it, and takes the lock that goes with it until it is closed.
func openLocked(disk ownfile.Disk, path string, create bool) (ownfile.File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	if err := checkDirectory(path); err != nil {
		return nil, err
	}
	for range 100 {
		f, err := ownfile.Open(disk, path, flags, ownpath.OwnSecret)
		if errors.Is(err, syscall.EROFS) {
			f, err = ownfile.Open(disk, path, os.O_RDONLY, ownpath.OwnSecret) // a write will say why not
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", keystore.ErrUnavailable, err)
		}
		if err := lock(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// Its holder may have put a rewritten file in place between our open and our lock.
		ours, err1 := f.Stat()
		named, err2 := disk.Lstat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, named) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("%s: %w", path, ErrInUse)
}

// checkDirectory refuses a file in whose place another user could put something else.
func checkDirectory(path string) error {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err == nil {
		err = ownpath.Check(dir)
	}
	return unavailable(err)
}

func lock(f ownfile.File) error {
	switch err := f.Lock(); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("%w: locking %s: %w", keystore.ErrUnavailable, f.Name(), err)
	}
	return nil
}

// readAll returns the content of an open file.
func readAll(f ownfile.File) ([]byte, error) {
	data, err := ownfile.ReadAll(f, maxFile)
	return data, unavailable(err)
}
