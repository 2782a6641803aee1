package ownpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What a user may not open or make is given to the user by the hint, where it is the user's own.
func TestHintFor(t *testing.T) {
	dir := t.TempDir()
	closed, open := filepath.Join(dir, "closed"), filepath.Join(dir, "open")
	file := filepath.Join(open, "file")
	if err := errors.Join(os.Mkdir(closed, 0o500), os.Mkdir(open, 0o700), os.WriteFile(file, nil, 0o400)); err != nil {
		t.Fatal(err)
	}
	denied := func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{denied(filepath.Join(closed, "sealed.new")), "chmod u+rwx " + closed},
		{denied(filepath.Join(open, "sealed.new")), "ls -ld " + open},
		{denied(file), "chmod u+rw " + file},
		{denied(filepath.Join(dir, "none", "file")), "ls -ld " + filepath.Join(dir, "none")},
		{&Error{Path: file, Message: "is wrong", Hint: "mend it"}, "mend it"},
		{&fs.PathError{Op: "open", Path: file, Err: syscall.EIO}, ""},
		{&fs.PathError{Op: "write", Path: filepath.Join(open, "none"), Err: syscall.ENOSPC}, "df " + open},
		{&fs.PathError{Op: "open", Path: filepath.Join(dir, "none", "x"), Err: syscall.EDQUOT}, "df " + dir},
		{errors.New("else"), ""},
	} {
		if got := HintFor(fmt.Errorf("around: %w", c.err)); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
