package main

import (
	"cmp"
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

// getent is run for a user who is not in /etc/passwd. It is not looked for on PATH, which a caller's shell may have
// set.
const (
	getent         = "/usr/bin/getent"
	getentPatience = time.Second
)

// location is the place that this process serves, and the paths at which it can listen.
type location struct {
	protocol.PlaceStatus
	sockets frame.Sockets
}

// findLocation reads the environment and the flags. It makes no file, and sets HOME if that is missing.
func findLocation(f flags) (location, error) {
	place, err := frame.PlaceOf(os.Getenv, f.config)
	if err != nil {
		return location{}, &refusal{exitConfig, err, hintEnvironment(err, "HOME="+ownpath.SpareHome()+" groatd")}
	}
	os.Setenv("HOME", place.Home)
	s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	if place == frame.UsualPlace(place.Home) {
		home, ok := usualHome(os.Geteuid(), getent)
		s.Usual = ok && place == frame.UsualPlace(home)
	}
	return s, nil
}

// findSockets decides where the place's socket is.
func (s *location) findSockets(flag string) (err error) {
	if flag != "" {
		os.Setenv("GROAT_SOCKET", flag)
	}
	s.sockets, err = frame.SocketsOf(os.Getenv, s.Place)
	if err != nil && flag != "" {
		return &refusal{exitConfig, err, "groatd -h"}
	}
	if err != nil {
		return &refusal{exitConfig, err, hintEnvironment(err, "export "+frame.LocalSocket())}
	}
	return nil
}

// hintEnvironment returns the next command after an error of the environment: the one given where no variable is wrong.
func hintEnvironment(err error, hint string) string {
	if e, ok := errors.AsType[*frame.VariableError](err); ok {
		return cmp.Or(e.Hint(), "groatd -h")
	}
	return hint
}

// checkHome refuses another user's home.
func (s location) checkHome() error {
	if e, ok := errors.AsType[*ownpath.Error](s.CheckHome()); ok {
		return &refusal{exitConfig, fmt.Errorf("%s %s", e.Path, e.Message), e.Hint}
	}
	return nil
}

// socket is the path to listen at.
func (s location) socket() string {
	switch {
	case s.sockets.Explicit != "":
		return s.sockets.Explicit
	case s.Usual:
		return s.sockets.Plain
	}
	return s.sockets.Own
}

// alias is the path of the link to the socket for programs that know no places, or "" if none is wanted.
func (s location) alias() string {
	if s.sockets.Alias && !s.Usual {
		return s.sockets.Plain
	}
	return ""
}

// usualHome returns a user's home in the user database. program is the path of getent(1). It takes [getentPatience] at
// most.
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
