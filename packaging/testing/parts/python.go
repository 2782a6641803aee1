package parts

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Python returns the directory of the Python package. It reads the files in it: the go command knows by that that the
// test depends on them, and does not take an earlier result of it for this one's.
func Python(t testing.TB) (dir string) {
	t.Helper()
	dir, err := filepath.Abs(path("..", "..", "protocol", "python"))
	if err == nil {
		err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(name, ".pyc") {
				_, err = os.ReadFile(name)
			}
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
