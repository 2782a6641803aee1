// Package systemd has the units by which a systemd user manager runs groatd.
package systemd

import (
	_ "embed"
	"slices"
	"strings"
	"unicode/utf8"
)

// Names of the units.
const (
	ServiceName = "groatd.service"
	SocketName  = "groatd.socket"
)

//go:embed groatd.service
var service string

//go:embed groatd.socket
var socket string

// Written begins every unit that groat writes. A unit of the same name that begins otherwise is a person's or another
// program's.
const Written = "# Written by groat service install, and removed by groat service uninstall.\n"

// dropIn follows [Written]: the next installation replaces the unit, and keeps what systemctl edit writes.
const dropIn = "# Changes of your own go into a file beside it, which stays: systemctl --user edit "

// packaged is where a package installs groatd, which the unit in this directory expects there.
const packaged = "ExecStart=/usr/bin/groatd\n"

// Service returns the text of groatd.service, written by groat, for a groatd at an absolute path. It reports false
// where the path has a character that no unit can have in the name of a program, or is not UTF-8: systemd would ignore
// the line.
func Service(groatd string) (string, bool) {
	forbidden := func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`"'\`, r) }
	if !utf8.ValidString(groatd) || strings.ContainsFunc(groatd, forbidden) {
		return "", false
	}
	// systemd.service(5): quotation marks keep spaces, %% is a percent sign, and $ has no meaning in the name of the
	// program.
	quoted := `"` + strings.ReplaceAll(groatd, "%", "%%") + `"`
	if !strings.ContainsAny(groatd, " %;") {
		quoted = groatd
	}
	return Written + dropIn + ServiceName + "\n" + strings.Replace(service, packaged, "ExecStart="+quoted+"\n", 1), true
}

// Socket returns the text of groatd.socket, written by groat.
func Socket() string { return Written + dropIn + SocketName + "\n" + socket }

// documentation is a line of the units, as packages and groat install them.
const documentation = "Documentation=https://github.com/groat-dev/groat"

// Ours reports whether text is that of a unit of groat's: one that groat has written, or that came with a package.
func Ours(text string) bool {
	return strings.HasPrefix(text, Written) || slices.Contains(strings.Split(text, "\n"), documentation)
}
