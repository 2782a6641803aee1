package parts

import (
	"os"
	"os/exec"
	"testing"
)

// Self returns a command that runs this test's own program once more, with the variables beside the environment of this
// process: its TestMain is to find one of them and do something else than to run tests. It is killed when it takes
// longer than a part may take to start.
func Self(t testing.TB, variables ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, os.Args[0])
	// The race detector would have each process wait for a second before it ends.
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), variables...)
	return cmd
}
