package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// getent is asked for a user whom /etc/passwd does not have. PATH, which a caller's shell may have set, has no say.
const (
	getent         = "/usr/bin/getent"
	getentPatience = time.Second
)

// site is what this process works with, and where it listens.
type site struct {
	protocol.PlaceStatus
	sockets frame.Sockets
}

// findSite reads the environment and the flags, and makes nothing. HOME is set where it was missing.
func findSite(f flags) (site, error) {
	place, err := frame.PlaceOf(os.Getenv, f.config)
	if err != nil {
		return site{}, &refusal{exitConfig, err, "set HOME, GROAT_CONFIG and GROAT_STATE_DIR to absolute paths, or unset the last two"}
	}
	os.Setenv("HOME", place.Home)
	s := site{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	if place == frame.UsualPlace(place.Home) {
		home, ok := usualHome(os.Geteuid(), getent)
		s.Usual = ok && place == frame.UsualPlace(home)
	}
	return s, nil
}

// findSockets decides where the site's socket is.
func (s *site) findSockets(flag string) (err error) {
	if flag != "" {
		os.Setenv("GROAT_SOCKET", flag)
	}
	if s.sockets, err = frame.SocketsOf(os.Getenv, s.Place); err != nil {
		return &refusal{exitConfig, err, "set GROAT_SOCKET to a shorter, absolute path"}
	}
	return nil
}

// checkHome refuses another user's home.
func (s site) checkHome() error {
	if e, ok := errors.AsType[*ownpath.Error](s.CheckHome()); ok {
		return &refusal{exitConfig, fmt.Errorf("%s %s", e.Path, e.Message), e.Hint}
	}
	return nil
}

// socket is the path to listen at.
func (s site) socket() string {
	switch {
	case s.sockets.Explicit != "":
		return s.sockets.Explicit
	case s.Usual:
		return s.sockets.Plain
	}
	return s.sockets.Own
}

// alias is the path at which a link to the socket is wanted, for programs that know no places, or "".
func (s site) alias() string {
	if s.sockets.Alias && !s.Usual {
		return s.sockets.Plain
	}
	return ""
}

// usualHome returns what the user database says of a user. program is a getent(1).
func usualHome(uid int, program string) (string, bool) {
	if u, ok := ownpath.LocalUser(uid); ok {
		return u.Home, true
	}
	if runtime.GOOS == "darwin" { // Open Directory, which os/user asks without a program
		u, err := user.LookupId(strconv.Itoa(uid))
		if err != nil {
			return "", false
		}
		return u.HomeDir, u.HomeDir != ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), getentPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "passwd", strconv.Itoa(uid))
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = getentPatience / 10
	out, err := cmd.Output()
	if err != nil {
		return "", false
	}
	u, ok := ownpath.ParseUser(string(out), uid)
	return u.Home, ok
}
