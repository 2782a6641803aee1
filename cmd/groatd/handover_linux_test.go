package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// A file is the lock only if it is the one in the state directory and no other open file has that locked: another
// program of the same user may have written the record and answered.
func TestM7WhatIsNoLock(t *testing.T) {
	open := func(path string) *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	newPlace := func() location {
		place := frame.Place{Home: "/h", Configuration: "/c", State: t.TempDir()}
		return location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	}
	refused := func(name string, s location, f *os.File) {
		t.Helper()
		l, err := adoptLock(s, f)
		if r, ok := errors.AsType[*refusal](err); l != nil || !ok || r.code != exitCantCreate {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newPlace()
	path := filepath.Join(s.State, frame.LockFile)
	held, err := lockState(s)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused("a file that another one keeps from being locked", s, open(path))
	refused("another file", s, open(filepath.Join(t.TempDir(), frame.LockFile)))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	refused("a pipe", s, r)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the record was changed: %v", err)
	}

	// What a holder passes is the lock, and stays locked while the holder closes its own descriptor.
	fd, err := unix.FcntlInt(held.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	passed := os.NewFile(uintptr(fd), "lock")
	adopted, err := adoptLock(s, passed)
	if err != nil {
		t.Fatal(err)
	}
	held.Close()
	if _, err := lockState(s); err == nil {
		t.Error("the lock was free")
	}
	adopted.Close()
	if again, err := lockState(s); err != nil {
		t.Error(err)
	} else {
		again.Close()
	}
}
