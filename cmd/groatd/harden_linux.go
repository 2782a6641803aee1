package main

import (
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// harden makes this process unreadable for the user's other processes and unable to dump core. It is the first thing
// that main does. What a process of the same user opened of it before cannot be taken back; a binary that its user may
// execute but not read (mode 0711) has no such window.
func harden() {
	withoutDebugging()
	// No dump by rlimit alone is not enough: a core_pattern that is a pipe ignores it. A process that is not dumpable
	// writes none, and its /proc/PID/mem, environ and fd belong to root.
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// debugging are variables that make the Go runtime or net/http print what must not be printed (GODEBUG=http2debug=2 prints
// request headers and bodies). They are read before main, so that the only way to be rid of them is to start anew.
var debugging = []string{"GODEBUG=", "GOTRACEBACK="}

func withoutDebugging() {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(debugging, func(d string) bool { return strings.HasPrefix(v, d) })
	})
	if len(env) == len(os.Environ()) {
		return
	}
	exe, err := os.Executable()
	if err == nil {
		err = syscall.Exec(exe, os.Args, env)
	}
	os.Stderr.WriteString("groatd: error: cannot start without GODEBUG: " + err.Error() + "\ngroatd: hint: unset GODEBUG GOTRACEBACK\n")
	os.Exit(1)
}
