package config

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/groat-dev/groat/protocol/ownpath"
)

// CheckWay refuses a path on whose way another user could put something else in its place ([ownpath.Check]). The error is an
// [*Error] about the directory.
func CheckWay(path string) error { return asOurs(ownpath.Check(path)) }

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
