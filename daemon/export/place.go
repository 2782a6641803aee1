package export

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// diskTime is how long a file system may take. One that a server or a program of the user's has, which is away, never
// answers.
const diskTime = 10 * time.Second

var errDisk = errors.New("its file system does not answer")

// maxContent is more than any file that is written here has, in bytes.
const maxContent = 1 << 20

// trace is what is known of a keeper's file on the disk. It is recorded before the disk is changed, so that after a
// crash at any point the next daemon knows what is groat's, and nothing else is replaced or removed.
type trace struct {
	draft     string      // the name of a new version that may be there, or empty
	marks     []string    // of what the file may hold; empty: there is none
	directory fs.FileInfo // which the file is in; nil where it was not looked at
}

// maxMarks bounds the marks of a file that cannot be written again and again.
const maxMarks = 4

// markOf tells one content from another, and not what it is.
func markOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// draftPrefix begins the name of a new version.
const draftPrefix = ".groat-"

func validDraft(name string) bool {
	return name == "" || strings.HasPrefix(name, draftPrefix) && filepath.Base(name) == name
}

// prepare notes what the file will hold, and returns the trace to write it with.
func (t *trace) prepare(mark string) trace {
	if t.draft == "" {
		t.draft = draftPrefix + rand.Text() // which another user who can make files here does not know
	}
	if !slices.Contains(t.marks, mark) {
		t.marks = append(slices.Clone(t.marks), mark)
	}
	if len(t.marks) > maxMarks { // the first is of the last version that is known to be there
		t.marks = slices.Delete(t.marks, 1, len(t.marks)-maxMarks+1)
	}
	return *t
}

// onDisk does what may take long, in its turn. Where it takes too long the error is errDisk, and it goes on by itself,
// but writes no file any more: late says so.
func (k *keeper) onDisk(do func(late *atomic.Bool) error) error {
	end := time.NewTimer(diskTime)
	defer end.Stop()
	select {
	case k.disk <- struct{}{}:
	case <-end.C:
		return errDisk
	}
	done, late := make(chan error, 1), new(atomic.Bool)
	go func() {
		err := do(late)
		<-k.disk
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-end.C:
		late.Store(true)
		return errDisk
	}
}

// locate looks at the directory of the file.
func (k *keeper) locate() error {
	found := make(chan fs.FileInfo, 1)
	err := k.onDisk(func(*atomic.Bool) error {
		info, err := os.Stat(filepath.Dir(k.Path))
		found <- info
		return err
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trace.directory = <-found
	return nil
}

func (k *keeper) directory() fs.FileInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trace.directory
}

// isIn reports whether the file is known to be in a directory.
func (k *keeper) isIn(directory fs.FileInfo) bool {
	own := k.directory()
	return own != nil && directory != nil && os.SameFile(own, directory)
}

// write replaces the file.
func (k *keeper) write(content keystore.Secret) error {
	if k.directory() == nil {
		if err := k.locate(); err != nil {
			return err
		}
	}
	text := content.AppendTo(nil)
	mark := markOf(text)
	k.mu.Lock()
	noted := k.trace.prepare(mark)
	k.mu.Unlock()
	k.x.save()
	if err := k.onDisk(func(late *atomic.Bool) error {
		defer clear(text)
		return replace(k.Path, noted, text, late)
	}); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trace.draft, k.trace.marks = "", []string{mark}
	return nil
}

// remove removes the file, if it is groat's.
func (k *keeper) remove() error {
	k.mu.Lock()
	noted := k.trace
	k.mu.Unlock()
	left := false
	if len(noted.marks) > 0 {
		found := make(chan bool, 1)
		if err := k.onDisk(func(*atomic.Bool) error {
			left, err := erase(k.Path, noted)
			found <- left
			return err
		}); err != nil {
			return err
		}
		left = <-found
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.foreign = left
	k.content, k.written, k.expires, k.ends = keystore.Secret{}, false, 0, 0
	k.trace.draft, k.trace.marks = "", nil
	return nil
}

// replace replaces a file where only this user can put something else in its place, and only what groat has written.
func replace(path string, noted trace, text []byte, late *atomic.Bool) error {
	directory := filepath.Dir(path)
	if _, err := os.Stat(directory); err != nil {
		return err // one that is not there, another user might make
	}
	if err := ownpath.Check(directory); err != nil {
		return err
	}
	if err := vacant(path, noted.marks); err != nil {
		return err
	}
	d, err := ownfile.Create(ownfile.System, path, filepath.Join(directory, noted.draft), ownpath.OwnSecret, text)
	if err != nil {
		return err
	}
	if late.Load() {
		return errors.Join(errDisk, d.Discard())
	}
	if err := d.Rename(); err != nil {
		return err
	}
	return errors.Join(d.Close(), d.SyncName())
}

// vacant refuses a place where there is something that groat has not written: nothing but an empty file, as mktemp
// makes it, is replaced.
func vacant(path string, marks []string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() == fs.ModeSymlink:
		return &ownpath.Error{Path: path, Message: "is a symbolic link", Hint: "ls -l " + visible.Word(path)}
	case !info.Mode().IsRegular():
		return &ownpath.Error{Path: path, Message: "is no file", Hint: "ls -ld " + visible.Word(path)}
	case info.Size() == 0:
		return nil
	}
	// A changed mode is no reason to leave an old token there.
	text, err := ownfile.Read(path, ownpath.Export, maxContent)
	defer clear(text)
	if err != nil && !errors.Is(err, ownfile.ErrTooLarge) {
		return err
	}
	if err != nil || !slices.Contains(marks, markOf(text)) {
		return &ownpath.Error{Path: path, Message: "is there already, and was not written by groat; it is not replaced",
			Hint: "ls -l " + visible.Word(path)}
	}
	return nil
}

// erase removes what groat has written, and leaves anything else; left reports that there is something else. All of it
// is done in the one directory that the path leads to at first.
func erase(path string, noted trace) (left bool, err error) {
	directory, err := os.OpenRoot(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer directory.Close()
	if noted.draft != "" {
		if err := ownfile.IgnoreNotExist(directory.Remove(noted.draft)); err != nil {
			return false, err
		}
	}
	name := filepath.Base(path)
	if its, err := holds(directory, name, noted.marks); err != nil {
		return false, ownfile.IgnoreNotExist(err)
	} else if !its {
		return true, nil
	}
	return false, ownfile.IgnoreNotExist(directory.Remove(name))
}

// holds reports whether a file is there and has one of the marks, or is empty.
func holds(directory *os.Root, name string, marks []string) (bool, error) {
	info, err := directory.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxContent {
		return false, err
	}
	f, err := directory.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil || !os.SameFile(info, opened) {
		return false, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxContent))
	defer clear(text)
	return err == nil && (len(text) == 0 || slices.Contains(marks, markOf(text))), err
}

// fileError is what a person is told of a file that cannot be kept.
func fileError(err error) *protocol.Error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return e
	}
	if own, ok := errors.AsType[*ownpath.Error](err); ok {
		return protocol.NewError(protocol.Config, own.Error(), own.Hint)
	}
	hint := "groat export"
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		hint = ownpath.DirHint(filepath.Dir(p.Path))
	}
	return protocol.NewError(protocol.Config, "the file cannot be written: "+err.Error(), hint)
}
