package grant

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

// KeyFileError is a file that is not read as a key: what is wrong with it, and the command that helps.
type KeyFileError struct {
	Path, Reason string
	// Hint is what to type; empty where nothing that could be typed helps.
	Hint string
	// Err is the cause; it may be nil.
	Err error
}

func (e *KeyFileError) Error() string { return visible.Name(e.Path) + " " + e.Reason }

// Unwrap returns the cause.
func (e *KeyFileError) Unwrap() error { return e.Err }

// ReadKeyFile reads a file that holds a private key. It must be the user's own, a regular file of at most 64 KiB that nobody
// else can read: one that others can is said to be that, and not read, so that nobody relies on a key that is known. The
// error is a [*KeyFileError]; the caller owns the secret.
func ReadKeyFile(path string) (keystore.Secret, error) {
	refuse := func(reason, hint string, err error) (keystore.Secret, error) {
		return keystore.Secret{}, &KeyFileError{Path: path, Reason: reason, Hint: hint, Err: err}
	}
	if !filepath.IsAbs(path) { // the daemon's working directory is not the person's
		return refuse("is not an absolute path", "", nil)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not make anybody wait
	if err != nil {
		return refuse("cannot be opened: "+words(err), "ls -l "+visible.Word(path), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return refuse("cannot be looked at", "ls -l "+visible.Word(path), err)
	}
	switch st, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return refuse("is not a regular file", "ls -l "+visible.Word(path), nil)
	case !ok || int(st.Uid) != os.Geteuid():
		return refuse("belongs to another user", "ls -l "+visible.Word(path), nil)
	case info.Mode().Perm()&0o077 != 0:
		return refuse(fmt.Sprintf("can be read or written by others (mode %04o)", info.Mode().Perm()), "chmod 600 "+visible.Word(path), nil)
	case info.Size() > maxKey:
		return refuse(fmt.Sprintf("is larger than %d bytes", maxKey), "", nil)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		clear(b)
		return refuse("cannot be read", "ls -l "+visible.Word(path), err)
	}
	return keystore.NewSecret(b), nil
}
