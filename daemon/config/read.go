package config

import (
	"bytes"
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

// read returns a file's text, or nil where there is no file. It refuses a file that another user could have written,
// and a link that leads nowhere, since a person made that link on purpose.
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
	return bytes.TrimPrefix(text, byteOrderMark), nil // of an empty file it is not nil
}

// byteOrderMark is what editors on Windows put before a text, which TOML does not allow.
var byteOrderMark = []byte("\ufeff")

// cause returns the system's word for a failure, without the path, which the message names already.
func cause(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err.Error()
	}
	return err.Error()
}

// checkPath refuses a path in which another user could replace a directory or a link ([ownpath.Check]). The error is an
// [*Error] about the directory.
func checkPath(path string) error { return asOurs(ownpath.Check(path)) }

// asOurs converts an [*ownpath.Error] to an [*Error].
func asOurs(err error) error {
	if e, ok := errors.AsType[*ownpath.Error](err); ok {
		return &Error{File: e.Path, Message: e.Message, Hint: e.Hint}
	}
	return err
}

// FileStamp returns a text that nearly always changes when a file is written, replaced, removed, made readable or given
// to another user.
func FileStamp(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return cause(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d %d %o %d", st.Dev, st.Ino, info.Size(), info.ModTime().UnixNano(), st.Mode, st.Uid)
}

// youngest is the least age of a change that can be told from the next one: file systems count time in steps.
const youngest = 100 * time.Millisecond

// Stamp returns a text that changes when a profile is added or removed in config.toml or profiles.d. Changes inside the
// files of profiles.d do not change it. It is empty where a change could be missed: the last one is too recent, or a
// file cannot be examined. An empty stamp must not be compared.
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
