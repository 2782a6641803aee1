package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/autostart"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// The sentences about a groatd that cannot be reached or started, or is another place's.

func failDial(e *frame.DialError) *failure {
	if errors.Is(e, frame.ErrForeignServer) {
		return &failure{code: exitDenied, msg: fmt.Sprintf("%v: nothing was sent to %s", e, e.Socket),
			hint: "ls -l " + e.Socket, cause: e}
	}
	return &failure{code: exitUnavailable, msg: "groatd cannot be reached: " + e.Error(), hint: "ls -l " + e.Socket,
		cause: e}
}

// failStart says why no groatd could be started.
func failStart(e *autostart.Error) *failure {
	f := &failure{code: exitUnavailable, cause: e}
	typed := visible.Word(e.Typed)
	switch e.Reason {
	case autostart.Forbidden:
		f.msg = "groatd does not run at " + e.Socket + ", and GROAT_NO_AUTOSTART forbids starting it"
		f.hint = "groatd"
	case autostart.UnitInstalled:
		f.msg = "groatd does not run; systemd starts it on this machine"
		f.hint = "systemctl --user start groatd.socket, or where it ended: journalctl --user -u groatd"
	case autostart.ForeignHome:
		of, ok := errors.AsType[*ownpath.Error](e.Err)
		if !ok {
			return failUnexpected(e.Err)
		}
		f.code, f.msg, f.hint = exitConfig, of.Path+" "+of.Message, of.Hint
	case autostart.NoProgram:
		f.msg = "groatd does not run, and it is neither beside groat nor on PATH"
		f.hint = "install groatd beside groat"
	case autostart.NotSpawned:
		f.msg = fmt.Sprintf("cannot start %s: %v", e.Program, e.Err)
		f.hint = typed + " --check"
	case autostart.BadDirectory:
		f.code, f.msg = exitConfig, fmt.Sprintf("the socket's directory %s cannot be used: %v", e.Dir, e.Err)
		f.hint = "make it a directory of yours with mode 0700, or set GROAT_SOCKET"
	case autostart.Refused:
		f.code, f.msg = exitConfig, "groatd refuses its configuration or one of its directories"
		f.hint = typed + " --check"
	case autostart.Ended:
		f.msg = "groatd ended at its start: " + e.Status
		f.hint = typed + " --check"
	case autostart.NotReady:
		f.msg = "groatd was not ready in time"
		f.hint = "run " + e.Program + " in another terminal and see what it says"
	case autostart.LockHeld:
		// Another release's groatd, or no groatd at all.
		f.msg = "another process holds the lock " + clean(e.Lock) + " and does not say where it listens"
		f.hint = "fuser -v " + visible.Word(e.Lock)
		if e.PID > 0 {
			f.msg = fmt.Sprintf("process %d holds the lock %s and does not say where it listens", e.PID, clean(e.Lock))
			f.hint = fmt.Sprintf("ps -fp %d", e.PID)
		}
	default:
		failHeld(f, e)
	}
	return f
}

// failHeld says that another groatd has the state directory.
func failHeld(f *failure, e *autostart.Error) {
	h := e.Holder
	who := fmt.Sprintf("groatd of host %s (pid %d)", clean(h.Host), h.PID)
	if h.Socket != "" {
		who = fmt.Sprintf("groatd of host %s (pid %d, socket %s)", clean(h.Host), h.PID, clean(h.Socket))
	}
	holds := who + " holds the state directory " + clean(h.Place.State)
	switch e.Reason {
	case autostart.HeldByHost:
		f.msg = holds + "; on this host, sign in to a state on a disk of its own"
		f.hint = localState(e.Place)
	case autostart.HeldOutOfReach:
		f.msg = holds + " and cannot be reached from here"
		f.hint = localState(e.Place)
	case autostart.HeldUnreachable:
		f.msg = who + " runs, and its socket cannot be reached from here; it makes one that has gone anew within 30s"
		f.hint = fmt.Sprintf("kill -HUP %d && groat status", h.PID)
	case autostart.HeldSilent:
		f.msg = holds + " and is starting or ending"
		f.hint = fmt.Sprintf("try again; what it does: ps -fp %d", h.PID)
	case autostart.HeldElsewhere:
		f.msg = who + " serves this place, and GROAT_SOCKET names another socket"
		f.hint = "env -u GROAT_SOCKET groat status"
	case autostart.HeldByPlace:
		f.code = exitConfig
		f.msg = fmt.Sprintf("%s holds the state directory for another place (%s); this is %s",
			who, clean(h.Place.String()), *e.Place)
		f.hint = hintPlace(h.Place, *e.Place, os.Getenv)
	}
}

// hintPlace is a command that asks the groatd of another place.
func hintPlace(theirs, ours frame.Place, getenv func(string) string) string {
	for _, name := range []string{"GROAT_STATE_DIR", "XDG_STATE_HOME"} {
		if getenv(name) != "" && theirs.Home != ours.Home {
			return "env -u " + name + " groat status"
		}
	}
	return fmt.Sprintf("HOME=%s GROAT_CONFIG=%s GROAT_STATE_DIR=%s groat status",
		visible.Word(theirs.Home), visible.Word(theirs.Configuration), visible.Word(theirs.State))
}

// localState is a command that gives this host a state of its own, for a profile of the place's if it has one.
func localState(place *frame.Place) string {
	profile := os.Getenv("GROAT_PROFILE")
	if profile == "" {
		profile = "PROFILE"
		entries, _ := os.ReadDir(filepath.Join(place.Configuration, "profiles.d"))
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".toml"); ok && validName(name) {
				profile = name
				break
			}
		}
	}
	return frame.LocalState() + " groat login " + profile
}

// validName reports whether a profile may have this name: a file's name is not always one that a shell can be given.
func validName(name string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return name != "" && len(name) <= 64 && strings.ContainsRune(first, rune(name[0])) &&
		strings.Trim(name, first+"._-") == ""
}

func errOtherPlace(socket string, theirs, ours frame.Place, cause error) *failure {
	return &failure{code: exitConfig,
		msg:  fmt.Sprintf("groatd at %s is another place's (%s); this is %s", socket, clean(theirs.String()), ours),
		hint: "env -u GROAT_SOCKET groat status", cause: cause}
}
