package privatekey

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// FileError says why a key file was not read, and which command helps.
type FileError struct {
	Path, Reason string
	// Hint is the command to type next; empty where no command helps.
	Hint string
	// Err is the cause, or nil.
	Err error
}

func (e *FileError) Error() string { return visible.Name(e.Path) + " " + e.Reason }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ReadFile returns the content of a file that holds a private key. The path must be absolute, and the file a regular
// one of at most [MaxSize] bytes that belongs to this process's user. A file that other users can read or write is
// refused, so that no key is relied on that others may know. The caller owns the secret. The error is a [*FileError].
func ReadFile(path string) (keystore.Secret, error) { return readFile(path, ownpath.GivenSecret) }

// ReadCertificate returns the content of a file that holds a certificate, which is public: others may read the file,
// and it may be root's. One that holds a private key too is read as [ReadFile] does.
func ReadCertificate(path string) (keystore.Secret, error) {
	text, err := readFile(path, ownpath.GivenConfig)
	if err != nil || !strings.Contains(text.Reveal(), "PRIVATE KEY-----") {
		return text, err
	}
	text.Wipe()
	return ReadFile(path)
}

func readFile(path string, rule ownpath.Rule) (keystore.Secret, error) {
	refuse := func(reason, hint string, err error) (keystore.Secret, error) {
		return keystore.Secret{}, &FileError{Path: path, Reason: reason, Hint: hint, Err: err}
	}
	if !filepath.IsAbs(path) { // the daemon's working directory is not the caller's
		return refuse("is not an absolute path", "", nil)
	}
	f, err := ownpath.OpenFile(path, os.O_RDONLY, rule)
	if e, ok := errors.AsType[*ownpath.Error](err); ok {
		return refuse(e.Message, e.Hint, nil)
	}
	if err != nil {
		return refuse("cannot be opened: "+cause(err), "ls -l "+visible.Word(path), err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return refuse("cannot be looked at", "ls -l "+visible.Word(path), err)
	}
	if info.Size() > MaxSize {
		return refuse(fmt.Sprintf("is larger than %d bytes", MaxSize), "", nil)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		clear(b)
		return refuse("cannot be read", "ls -l "+visible.Word(path), err)
	}
	return keystore.NewSecret(b), nil
}

// cause returns the system's word for an error, without the path.
func cause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return "the system does not say why"
}
