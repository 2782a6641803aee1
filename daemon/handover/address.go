package handover

import (
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/frame"
)

// Address returns what to bind or to connect to for the socket at path, until done is called. A path that is longer
// than a socket's may be leads through the open directory, on Linux (proc_pid_fd(5)).
func Address(path string) (address string, done func(), err error) {
	if len(path) <= frame.MaxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, unix.ENAMETOOLONG
	}
	dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)), func() { unix.Close(dir) }, nil
}
