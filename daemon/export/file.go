package export

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// vacant refuses a place where there is something that groat has not written: nothing but an empty file of the user's
// own, as mktemp makes it, is replaced.
func vacant(path string) error {
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
	case info.Size() > 0:
		return &ownpath.Error{Path: path, Message: "is there already, and was not written by groat; it is not replaced",
			Hint: "ls -l " + visible.Word(path)}
	}
	return nil
}

// draft is the name of a new version of a file. It is the same each time, so that what a crash has left is replaced.
func draft(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".groat-new")
}

// write replaces the file where only this user can put something else in its place.
func write(path string, content keystore.Secret) error {
	if err := ownpath.Check(filepath.Dir(path)); err != nil {
		return err
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return vacant(path)
	}
	text := content.AppendTo(nil)
	defer clear(text)
	return ownfile.Replace(path, draft(path), ownpath.OwnSecret, text)
}

// remove removes a file, and nothing that is none.
func remove(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return vacant(path)
	}
	return ownfile.IgnoreNotExist(os.Remove(path))
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
		hint = "ls -ld " + visible.Word(filepath.Dir(p.Path))
	}
	return protocol.NewError(protocol.Config, "the file cannot be written: "+err.Error(), hint)
}
