package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/groat-dev/groat/protocol/visible"
)

// maxFile bounds a configuration file; ten thousand profiles in one fit.
const maxFile = 8 << 20

// read returns a file's text, or nil where there is none. A file that another user could have written is refused, and so
// is a link that leads nowhere: whoever made it meant something.
func read(file string) ([]byte, error) {
	refuse := func(hint, format string, args ...any) ([]byte, error) {
		return nil, &Error{File: file, Message: fmt.Sprintf(format, args...), Hint: hint + " " + visible.Word(file)}
	}
	target, err := os.Readlink(file)
	link := err == nil
	if link {
		if err := CheckWay(file); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0) // a pipe shall not be waited for
	if errors.Is(err, fs.ErrNotExist) {
		if link {
			return refuse("ls -l", "is a link to %s, and nothing is there", visible.Name(target))
		}
		return nil, nil
	}
	if err != nil {
		return refuse("ls -l", "cannot be read: %s", cause(err))
	}
	defer f.Close()
	// What was opened is what is looked at: a name can come to mean something else in between.
	info, err := f.Stat()
	switch {
	case err != nil:
		return refuse("ls -l", "cannot be read: %s", cause(err))
	case !info.Mode().IsRegular():
		return refuse("ls -l", "is not a regular file")
	case info.Mode().Perm()&0o022 != 0:
		return refuse("chmod go-w", "may be written by others (mode %04o)", info.Mode().Perm())
	case owner(info) != os.Geteuid() && owner(info) != 0:
		return refuse("ls -l", "belongs to another user")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return refuse("ls -l", "cannot be read: %s", cause(err))
	case len(text) > maxFile:
		return refuse("ls -l", "is larger than 8 MiB")
	}
	return text, nil // of an empty file it is not nil
}

// cause is the system's own word for a failure, without the paths that stand before it already.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err.Error()
	}
	return err.Error()
}
