package keychain

import (
	"errors"
	"os/exec"
)

// The library runs /usr/bin/security, which needs no bus and does its own asking. None of this has run on a Mac.

func reachable() error { return nil }
func ready() error     { return nil }
func prompt() error    { return nil }

// isLocked: security exits with the low byte of errSecInteractionNotAllowed (-25308) where it would have to ask.
func isLocked(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.ExitCode() == 36
}
