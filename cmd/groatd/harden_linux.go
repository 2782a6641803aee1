package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// closeMemory makes this process not dumpable (PR_SET_DUMPABLE in prctl(2)): it writes no core, not even to a pipe in
// core_pattern, for which RLIMIT_CORE does not count; its /proc/PID/mem, environ, maps and fd belong to root; and only
// root may trace it, read its memory or take its descriptors. The limit on cores is set for programs that show limits.
func closeMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		return errors.Join(errors.New("the system says that it can be dumped"), err)
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
