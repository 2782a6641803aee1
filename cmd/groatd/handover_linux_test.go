package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/handover"
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

// A holder that cannot be asked is named, with the command that ends it.
func TestAHolderThatCannotBeAsked(t *testing.T) {
	dir := t.TempDir()
	place := frame.Place{Home: "/h", Configuration: "/c", State: dir}
	s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	lock, err := lockState(s)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	end := fmt.Sprintf("kill %d", os.Getpid())
	for offer, want := range map[string]string{
		"":                           "cannot hand over to this one",
		filepath.Join(dir, "nobody"): "cannot be asked to hand over",
	} {
		lock.record(filepath.Join(dir, "agent.sock"), offer)
		_, err := askHolder(s, handover.Only)
		r, ok := errors.AsType[*refusal](err)
		if !ok || r.code != exitCantCreate || r.hint != end || !strings.Contains(r.Error(), want) {
			t.Errorf("offer %q: %v", offer, err)
		}
	}
	if hint := orKill(7, fmt.Errorf("asking: %w", os.ErrDeadlineExceeded), end); hint != "kill -KILL 7" {
		t.Errorf("a holder that does not answer in time: %q", hint)
	}
}

// A lock that is released is noticed at once, and one that is held not.
func TestAwaitLock(t *testing.T) {
	place := frame.Place{Home: "/h", Configuration: "/c", State: t.TempDir()}
	s := location{PlaceStatus: protocol.PlaceStatus{ID: place.ID(), Place: place}}
	lock, err := lockState(s)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if awaitLock(ended, s) {
		t.Error("a lock that is held counts as free")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	time.AfterFunc(10*time.Millisecond, func() { lock.Close() })
	if !awaitLock(ctx, s) {
		t.Error("the lock was released, and is still waited for")
	}
}
