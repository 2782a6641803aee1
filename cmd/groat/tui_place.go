package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// The sentences about places and about who holds one.

func errHome(err error) error {
	e, ok := errors.AsType[*ownpath.Error](err)
	if !ok {
		return failUnexpected(err)
	}
	return &failure{code: exitConfig, msg: e.Path + " " + e.Message, hint: e.Hint, cause: err}
}

func errOtherPlace(socket string, theirs, ours frame.Place, cause error) *failure {
	return &failure{code: exitConfig, msg: fmt.Sprintf("groatd at %s is another place's (%s); this is %s", socket, clean(theirs.String()), ours),
		hint: "env -u GROAT_SOCKET groat status", cause: cause}
}

// held says who has a state directory.
func held(h frame.Holder) string {
	if h.Socket == "" {
		return fmt.Sprintf("groatd of host %s (pid %d)", clean(h.Host), h.PID)
	}
	return fmt.Sprintf("groatd of host %s (pid %d, socket %s)", clean(h.Host), h.PID, clean(h.Socket))
}

func errHeldByHost(h frame.Holder, hint string) *failure {
	return &failure{code: exitUnavailable, msg: held(h) + " holds the state directory " + clean(h.Place.State) +
		"; on this host, sign in to a state on a disk of its own", hint: hint}
}

func errHeldOutOfReach(h frame.Holder, hint string) *failure {
	return &failure{code: exitUnavailable, msg: held(h) + " holds the state directory " + clean(h.Place.State) +
		" and cannot be reached from here", hint: hint}
}

func errHeldSocketGone(h frame.Holder) *failure {
	return &failure{code: exitUnavailable, msg: held(h) + " runs, and its socket cannot be reached from here; it makes one that has gone anew within 30s",
		hint: fmt.Sprintf("kill -HUP %d && groat status", h.PID)}
}

// errHeldSilent: it does not listen yet, or no more.
func errHeldSilent(h frame.Holder) *failure {
	return &failure{code: exitUnavailable, msg: held(h) + " holds the state directory " + clean(h.Place.State) + " and is starting or ending",
		hint: fmt.Sprintf("try again; what it does: ps -fp %d", h.PID)}
}

// errLockHeld: another release's groatd, or no groatd at all. The pid is 0 where the system does not say.
func errLockHeld(lock string, pid int) *failure {
	f := &failure{code: exitUnavailable, msg: "another process holds the lock " + clean(lock) + " and does not say where it listens", hint: "fuser -v " + quote(lock)}
	if pid > 0 {
		f.msg = fmt.Sprintf("process %d holds the lock %s and does not say where it listens", pid, clean(lock))
		f.hint = fmt.Sprintf("ps -fp %d", pid)
	}
	return f
}

func errHeldAt(h frame.Holder) *failure {
	return &failure{code: exitUnavailable, msg: held(h) + " serves this place, and GROAT_SOCKET names another socket",
		hint: "env -u GROAT_SOCKET groat status"}
}

func errHeldByPlace(h frame.Holder, ours frame.Place, getenv func(string) string) *failure {
	f := &failure{code: exitConfig, msg: fmt.Sprintf("%s holds the state directory for another place (%s); this is %s",
		held(h), clean(h.Place.String()), ours)}
	for _, name := range []string{"GROAT_STATE_DIR", "XDG_STATE_HOME"} {
		if getenv(name) != "" && h.Place.Home != ours.Home {
			f.hint = "env -u " + name + " groat status"
			return f
		}
	}
	f.hint = fmt.Sprintf("HOME=%s GROAT_CONFIG=%s GROAT_STATE_DIR=%s groat status",
		quote(clean(h.Place.Home)), quote(clean(h.Place.Configuration)), quote(clean(h.Place.State)))
	return f
}

// quote returns a word as a shell reads it.
func quote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
