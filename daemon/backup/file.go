package backup

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// These are errors about a path, for which the caller has the next command.
var (
	// ErrExists means that the file exists and was not to be replaced.
	ErrExists = errors.New("exists already")
	// ErrPath means that the path cannot be a backup's.
	ErrPath = errors.New("cannot be a backup's file")
)

// Check reports why [Write] could not write there, and returns the path with the links in its directories resolved.
func Check(path string, force bool, keep ...string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s %w: it must be absolute", path, ErrPath)
	}
	path = filepath.Clean(path)
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	for _, k := range keep {
		if within(dir, k) {
			return "", fmt.Errorf("%s %w: groat keeps its own files there", path, ErrPath)
		}
	}
	path = filepath.Join(dir, filepath.Base(path))
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s %w: it is no regular file", path, ErrPath)
	case !force:
		return "", fmt.Errorf("%s %w", path, ErrExists)
	}
	return path, nil
}

// within reports whether a directory is another one, or below it.
func within(dir, other string) bool {
	of, err := os.Stat(other)
	if err != nil {
		return false
	}
	for {
		if at, err := os.Stat(dir); err == nil && os.SameFile(at, of) {
			return true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return false
		}
		dir = up
	}
}

// Write makes a durable file of mode 0600, which is complete and was read back before it gets its name. An existing
// file stays, unless force is set and it is a regular file. Write never replaces anything else, such as a link, and
// writes nothing into the directories in keep.
func Write(path string, data []byte, force bool, keep ...string) error {
	path, err := Check(path, force, keep...)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	// The directory is the person's: another process may write in it.
	temporary := filepath.Join(dir, ".groat-backup-"+rand.Text())
	draft, err := ownfile.Create(ownfile.System, path, temporary, ownpath.Export, data)
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	if !force {
		if err := reserve(draft.Name(), path); err != nil {
			return errors.Join(err, draft.Close())
		}
	}
	if err := draft.Rename(); err != nil {
		return err
	}
	return errors.Join(draft.Close(), draft.SyncName())
}

// reserve gives a file's name to a draft, or to an empty file of ours that the draft then replaces, unless another file
// has it.
func reserve(draft, path string) error {
	err := os.Link(draft, path) // which, unlike a rename, replaces nothing
	if err != nil && !errors.Is(err, fs.ErrExist) {
		var f *os.File // a file system without links
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600); err == nil {
			f.Close()
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s %w", path, ErrExists)
	}
	return err
}

// Read returns the bytes of a regular file, at most MaxFile. It does not block on anything else, such as a FIFO.
func Read(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%s %w: it must be absolute", path, ErrPath)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s %w: it is no regular file", path, ErrPath)
	case info.Size() > MaxFile:
		return nil, fmt.Errorf("%s %w: it has more than %d MiB", path, ErrPath, MaxFile>>20)
	}
	return io.ReadAll(io.LimitReader(f, MaxFile))
}
