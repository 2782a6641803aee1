package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// stateLock is the lock of a state directory, which one groatd at a time holds, until it closes the lock or ends. The
// file of the lock names the process that holds it (PROTOCOL.md, "The lock"). The methods are safe for concurrent use.
type stateLock struct {
	mu     sync.Mutex
	file   *os.File
	holder frame.Holder
}

// lockState takes the lock of the place's state directory.
func lockState(s location) (*stateLock, error) {
	f, err := openLock(s.State, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, errHeld(s)
	case err != nil:
		f.Close()
		return nil, &refusal{exitConfig, fmt.Errorf("the file system of %s does not lock files (%w)", s.State, err),
			frame.LocalState() + " groat login"}
	}
	return newStateLock(s, f), nil
}

// newStateLock writes the record into a file whose lock this process has taken.
func newStateLock(s location, f *os.File) *stateLock {
	l := &stateLock{file: f, holder: frame.Holder{PID: os.Getpid(), Place: s.Place}}
	l.holder.Host, l.holder.Boot = frame.ThisHost()
	l.record("", "")
	return l
}

// openLock opens the lock of a state directory, which must be a file of this user's.
func openLock(state string, flags int) (*os.File, error) {
	path := filepath.Join(state, frame.LockFile)
	hint := "ls -l " + visible.Word(path)
	f, err := ownpath.OpenFile(path, os.O_RDWR|flags, ownpath.OwnState)
	if _, refused := errors.AsType[*ownpath.Error](err); refused {
		return nil, &refusal{exitConfig, fmt.Errorf("the lock %s is no file of this user's", path), hint}
	}
	if err != nil {
		return nil, &refusal{exitConfig, fmt.Errorf("the lock %s cannot be opened: %w", path, cause(err)), hint}
	}
	return f, nil
}

// errHeld returns the refusal of a state directory that another groatd holds.
func errHeld(s location) error {
	h, err := frame.ReadHolder(s.State)
	switch {
	case err != nil:
		return &refusal{exitCantCreate, errors.New("another groatd runs"), "groat status"}
	case !h.Here():
		return &refusal{exitCantCreate,
			fmt.Errorf("another groatd runs on host %q (pid %d, socket %q)", h.Host, h.PID, h.Socket),
			frame.LocalState() + " groat login"}
	case h.Place != s.Place:
		return &refusal{exitCantCreate,
			fmt.Errorf("another groatd runs (pid %d) for another place: %s", h.PID, h.Place), "groat status"}
	}
	return &refusal{exitCantCreate, fmt.Errorf("another groatd runs (pid %d)", h.PID), "groat status"}
}

// record writes where this groatd listens, and where it hands over; both are empty while it does not. The record is
// padded with spaces to the length of what stood there and written by one pwrite(2), so that no reader finds an empty
// file or the end of an older record. A disk that takes no more does not keep groatd from serving: then only clients
// that look for the socket at another path do not find it.
func (l *stateLock) record(socket, offer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder.Socket, l.holder.Handover = socket, offer
	text, err := json.Marshal(l.holder)
	if err != nil {
		return
	}
	length := len(text) + len("\n")
	if was, err := l.file.Stat(); err == nil && was.Size() <= frame.MaxHolder {
		length = max(length, int(was.Size()))
	} else if l.file.Truncate(0) != nil {
		return // what stands there is no record, and stays one that cannot be read
	}
	padding := strings.Repeat(" ", length-len(text)-len("\n"))
	l.file.WriteAt(append(text, padding+"\n"...), 0)
}

// Close releases the lock.
func (l *stateLock) Close() error { return l.file.Close() }
