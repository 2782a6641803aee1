package main

import "os"

// aPersonSees reports whether a sentence on stderr is read by a person and by nothing else: stderr is a terminal, and
// what is printed goes into no pipe.
func aPersonSees() bool {
	out, err := os.Stdout.Stat()
	if err != nil || out.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		return false
	}
	shown, err := os.Stderr.Stat()
	if err != nil || shown.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && !os.SameFile(shown, null)
}
