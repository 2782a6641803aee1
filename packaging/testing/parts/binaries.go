package parts

import (
	"os/exec"
	"path/filepath"
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
