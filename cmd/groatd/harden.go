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

// harden makes this process tell nobody what it holds: not the user's other programs, not a core file, not a library that
// prints. It is the first thing that main does. What a program of the same user opened of this process before cannot be
// taken back; a binary that its user may execute but not read (mode 0711, root's) has no such window.
func harden() {
	withoutDebugging()
	if err := closeMemory(); err != nil {
		refuseToStart("its memory cannot be closed to other programs: "+err.Error(), "start it where prctl(2) and setrlimit(2) are allowed")
	}
	// Ours is zap. This one is what libraries complain to, and net/http's complaints quote what they received.
	log.SetOutput(io.Discard)
}

// debugging are variables that make the Go runtime, or what a build for tests adds to it, print or write down what happens
// inside: GODEBUG=http2debug=2 prints requests with their bodies, GOTRACEBACK=crash asks for a core. They are read before
// main, so the only way to be rid of them is to start anew.
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
	refuseToStart("it cannot start anew without GODEBUG: "+err.Error(), "unset "+strings.ReplaceAll(strings.Join(debugging, " "), "=", ""))
}

func refuseToStart(why, hint string) {
	os.Stderr.WriteString("groatd: error: " + visible.Text(why) + "\ngroatd: hint: " + visible.Text(hint) + "\n")
	os.Exit(1)
}
