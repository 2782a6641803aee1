package autostart

import (
	"errors"

	"github.com/groat-dev/groat/protocol/frame"
)

// Reason is why there is no groatd to connect to.
type Reason int

// The reasons, and the members of [Error] that go with each.
const (
	_               Reason = iota
	Forbidden              // GROAT_NO_AUTOSTART is set; Socket
	UnitInstalled          // a service manager starts groatd on this machine
	ForeignHome            // HOME belongs to another user; Err is an [*ownpath.Error]
	NoProgram              // no groatd is beside groat or on PATH
	NotSpawned             // the system did not start the program; Program, Typed, Err
	BadDirectory           // the socket's directory, or the lock in it, is not this user's alone; Dir, Err
	Refused                // groatd refused its configuration or a directory; Typed
	Ended                  // groatd ended at its start; Typed, Status
	NotReady               // groatd did not listen in time; Program
	HeldByHost             // the groatd of another host has the state directory; Holder
	HeldByPlace            // a groatd of another place has the state directory; Holder
	HeldElsewhere          // this place's groatd listens elsewhere than $GROAT_SOCKET says; Holder
	HeldOutOfReach         // a groatd whose processes are not seen from here has the state directory; Holder
	HeldUnreachable        // the groatd of this place runs, and its socket cannot be reached; Holder
	HeldSilent             // a groatd holds the lock and does not listen, or not any more; Holder
	LockHeld               // a process holds the lock and does not say where it listens; Lock, PID
)

// Error says why groatd was not started, or did not become ready. Its text is for logs of tests: groat words each
// reason itself.
type Error struct {
	Reason Reason
	// Place is the caller's, or nil if only $GROAT_SOCKET is known.
	Place  *frame.Place
	Socket string
	// Program is the path of groatd, and Typed what a person types to run it.
	Program, Typed string
	// Status is how groatd ended.
	Status string
	Dir    string
	Holder frame.Holder
	// Lock is a path, and PID the process that holds it, or 0 if the system does not say.
	Lock string
	PID  int
	Err  error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return "groatd was not started: " + e.Err.Error()
	}
	return "groatd was not started"
}

func (e *Error) Unwrap() error { return e.Err }

// Why a directory or a lock is refused.
var (
	errDirOwner = errors.New("it belongs to another user")
	errDirMode  = errors.New("other users may enter it")
)

const lockNotYours = "its %s is not a file of yours"
