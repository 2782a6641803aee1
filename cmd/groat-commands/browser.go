package main

import (
	"net/url"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
)

// browse opens a page in the person's browser. It reports false if there is none that a person would see: none
// wanted, no person, no display, no program. exited delivers how the program that opens it ended.
func (a *app) browse(page string) (exited <-chan *os.ProcessState, ok bool) {
	if !openable(page) || !a.hasPerson() || !a.hasDisplay() {
		return nil, false
	}
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	}
	program := autostart.OnPath(a.getenv("PATH"), name)
	if program == "" {
		return nil, false
	}
	exited, err := autostart.Spawn(program, []string{page}, os.Environ())
	return exited, err == nil
}

// openable reports whether an address is one that a sign-in may lead to: https, or http on this machine. What opens it
// might take anything else for a file, a program's own scheme or an option.
func openable(page string) bool {
	for i := range len(page) {
		if page[i] <= ' ' || page[i] >= 0x7f {
			return false
		}
	}
	u, err := url.Parse(page)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		host := u.Hostname()
		return host == "127.0.0.1" || host == "::1" || strings.EqualFold(host, "localhost")
	}
	return false
}

// hasPerson reports whether this process has a terminal with a person at it. In a build (CI) it has none.
func (a *app) hasPerson() bool {
	switch ci := strings.ToLower(a.getenv("CI")); ci {
	case "", "0", "false":
	default:
		return false
	}
	if in, ok := a.stdin.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return true
	}
	tty, err := a.tty()
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// hasDisplay reports whether a window could be seen from where the person sits.
func (a *app) hasDisplay() bool {
	remote := a.getenv("SSH_CONNECTION") != "" || a.getenv("SSH_CLIENT") != "" || a.getenv("SSH_TTY") != ""
	switch {
	case runtime.GOOS == "darwin":
		return !remote
	case a.getenv("DISPLAY") != "" || a.getenv("WAYLAND_DISPLAY") != "":
		return true
	}
	return !remote && a.getenv("WSL_DISTRO_NAME") != "" // the browser is Windows'
}
