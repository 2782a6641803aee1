package protocol

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// maxSocketPath is what sun_path holds on every system we run on (104 bytes on macOS, 108 on Linux) less its NUL.
const maxSocketPath = 103

// SocketPath returns where the daemon listens: $GROAT_SOCKET, else the place PROTOCOL.md names. It does not look whether
// anything is there.
func SocketPath() (string, error) {
	path := os.Getenv("GROAT_SOCKET")
	if path == "" {
		path = defaultSocket()
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("the socket path %q is not absolute", path)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("the socket path is %d bytes long, the system allows %d: %s", len(path), maxSocketPath, path)
	}
	return path, nil
}

func defaultSocket() string {
	uid := strconv.Itoa(os.Getuid())
	if runtime.GOOS == "darwin" {
		home, _ := os.UserHomeDir()
		return filepath.Join(home, "Library", "Caches", "groat", "agent.sock")
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "groat", "agent.sock")
	}
	dir := "/run/user/" + uid
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return filepath.Join(dir, "groat", "agent.sock")
	}
	return filepath.Join(os.TempDir(), "groat-"+uid, "agent.sock")
}
