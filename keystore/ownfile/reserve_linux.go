package ownfile

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Reserve implements [File] with fallocate(2).
func (f systemFile) Reserve(offset, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return errors.ErrUnsupported // a filter of system calls (seccomp) answers EPERM
		case err != nil:
			return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		default:
			return nil
		}
	}
}
