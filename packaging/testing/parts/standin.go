package parts

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// Answer is what becomes of a question that a [StandIn] asks a person.
type Answer int

const (
	// Unasked: it asks nothing.
	Unasked Answer = iota
	// Agreed: it asks, and somebody agrees at once.
	Agreed
	// Dismissed: it asks, and somebody closes the dialog at once.
	Dismissed
	// Unanswered: it asks, and the dialog stands until [StandIn.Reply].
	Unanswered
)

// Behaviour is how a [StandIn] misbehaves. The zero value is one that does not.
type Behaviour struct {
	// Delay is how late each answer comes.
	Delay time.Duration
	// Unreadable: every question about an item ends with an error.
	Unreadable bool
	// Locked: the collection is. ItemsLocked: the collection is not, but each item by itself.
	Locked, ItemsLocked bool
	// Unlock, Create, Overwrite and Delete are asked for. Whoever wrote an item overwrites it unasked.
	Unlock, Create, Overwrite, Delete Answer
	// Refuse is the D-Bus error that every change ends with.
	Refuse *dbus.Error
	// Forget: a change is acknowledged, and not made. Alter: what is written is not what is kept.
	Forget, Alter bool
}

// StandIn is a Secret Service that does what gnome-keyring cannot be made to do, on a bus of its own. Its methods are
// safe for concurrent use.
type StandIn struct {
	// Address is for DBUS_SESSION_BUS_ADDRESS.
	Address string

	mu        sync.Mutex
	conn      *dbus.Conn
	behaviour Behaviour
	items     map[dbus.ObjectPath]*standInItem
	dialogs   map[dbus.ObjectPath]dialog
	named     int // paths given out
	asked     int
	written   int
	pending   int
	most      int // pending at once
}

type standInItem struct {
	attributes map[string]string
	value      []byte
	writer     dbus.Sender
}

// dialog is a question that stands.
type dialog struct {
	answer Answer
	agreed func() any // makes the change and returns the prompt's result
}

// StartStandIn starts one for as long as the test runs.
func StartStandIn(t testing.TB) *StandIn {
	t.Helper()
	s := &StandIn{Address: StartBus(t).Address, items: map[dbus.ObjectPath]*standInItem{},
		dialogs: map[dbus.ObjectPath]dialog{}}
	s.Return(t)
	t.Cleanup(func() { s.Leave(t) })
	return s
}

// Leave ends its connection to the bus, with every dialog: it has crashed. Return is its next start, with what it had
// stored.
func (s *StandIn) Leave(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn = nil
	clear(s.dialogs)
}

// Return is the start after Leave.
func (s *StandIn) Return(t testing.TB) {
	t.Helper()
	conn, err := dbus.Connect(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.conn = conn
	for path := range s.items {
		s.export(path)
	}
	s.mu.Unlock()
	s.serve(t, conn)
}

// Behave changes its behaviour from the next call on.
func (s *StandIn) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
}

// Plant stores a value under the name that groat would use for it, as another program may: with an attribute more.
func (s *StandIn) Plant(username, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(map[string]string{"service": "groat", "username": username, "xdg:schema": "org.example"}, []byte(value), "")
}

// Stored returns the values under one of groat's names.
func (s *StandIn) Stored(username string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for _, path := range s.find(map[string]string{"service": "groat", "username": username}) {
		values = append(values, string(s.items[path].value))
	}
	return values
}

// Asked returns how many questions it has asked; Written, how many changes it was asked for.
func (s *StandIn) Asked() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

// Written is described with Asked.
func (s *StandIn) Written() int { s.mu.Lock(); defer s.mu.Unlock(); return s.written }

// Standing returns how many dialogs stand unanswered.
func (s *StandIn) Standing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dialogs)
}

// AtOnce returns the greatest number of calls that were unanswered at the same time.
func (s *StandIn) AtOnce() int { s.mu.Lock(); defer s.mu.Unlock(); return s.most }

// Reply is the person who answers every dialog that stands.
func (s *StandIn) Reply(t testing.TB, agree bool) {
	t.Helper()
	s.mu.Lock()
	standing := slices.Collect(maps.Keys(s.dialogs))
	s.mu.Unlock()
	for _, path := range standing {
		s.complete(path, agree)
	}
}

// find returns the paths of the items that have the attributes, in a fixed order. s.mu is held.
func (s *StandIn) find(attributes map[string]string) []dbus.ObjectPath {
	var found []dbus.ObjectPath
	for path, item := range s.items {
		fits := true
		for k, v := range attributes {
			fits = fits && item.attributes[k] == v
		}
		if fits {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	return found
}

// add makes an item. s.mu is held.
func (s *StandIn) add(attributes map[string]string, value []byte, writer dbus.Sender) dbus.ObjectPath {
	path := s.name(standInCollection + "/")
	s.items[path] = &standInItem{attributes, value, writer}
	if s.conn != nil {
		s.export(path)
	}
	return path
}
