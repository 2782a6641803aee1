// Package checkout says where the repository is that a test or a program of packaging runs in.
package checkout

import (
	"os"
	"path/filepath"
)

// began is where the process started: the package's directory for a test, and the caller's for "go run". Tests go
// elsewhere.
var began, _ = os.Getwd()

// Root returns the path of the repository: the nearest directory upwards that has a go.mod. The compiler's paths are of
// no use, since -trimpath leaves them out. It panics outside of a repository.
func Root() string {
	for dir := began; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("there is no go.mod above " + began)
		}
	}
}
