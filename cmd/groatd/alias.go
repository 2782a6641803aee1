package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// A runtime directory that this system has not made (a test's, a container's) mostly has one place, which is not the
// usual one. For programs that know no places its groatd makes a link at the plain path, the alias. A groatd of the
// usual place replaces the alias by its own socket.

// aliasTarget matches the target of an alias, and no other link's.
var aliasTarget = regexp.MustCompile(`^d\.[0-9a-f]{16}/agent\.sock$`)

// ownDirectory matches the name of a place's own directory.
var ownDirectory = regexp.MustCompile(`^d\.[0-9a-f]{16}$`)

// isAlias reports whether a path is a link of this user's to a place's own socket.
func isAlias(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	target, err := os.Readlink(path)
	return err == nil && ok && int(st.Uid) == os.Geteuid() && aliasTarget.MatchString(target)
}

// clearAlias removes an alias whose target is missing, or is a socket without a listener.
func clearAlias(path string) error {
	return removeUnserved(path, "the link")
}

// dropForeignAlias removes an alias at the path of the usual place's socket.
func dropForeignAlias(path string) {
	if isAlias(path) {
		os.Remove(path) // if this fails, so does binding the socket, which reports it
	}
}

// makeAlias links alias to the socket if there is no file, or an alias without a listener.
func makeAlias(alias, socket string) error {
	target, err := filepath.Rel(filepath.Dir(alias), socket)
	if err != nil {
		return err
	}
	if now, err := os.Readlink(alias); err == nil && now == target {
		return nil
	}
	if err := clearStale(alias); err != nil {
		return err
	}
	return os.Symlink(target, alias)
}

// dropAlias removes alias if it leads to the socket.
func dropAlias(alias, socket string) {
	target, err := filepath.Rel(filepath.Dir(alias), socket)
	if err != nil {
		return
	}
	if now, err := os.Readlink(alias); err == nil && now == target {
		os.Remove(alias)
	}
}
