package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// The sentences about a groatd that cannot be reached or started, or is another place's.

// failStart says why no groatd could be started.
func failStart(e *autostart.Error) *report.Failure {
	f := &report.Failure{Code: report.ExitUnavailable, Cause: e}
	typed := visible.Word(e.Typed)
	switch e.Reason {
	case autostart.Forbidden:
		f.Message = "groatd does not run at " + e.Socket + ", and GROAT_NO_AUTOSTART forbids starting it"
		f.Hint = "groatd"
	case autostart.UnitInstalled:
		f.Message = "groatd does not run; systemd starts it on this machine"
		f.Hint = "groat service start" // which says why where it fails
	case autostart.ForeignHome:
		of, ok := errors.AsType[*ownpath.Error](e.Err)
		if !ok {
			return report.Unexpected(e.Err)
		}
		f.Code, f.Message, f.Hint = report.ExitConfig, of.Path+" "+of.Message, of.Hint
	case autostart.NoProgram:
		f.Message = "groatd does not run, and it is neither beside groat nor on PATH"
		f.Hint = "which -a groat groatd"
	case autostart.NotSpawned:
		f.Message = fmt.Sprintf("cannot start %s: %v", e.Program, e.Err)
		f.Hint = typed + " --check"
	case autostart.BadDirectory:
		f.Code, f.Message = report.ExitConfig, fmt.Sprintf("the socket's directory %s cannot be used: %v", e.Dir, e.Err)
		f.Hint = hintDirectory(e.Dir, e.Err, os.Getenv)
	case autostart.Refused:
		f.Code, f.Message = report.ExitConfig, "groatd refuses its configuration or one of its directories"
		f.Hint = typed + " --check"
	case autostart.Ended:
		f.Message = "groatd ended at its start: " + e.Status
		f.Hint = typed + " --check"
	case autostart.NotReady:
		f.Message = "groatd was not ready in time"
		f.Hint = visible.Word(e.Program)
	case autostart.LockHeld:
		// Another release's groatd, or no groatd at all.
		f.Message = "another process holds the lock " + clean(e.Lock) + " and does not say where it listens"
		f.Hint = "fuser -v " + visible.Word(e.Lock)
		if e.PID > 0 {
			f.Message = fmt.Sprintf("process %d holds the lock %s and does not say where it listens", e.PID,
				clean(e.Lock))
			f.Hint = fmt.Sprintf("ps -fp %d", e.PID)
		}
	default:
		failHeld(f, e)
	}
	return f
}

// failHeld says that another groatd has the state directory.
func failHeld(f *report.Failure, e *autostart.Error) {
	h := e.Holder
	who := fmt.Sprintf("groatd of host %s (pid %d)", clean(h.Host), h.PID)
	if h.Socket != "" {
		who = fmt.Sprintf("groatd of host %s (pid %d, socket %s)", clean(h.Host), h.PID, clean(h.Socket))
	}
	holds := who + " holds the state directory " + clean(h.Place.State)
	switch e.Reason {
	case autostart.HeldByHost:
		f.Message = holds + "; on this host, sign in to a state on a disk of its own"
		f.Hint = localState(e.Place)
	case autostart.HeldOutOfReach:
		f.Message = holds + " and cannot be reached from here"
		f.Hint = localState(e.Place)
	case autostart.HeldUnreachable:
		f.Message = who + " runs, and its socket cannot be reached from here; " +
			"it makes one that has gone anew within 30s"
		f.Hint = fmt.Sprintf("kill -HUP %d && groat status", h.PID)
	case autostart.HeldSilent:
		f.Message = holds + " and is starting or ending"
		f.Hint = fmt.Sprintf("ps -fp %d", h.PID)
	case autostart.HeldElsewhere:
		f.Message = who + " serves this place, and GROAT_SOCKET names another socket"
		f.Hint = "env -u GROAT_SOCKET groat status"
	case autostart.HeldByPlace:
		f.Code = report.ExitConfig
		f.Message = fmt.Sprintf("%s holds the state directory for another place (%s); this is %s",
			who, clean(h.Place.String()), *e.Place)
		f.Hint = hintPlace(h.Place, *e.Place, os.Getenv)
	}
}

// hintDirectory is a command for a directory that groatd's socket, or the lock in it, cannot be in.
func hintDirectory(dir string, cause error, getenv func(string) string) string {
	if own, ok := errors.AsType[*ownpath.Error](cause); ok && own.Hint != "" {
		return own.Hint
	}
	info, err := os.Lstat(dir)
	st, ok := (*syscall.Stat_t)(nil), false
	if err == nil {
		st, ok = info.Sys().(*syscall.Stat_t)
	}
	ours := ok && int(st.Uid) == os.Geteuid() && info.IsDir()
	switch {
	case ours && info.Mode().Perm() != 0o700:
		return "chmod 700 " + visible.Word(dir)
	case !ours && getenv("GROAT_SOCKET") != "":
		return "unset GROAT_SOCKET"
	}
	return "ls -la " + visible.Word(dir)
}

// hintPlace is a command that asks the groatd of another place.
func hintPlace(theirs, ours frame.Place, getenv func(string) string) string {
	for _, name := range []string{"GROAT_STATE_DIR", "XDG_STATE_HOME"} {
		if getenv(name) != "" && theirs.Home != ours.Home {
			return "env -u " + name + " groat status"
		}
	}
	return placeEnv(theirs) + " groat status"
}

// placeEnv is the variables that lead to a place, for a shell.
func placeEnv(p frame.Place) string {
	return fmt.Sprintf("HOME=%s GROAT_CONFIG=%s GROAT_STATE_DIR=%s", visible.Word(p.Home),
		visible.Word(p.Configuration), visible.Word(p.State))
}

// localState is a command that gives this host a state of its own, for a profile of the place's if it has one.
func localState(place *frame.Place) string {
	profile := os.Getenv("GROAT_PROFILE")
	if profile == "" {
		entries, _ := os.ReadDir(filepath.Join(place.Configuration, "profiles.d"))
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".toml"); ok && validName(name) {
				profile = name
				break
			}
		}
	}
	if profile == "" {
		return frame.LocalState() + " groat login"
	}
	return frame.LocalState() + " groat login " + visible.Word(profile)
}

// validName reports whether a profile may have this name: a file's name is not always one that a shell can be given.
func validName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= 64 && strings.ContainsRune(first, rune(name[0])) &&
		strings.Trim(name, first+"._-") == ""
}
