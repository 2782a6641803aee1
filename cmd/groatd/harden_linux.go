package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// closeMemory makes this process not dumpable: it writes no core, also where core_pattern is a pipe, which asks no rlimit;
// its /proc/PID/mem, environ, maps and fd belong to root; and nobody but root may trace it, read its memory or take its
// descriptors. The limit on cores is for whoever looks at limits.
func closeMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		return errors.Join(errors.New("the system says that it can be dumped"), err)
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
