package main

import "golang.org/x/sys/unix"

// closeMemory keeps what is about to be read from the person's other programs and out of cores, also those that a pipe
// takes: from here on this process's memory is root's business only. It is not done for every command: groatd may want
// to see which program asks for a token.
func closeMemory() { unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// The requests of ioctl(2) by which a terminal's settings are read and written.
const (
	ioctlGetTermios = unix.TCGETS
	ioctlSetTermios = unix.TCSETS
)
