//go:build !linux

package main

import "golang.org/x/sys/unix"

// closeMemory keeps the secret that is about to be read out of core dumps. The hard limit stays: a browser that groat
// starts may dump core.
func closeMemory() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
}

// The requests of ioctl(2) by which a terminal's settings are read and written.
const (
	ioctlGetTermios = unix.TIOCGETA
	ioctlSetTermios = unix.TIOCSETA
)

// ioctlUnread is FIONREAD of <sys/filio.h>, _IOR('f', 127, int), which package unix does not have: how many bytes could
// be read now.
const ioctlUnread = 0x4004667f
