//go:build !linux

package get

import (
	"syscall"
	"time"
)

// readable waits until a descriptor below 32 can be read, or the time is over.
func readable(fd int, limit time.Duration) (bool, error) {
	var set syscall.FdSet
	set.Bits[0] = 1 << fd
	left := syscall.NsecToTimeval(limit.Nanoseconds())
	err := syscall.Select(fd+1, &set, nil, nil, &left)
	return set.Bits[0] != 0, err
}
