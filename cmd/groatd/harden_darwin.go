package main

import "golang.org/x/sys/unix"

// closeMemory forbids core dumps, and debuggers as far as the system lets a process do that by itself.
func closeMemory() error {
	unix.PtraceDenyAttach() // best effort: a debugger that is there already ends us instead
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
