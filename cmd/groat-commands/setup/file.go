package setup

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// maxFile bounds a configuration, in bytes: no tool's comes near it.
const maxFile = 1 << 20

// snapshot is what a file is like at one time. One that is not there has the mode of a new one.
type snapshot struct {
	target  string // the file itself, behind all links
	content []byte
	there   bool
	mode    fs.FileMode
}

// read returns what a file that setup may change is like.
func read(path string) (s snapshot, err error) {
	fail := func(r Reason, err error) (snapshot, error) {
		return snapshot{}, &Error{Reason: r, Path: path, Err: err}
	}
	if s.target, err = follow(path); err != nil {
		return fail(Unreadable, err)
	}
	s.mode = 0o600
	f, err := os.OpenFile(s.target, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not block
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return fail(Unreadable, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(Unreadable, err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fail(NotRegular, nil)
	case owner == nil || int(owner.Uid) != os.Geteuid():
		return fail(NotYours, nil)
	case info.Mode()&0o200 == 0:
		return fail(ReadOnly, nil)
	case owner.Nlink > 1:
		return fail(OtherNames, nil)
	}
	s.content, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return fail(Unreadable, err)
	case len(s.content) > maxFile:
		return fail(TooLarge, nil)
	}
	s.there, s.mode = true, info.Mode().Perm()
	return s, nil
}

// maxLinks is how many links may lead to a file, as for the system (path_resolution(7)).
const maxLinks = 40

// follow returns the file that a path leads to through symbolic links. It need not be there.
func follow(path string) (string, error) {
	for range maxLinks {
		to, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) { // no link
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path)) // ".." is meant from there
			if err != nil {
				return "", err
			}
			to = filepath.Join(dir, to)
		}
		path = to
	}
	return "", &fs.PathError{Op: "readlink", Path: path, Err: syscall.ELOOP}
}

// missing returns the directories above a file that have to be made for it, the uppermost first.
func missing(target string) (dirs []string) {
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return dirs
		}
		dirs = append([]string{dir}, dirs...)
	}
}

// replace gives a file another content, if it is still as it was. The new version is made beside it, under the name
// that lock is the end of where the tool locks its file so.
func (was snapshot) replace(path, lock string, content []byte, mode fs.FileMode) error {
	fail := func(r Reason, err error) error {
		return &Error{Reason: r, Path: path, Lock: was.target + lock, Err: err}
	}
	dir := filepath.Dir(was.target)
	// What stands in the file is run as a program: no other user may be able to put another one in its place, or in
	// that of a link to it.
	if err := cmp.Or(ownpath.Check(path), ownpath.System().MayMakeIn(dir)); err != nil {
		return fail(NotWritten, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(NotWritten, err)
	}
	if lock == "" {
		lock = draftSuffix
	}
	name := was.target + lock
	f, err := create(name)
	if errors.Is(err, fs.ErrExist) && leftBehind(name, content) {
		if err = os.Remove(name); err == nil {
			f, err = create(name)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return &Error{Reason: Busy, Path: path, Lock: name}
	}
	if err != nil {
		return fail(NotWritten, err)
	}
	defer os.Remove(name) // it has the file's name by then, where all went well
	if now, err := read(path); err != nil || !now.same(was) {
		f.Close()
		if err != nil {
			return err
		}
		return fail(Changed, nil)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(name, was.target)
	}
	if err != nil {
		return fail(NotWritten, err)
	}
	syncDirectory(dir)
	return nil
}

// draftSuffix ends the name of a new version that no tool has another name for.
const draftSuffix = ".groat-new"

func create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// leftBehind reports whether a new version is of a groat that was killed: no other one runs, it would hold the lock.
// Under the name of a tool's own lock it is only where it says what groat would write.
func leftBehind(name string, content []byte) bool {
	s, err := read(name)
	if err != nil || !s.there || s.target != name {
		return false
	}
	return strings.HasSuffix(name, draftSuffix) || len(content) > 0 && bytes.Equal(s.content, content)
}

// remove removes a file, if it is still as it was, and the directories that were made for it if nothing else is there.
func (was snapshot) remove(path string, dirs []string) error {
	now, err := read(path)
	if err != nil {
		return err
	}
	if !now.same(was) {
		return &Error{Reason: Changed, Path: path}
	}
	if err := os.Remove(was.target); err != nil {
		return &Error{Reason: NotWritten, Path: path, Err: err}
	}
	removeDirectories(dirs)
	return nil
}

// removeDirectories removes directories, the last one first, as long as they are empty.
func removeDirectories(dirs []string) {
	for i := range dirs {
		os.Remove(dirs[len(dirs)-1-i]) // refused where something is in it
	}
}

func (was snapshot) same(now snapshot) bool {
	return was.target == now.target && was.there == now.there && bytes.Equal(was.content, now.content)
}

// syncDirectory makes names durable. Where the file system cannot, they are as durable as it makes them.
func syncDirectory(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
