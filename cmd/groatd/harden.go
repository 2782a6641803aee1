package main

import (
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/protocol/visible"
)

// harden keeps what this process holds from the user's other programs, from core files and from libraries that print.
// main calls it first. A descriptor of this process's memory that another program of the user opened before stays
// usable; a binary that its user may execute but not read (root's, mode 0711) has no such window.
func harden() {
	withoutDebugging()
	if err := closeMemory(); err != nil {
		refuseToStart("its memory cannot be closed to other programs, for which prctl(2) and setrlimit(2) must be "+
			"allowed: "+err.Error(), "grep Seccomp /proc/self/status")
	}
	// groatd logs with zap. Libraries print to this logger, and net/http quotes there what it received.
	log.SetOutput(io.Discard)
}

// debugging are variables that make the Go runtime, or what a build for tests adds to it, print or write down what
// happens inside: GODEBUG=http2debug=2 prints requests with their bodies, GOTRACEBACK=crash asks for a core. The
// runtime reads them before main, so groatd executes itself again without them.
var debugging = []string{"GODEBUG=", "GOTRACEBACK=", "GORACE=", "GOCOVERDIR=", "SSLKEYLOGFILE="}

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
	refuseToStart("it cannot start anew without GODEBUG: "+err.Error(),
		"unset "+strings.ReplaceAll(strings.Join(debugging, " "), "=", ""))
}

func refuseToStart(why, hint string) {
	os.Stderr.WriteString("groatd: error: " + visible.Text(why) + "\ngroatd: hint: " + visible.Text(hint) + "\n")
	os.Exit(1)
}
