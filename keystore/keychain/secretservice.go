//go:build !darwin

package keychain

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/keystore"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// ensureBusAddress makes sure that there is an address of a session bus, and starts none: dbus-launch would leave a
// second bus and a second, locked keyring behind.
//
// Where only the runtime directory's bus exists, its address goes into our environment, and stays, for the calls that
// follow. That is done at the first call and not at start, since the bus of a session may come up after us.
func ensureBusAddress() error {
	address := os.Getenv(busVariable)
	if address == "" || strings.HasPrefix(address, "autolaunch:") && !strings.Contains(address, ";") {
		socket := runtimeBus()
		if socket == "" {
			return fmt.Errorf("%w: there is no D-Bus session", keystore.ErrUnavailable)
		}
		return os.Setenv(busVariable, "unix:path="+escapeAddress(socket))
	}
	_, err := busAddresses(address)
	return err
}

// runtimeBus returns the path of our own user's bus socket, or "".
func runtimeBus() string {
	uid := os.Geteuid()
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(uid)} {
		path := filepath.Join(dir, "bus")
		info, err := os.Lstat(path)
		if !filepath.IsAbs(dir) || err != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
			return path
		}
	}
	return ""
}

// escapeAddress escapes a value of a D-Bus address (D-Bus Specification, "Server Addresses").
func escapeAddress(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/.\\*"
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// isLocked recognises the library's error for a collection that was locked again after ready.
func isLocked(err error) bool {
	return strings.Contains(err.Error(), "failed to unlock correct collection") ||
		strings.Contains(err.Error(), "org.freedesktop.Secret.Error.IsLocked")
}
