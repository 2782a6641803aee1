// Package unit looks whether a service manager starts groatd on this machine.
package unit

import (
	"os"
	"path/filepath"
)

// Installed reports whether systemd knows a groatd.socket for this user.
func Installed(getenv func(string) string) bool {
	home := getenv("HOME")
	dirs := []string{
		xdg(getenv("XDG_CONFIG_HOME"), home, ".config"), xdg(getenv("XDG_DATA_HOME"), home, ".local/share"),
		"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib",
	}
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		dirs = append(dirs, run)
	}
	for _, dir := range dirs {
		// A masked unit is a link to /dev/null, and not a regular file.
		info, err := os.Stat(filepath.Join(dir, "systemd", "user", "groatd.socket"))
		if err == nil && info.Mode().IsRegular() && filepath.IsAbs(dir) {
			return true
		}
	}
	return false
}

// xdg returns the value of a variable of the XDG base directories, or what stands instead of it.
func xdg(value, home, fallback string) string {
	if filepath.IsAbs(value) {
		return value
	}
	return filepath.Join(home, fallback)
}
