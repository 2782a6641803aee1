package main

import "golang.org/x/sys/unix"

// closeMemory keeps the secret that is about to be read from the person's other programs and out of core dumps, also
// those that are piped to a program: from here on only root can read this process's memory. It is not done for every
// command: groatd may want to see which program asks for a token.
func closeMemory() { unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// The requests of ioctl(2) by which a terminal's settings are read and written.
const (
	ioctlGetTermios = unix.TCGETS
	ioctlSetTermios = unix.TCSETS
)

// ioctlUnread is FIONREAD of ioctl(2): how many bytes could be read now.
const ioctlUnread = unix.TIOCINQ
