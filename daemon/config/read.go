package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/keystore/ownfile"
	"github.com/groat-dev/groat/protocol/ownpath"
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
		if err := checkPath(file); err != nil {
			return nil, err
		}
	}
	text, err := ownfile.Read(file, ownpath.GivenConfig, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		if link {
			return refuse("ls -l", "is a link to %s, and nothing is there", visible.Name(target))
		}
		return nil, nil
	}
	switch _, refused := errors.AsType[*ownpath.Error](err); {
	case refused:
		return nil, asOurs(err)
	case errors.Is(err, ownfile.ErrTooLarge):
		return refuse("ls -l", "is larger than 8 MiB")
	case err != nil:
		return refuse("ls -l", "cannot be read: %s", cause(err))
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

// checkPath refuses a path on whose way another user could put something else in its place ([ownpath.Check]). The error is an
// [*Error] about the directory.
func checkPath(path string) error { return asOurs(ownpath.Check(path)) }

// asOurs returns an [*ownpath.Error] as an [*Error].
func asOurs(err error) error {
	if e, ok := errors.AsType[*ownpath.Error](err); ok {
		return &Error{File: e.Path, Message: e.Message, Hint: e.Hint}
	}
	return err
}

// owner returns a file's uid, or -1.
func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// youngest is how old a change must be to be told from the next one: file systems count in steps.
const youngest = 100 * time.Millisecond

// Stamp stands for the profiles that the files name: config.toml and the entries of profiles.d. It differs once a profile was added
// or removed there; what is in the files of profiles.d is not looked at. It is empty, which stands for nothing, where
// that cannot be told: a change is too young, or cannot be seen.
func (d Dir) Stamp() string {
	if d.off() {
		return "off"
	}
	var b strings.Builder
	for _, path := range []string{d.file, d.profiles()} {
		info, err := os.Stat(path)
		switch {
		case os.IsNotExist(err):
			b.WriteString("none;")
			continue
		case err != nil:
			return ""
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if age := time.Since(info.ModTime()); !ok || age < youngest && age > -youngest {
			return ""
		}
		fmt.Fprintf(&b, "%d %d %d %d;", st.Dev, st.Ino, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
