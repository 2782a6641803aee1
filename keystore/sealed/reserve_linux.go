package sealed

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Reserve keeps the length: a reader of the file finds no zeros behind the last record.
func (f systemFile) Reserve(offset, size int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, size); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			return errors.ErrUnsupported // EPERM is what a filter of system calls says
		case err != nil:
			return fmt.Errorf("fallocate %s: %w", f.Name(), err)
		default:
			return nil
		}
	}
}
