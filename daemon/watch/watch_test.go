package watch

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/protocol"
)

// profile is what the tests' look says of every profile.
type profile struct {
	mu    sync.Mutex
	state State
}

func (p *profile) look(name string) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state
	s.Now.Profile = name
	return s
}

func (p *profile) set(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}

func TestWhatAChangeIs(t *testing.T) {
	none := State{}
	idle := State{Exists: true}
	first := State{Exists: true, Held: true, Serial: 1}
	second := State{Exists: true, Held: true, Serial: 2}
	ended := State{Exists: true, Serial: 1}
	blocked := State{Exists: true, Held: true, Serial: 1, Block: protocol.Temporary}
	refused := State{Exists: true, Held: true, Serial: 1, Block: protocol.LoginRequired}
	for _, tt := range []struct {
		was, now State
		event    string
	}{
		{none, none, ""}, {idle, idle, ""}, {first, first, ""}, {blocked, blocked, ""}, {ended, ended, ""},
		{none, idle, protocol.EventAdded}, {none, first, protocol.EventAdded}, {first, none, protocol.EventRemoved},
		{idle, first, protocol.EventRenewed}, {first, second, protocol.EventRenewed},
		{blocked, second, protocol.EventRenewed}, {ended, second, protocol.EventRenewed},
		{first, ended, protocol.EventExpired}, {first, idle, protocol.EventForgotten},
		{ended, idle, protocol.EventForgotten},
		{first, blocked, protocol.EventBlocked}, {blocked, refused, protocol.EventBlocked},
		{blocked, first, protocol.EventHealed},
	} {
		if got := Event(tt.was, tt.now); got != tt.event {
			t.Errorf("%+v → %+v: %q, want %q", tt.was, tt.now, got, tt.event)
		}
	}
}

// A token's end is told when it comes, though nobody reports a change then.
func TestTheEndOfATokenIsToldByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &profile{state: State{Exists: true, Held: true, Serial: 1, Remaining: time.Minute}}
		h := New(p.look)
		var got []string
		w, _ := h.Add("a", func(c protocol.Change) { got = append(got, c.Event) })
		w.Start()
		time.Sleep(time.Minute)
		p.set(State{Exists: true, Serial: 1})
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(got, []string{protocol.EventExpired}) {
			t.Errorf("%q", got)
		}
		w.End()
	})
}

// Changes before the start are kept, and told in their order; after the end nothing is.
func TestNothingIsToldBeforeTheStartAndAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &profile{state: State{Exists: true}}
		h := New(p.look)
		var got []string
		w, now := h.Add("a", func(c protocol.Change) { got = append(got, c.Event) })
		if now.Event != "" || now.Profile != "a" {
			t.Errorf("%+v", now)
		}
		for _, s := range []State{{Exists: true, Held: true, Serial: 1}, {}, {Exists: true}} {
			p.set(s)
			h.Changed("a")
			h.Changed("b")
		}
		synctest.Wait()
		if len(got) > 0 {
			t.Errorf("before the start: %q", got)
		}
		w.Start()
		synctest.Wait()
		want := []string{protocol.EventRenewed, protocol.EventRemoved, protocol.EventAdded}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		w.End()
		w.End()
		p.set(State{})
		h.Changed("a")
		synctest.Wait()
		if len(got) != len(want) || len(h.profiles) != 0 || h.watched.Load() != 0 {
			t.Errorf("after the end: %q, %v", got, h.profiles)
		}
	})
}

// Who does not take what it is told is dropped, is told so in the place of all that waits, and holds up neither the
// others nor who reports a change.
func TestASlowWatcherIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &profile{state: State{Exists: true, Held: true}}
		h := New(p.look)
		stuck, slow, quick := make(chan struct{}), []string(nil), 0
		w, _ := h.Add("a", func(c protocol.Change) {
			<-stuck
			slow = append(slow, c.Event)
		})
		w.Start()
		other, _ := h.Add("a", func(protocol.Change) { quick++ })
		other.Start()
		const many = 4 * maxQueue
		for i := range many {
			p.set(State{Exists: true, Held: true, Serial: uint64(i) + 1})
			h.Changed("a")
			synctest.Wait()
		}
		close(stuck)
		synctest.Wait()
		if quick != many {
			t.Errorf("the other one was told %d of %d changes", quick, many)
		}
		if !slices.Equal(slow, []string{protocol.EventRenewed, protocol.EventDropped}) {
			t.Errorf("the slow one was told %q", slow)
		}
		w.End()
		other.End()
	})
}
