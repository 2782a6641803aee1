package parts

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Binaries builds groat and groatd the way `make build` does and returns the directory they are in, which every user of
// the machine can read. Share one among subtests: linking takes a second or two.
func Binaries(t testing.TB) string {
	t.Helper()
	tier.Long(t, "it builds groat and groatd")
	dir := publicDir(t)
	cmd := exec.Command("make", "--no-print-directory", "build", "BIN="+dir)
	cmd.Dir = path("..", "..")
	run(t, cmd)
	return filepath.Clean(dir)
}

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

// WriteProgram writes a program that the test, or what it starts, is going to execute. No process of this one is
// started meanwhile: it would hold the file open for writing until it executes its own program, and a file that is open
// for writing cannot be executed (ETXTBSY).
func WriteProgram(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
