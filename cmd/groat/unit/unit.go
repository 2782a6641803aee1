// Package unit looks whether a service manager starts groatd on this machine.
package unit

import (
	"os"
	"path/filepath"
)

// socket is the unit that starts groatd, and service the one that it starts.
const (
	socket  = "groatd.socket"
	service = "groatd.service"
)

// Installed reports whether systemd has a groatd.socket for this user: one that a person or an administrator wrote, or
// one that a package brought and that was enabled. Before it is enabled, the package's does nothing.
func Installed(getenv func(string) string) bool {
	home := getenv("HOME")
	// Directories of systemd.unit(5), "User Unit Search Path".
	written := []string{xdg(getenv("XDG_CONFIG_HOME"), home, ".config"), "/etc", "/run"}
	if run := getenv("XDG_RUNTIME_DIR"); run != "" {
		written = append(written, run)
	}
	for _, dir := range written {
		if isUnit(dir, socket) {
			return true
		}
	}
	for _, dir := range append(written, packaged(getenv)...) {
		if isUnit(dir, "sockets.target.wants", socket) { // what "systemctl enable" makes
			return true
		}
	}
	return false
}

// packaged are the directories where packages and "make install" put units.
func packaged(getenv func(string) string) []string {
	return []string{xdg(getenv("XDG_DATA_HOME"), getenv("HOME"), ".local/share"), "/usr/local/lib", "/usr/lib", "/lib"}
}

// Packaged returns the path of the groatd.service that a package or "make install" has brought, or "".
func Packaged(getenv func(string) string) string {
	for _, dir := range packaged(getenv) {
		if isUnit(dir, service) {
			return filepath.Join(dir, "systemd", "user", service)
		}
	}
	return ""
}

// isUnit reports whether a unit is there, or a link to one. A masked unit is a link to /dev/null.
func isUnit(dir string, name ...string) bool {
	info, err := os.Stat(filepath.Join(append([]string{dir, "systemd", "user"}, name...)...))
	return err == nil && info.Mode().IsRegular() && filepath.IsAbs(dir)
}

// xdg returns the value of a variable of the XDG base directories, or what stands instead of it.
func xdg(value, home, fallback string) string {
	if filepath.IsAbs(value) {
		return value
	}
	return filepath.Join(home, fallback)
}
