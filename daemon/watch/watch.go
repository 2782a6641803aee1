// Package watch tells who watches a profile what changes about it.
//
// A change is what two looks at a profile differ in; what a profile is like is for others to say. The invariants: who
// reports a change never waits for who is told; a watch costs no goroutine while nothing happens; a watcher that does
// not take what it is told is dropped, and told so, and holds up no other one.
package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/protocol"
)

// maxQueue is how many changes may wait for a watcher to take them. A profile changes a few times a minute at most.
const maxQueue = 16

// State is what a profile is like at one moment.
type State struct {
	// Exists is false where there is no such profile; then all else is empty.
	Exists bool
	// Held is set where there is a token that has not expired. Serial is another number for each token, and is kept
	// after its end; 0 where there is none.
	Held   bool
	Serial uint64
	// Remaining is how long the token is good for; 0 where it does not expire.
	Remaining time.Duration
	// Block is the kind of what keeps renewals from leaving, or empty.
	Block protocol.Kind
	// Now is what a watcher is told, without an event.
	Now protocol.Change
}

// Hub has all watches. Its methods are safe for concurrent use.
type Hub struct {
	look     func(profile string) State
	watched  atomic.Int32 // how many profiles are
	mu       sync.Mutex
	profiles map[string]*subject
}

// subject is a profile that is watched.
type subject struct {
	last    State
	watches map[*Watch]struct{}
	end     *time.Timer // looks again when the token ends; nil where that is not known
}

// New returns a Hub without watches. look says what a profile is like; it is called with the Hub locked and must not
// block, nor call the Hub.
func New(look func(profile string) State) *Hub {
	return &Hub{look: look, profiles: map[string]*subject{}}
}

// Changed looks at a profile that may have changed, and tells its watchers if it has. It never waits for one.
func (h *Hub) Changed(profile string) {
	if h.watched.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.profiles[profile]
	if s == nil {
		return
	}
	now := h.look(profile)
	event := Event(s.last, now)
	s.last = now
	h.waitForEnd(profile, s)
	if event == "" {
		return
	}
	change := now.Now
	change.Event = event
	for w := range s.watches {
		if !w.offer(change) {
			h.remove(w, s)
		}
	}
}

// Watched returns how many profiles are watched.
func (h *Hub) Watched() int { return int(h.watched.Load()) }

// waitForEnd looks again when the token ends. A suspend only makes that late: what follows from it is looked at too.
func (h *Hub) waitForEnd(profile string, s *subject) {
	if s.end != nil {
		s.end.Stop()
		s.end = nil
	}
	if s.last.Held && s.last.Remaining > 0 {
		s.end = time.AfterFunc(s.last.Remaining+time.Millisecond, func() { h.Changed(profile) })
	}
}

// Event says what has happened between two looks at a profile; it is empty where nothing has that a watcher is told.
func Event(was, now State) string {
	switch {
	case !now.Exists && was.Exists:
		return protocol.EventRemoved
	case !now.Exists:
		return ""
	case !was.Exists:
		return protocol.EventAdded
	case now.Held && now.Serial != was.Serial:
		return protocol.EventRenewed
	case was.Held && !now.Held && now.Serial == was.Serial:
		return protocol.EventExpired
	case was.Serial != 0 && now.Serial == 0:
		return protocol.EventForgotten
	case now.Block != was.Block && now.Block != "":
		return protocol.EventBlocked
	case now.Block != was.Block:
		return protocol.EventHealed
	}
	return ""
}

// Add watches a profile, and returns what it is like now. Changes are kept until [Watch.Start], and then told one at a
// time in a goroutine that runs only while there are some. tell may block. After it was told of [protocol.EventDropped]
// it is called no more. The caller ends the watch with [Watch.End].
func (h *Hub) Add(profile string, tell func(protocol.Change)) (*Watch, protocol.Change) {
	w := &Watch{hub: h, profile: profile, tell: tell}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.profiles[profile]
	if s == nil {
		s = &subject{watches: map[*Watch]struct{}{}}
		h.profiles[profile] = s
		h.watched.Store(int32(len(h.profiles))) // before the look: what changes after it is looked at
		s.last = h.look(profile)
		h.waitForEnd(profile, s)
	}
	s.watches[w] = struct{}{}
	return w, h.look(profile).Now
}

// remove forgets a watch, and the profile with its last one. h.mu is held.
func (h *Hub) remove(w *Watch, s *subject) {
	delete(s.watches, w)
	if len(s.watches) > 0 || h.profiles[w.profile] != s {
		return
	}
	if s.end != nil {
		s.end.Stop()
	}
	delete(h.profiles, w.profile)
	h.watched.Store(int32(len(h.profiles)))
}

// Watch is one watcher's watch of one profile.
type Watch struct {
	hub     *Hub
	profile string
	tell    func(protocol.Change)

	mu      sync.Mutex
	queue   []protocol.Change
	started bool
	telling bool // a goroutine tells what is in the queue
	over    bool // nothing more is put into it
}

// Start begins to tell.
func (w *Watch) Start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = true
	w.rouse()
}

// End ends the watch. What is being told at this moment may still be.
func (w *Watch) End() {
	w.mu.Lock()
	w.over, w.queue = true, nil
	w.mu.Unlock()
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if s := w.hub.profiles[w.profile]; s != nil {
		w.hub.remove(w, s)
	}
}

// offer puts a change into the queue. It reports false where the watch is over, as it is with one change too many: what
// the watcher is told then, in the place of all that waits, is that it is dropped.
func (w *Watch) offer(c protocol.Change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
		return false
	case len(w.queue) == maxQueue:
		c.Event, c.Message, c.Hint = protocol.EventDropped, "the changes were not read: the watch has ended", ""
		w.over, w.queue = true, nil
	}
	w.queue = append(w.queue, c)
	w.rouse()
	return !w.over
}

// rouse lets a goroutine tell what is in the queue. w.mu is held.
func (w *Watch) rouse() {
	if w.started && !w.telling && len(w.queue) > 0 {
		w.telling = true
		go w.drain()
	}
}

func (w *Watch) drain() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.queue, w.telling = nil, false
			w.mu.Unlock()
			return
		}
		c := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		w.tell(c)
	}
}
