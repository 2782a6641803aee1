package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// slot is one profile's credential and the tokens obtained with it. One goroutine at a time, the owner, is the only
// writer; readers load immutable values. The owner never waits for the network: a request runs in a goroutine of its
// own, at most one at a time, and reports back. It ends when it has nothing to do, and begins anew when there is
// something: ten thousand profiles that rest have no goroutines.
type slot struct {
	name string
	b    *Broker

	tokens atomic.Pointer[tokenSlots]
	shown  atomic.Pointer[Block] // what Status says stands in the way
	source atomic.Pointer[Source]
	spread atomic.Int64 // boot time before which no renewal leaves that no caller waits for, ns; set after a suspend
	ends   atomic.Int32 // an Ending; see ending.go
	held   atomic.Bool  // see [Broker.Hold]

	sessionEnds atomic.Pointer[SessionEnds] // nil: nothing is known
	narrow      atomic.Pointer[Narrowing]   // nil: nothing is known; see narrowing.go

	posting sync.Mutex    // guards these; it is held for moments only, and no other lock of the broker but its mu is
	inbox   []errand      // taken under it
	poked   bool          // the owner is to ask [next] again
	awake   bool          // the owner runs
	started bool          // it has run
	over    bool          // it has ended for good
	gone    chan struct{} // closed then; nil while nobody waits for it
	timer   *time.Timer   // ends the owner's nap; nil before it has napped

	// What follows belongs to the owner.
	block *Block // about all tokens of the profile; never nil
	failureState
	sessionState
	life        sessionLife
	lifeBefore  sessionLife // of the credential before
	quota       quota
	recorded    bool          // the recorder knows of a Block
	epoch       int           // counts credentials: the result of a request with an older one is discarded
	running     *tokenSlot    // what the one request is for, nil where there is none
	ticket      *ticket       // the request's
	before      history       // of running, as it was before the request
	rejectedAt  time.Duration // boot time of the last renewal that an API's refusal caused
	stopping    bool
	paused      int             // counts the pauses that hold: no request begins
	idleWaiters []chan struct{} // closed as soon as no request is under way
}

// What a new slot has: they are never changed.
var (
	noTokens tokenSlots
	noBlock  Block
)

func newSlot(b *Broker, name string, source Source) *slot {
	s := &slot{name: name, b: b, block: &noBlock, rejectedAt: never, sessionState: newSessionState(),
		life: noSession, lifeBefore: noSession}
	s.source.Store(&source)
	s.adoptSource(source, false)
	s.tokens.Store(&noTokens)
	s.shown.Store(&noBlock)
	return s
}

// lookup finds a token slot without asking the owner.
func (s *slot) lookup(k key) *tokenSlot { return s.tokens.Load().find(k) }

// errand is something for the owner to do. done, if not nil, is buffered and told whether that was done: it is not
// where the owner has ended for good before.
type errand struct {
	do   func()
	done chan<- bool
}

// post gives the owner something to do. It never blocks, and reports false where the owner has ended for good.
func (s *slot) post(e errand) bool {
	s.posting.Lock()
	defer s.posting.Unlock()
	if !s.started && !s.over {
		s.b.watch.Do(func() { s.b.begin(s.b.watchSuspend) })
		if s.started = s.b.beginSlot(); !s.started {
			s.end()
		}
	}
	if s.over {
		return false
	}
	s.inbox = append(s.inbox, e)
	s.rouse()
	return true
}

// wake makes the owner ask [next] again, if it has ever run. It never blocks.
func (s *slot) wake() {
	s.posting.Lock()
	defer s.posting.Unlock()
	if s.started && !s.over && !s.poked {
		s.poked = true
		s.rouse()
	}
}

// rouse lets the owner run. s.posting is held.
func (s *slot) rouse() {
	if !s.awake {
		s.awake = true
		go s.own()
	}
}

// end is the owner's end, for good. s.posting is held.
func (s *slot) end() {
	s.over = true
	for _, e := range s.inbox {
		if e.done != nil {
			e.done <- false
		}
	}
	s.inbox = nil
	if s.gone != nil {
		close(s.gone)
	}
}

// ended returns a channel that is closed when the owner has ended for good.
func (s *slot) ended() <-chan struct{} {
	s.posting.Lock()
	defer s.posting.Unlock()
	if s.gone == nil {
		s.gone = make(chan struct{})
		if s.over {
			close(s.gone)
		}
	}
	return s.gone
}

// hasEnded reports whether the owner has ended for good.
func (s *slot) hasEnded() bool {
	s.posting.Lock()
	defer s.posting.Unlock()
	return s.over
}

// own is the owner: it does what was posted and what follows from it.
func (s *slot) own() {
	for {
		e, ok := s.take()
		if !ok {
			return
		}
		if e.do != nil {
			e.do()
		}
		if e.done != nil {
			e.done <- true
		}
		if s.stopping && s.running == nil {
			s.posting.Lock()
			s.end()
			if s.timer != nil {
				s.timer.Stop()
			}
			s.posting.Unlock()
			s.b.running.Done()
			return
		}
		s.advance()
		if s.b.Changed != nil {
			s.b.Changed(s.name)
		}
	}
}

// take returns what the owner does next, which may be nothing but to ask [next] again. It reports false where the owner
// naps.
func (s *slot) take() (e errand, ok bool) {
	s.posting.Lock()
	defer s.posting.Unlock()
	if len(s.inbox) > 0 {
		e, s.inbox = s.inbox[0], s.inbox[1:]
		return e, true
	}
	s.inbox = nil
	if s.poked {
		s.poked = false
		return errand{}, true
	}
	s.awake = false
	if nap := s.nap(); s.timer == nil {
		s.timer = time.AfterFunc(nap, s.wake)
	} else {
		s.timer.Reset(nap)
	}
	return errand{}, false
}

// do runs f in the owner and waits for it. The error is [ErrStopped] where the owner has ended for good.
func (s *slot) do(f func()) error {
	done := make(chan bool, 1)
	if !s.post(errand{f, done}) || !<-done {
		return ErrStopped
	}
	return nil
}

// halt ends the owner for good: at once, or when the request that is under way has ended.
func (s *slot) halt() {
	s.posting.Lock()
	unused := !s.started && !s.over
	if unused {
		s.end()
	}
	s.posting.Unlock()
	if !unused {
		s.post(errand{do: func() {
			s.stopping = true
			s.withdraw()
			s.failAll()
		}})
	}
}

// busy reports whether no request may begin, whatever is wanted.
func (s *slot) busy() bool { return s.running != nil || s.paused > 0 || s.stopping }

// next asks [next] about one token and the callers who wait for it.
func (s *slot) next(t *tokenSlot, now clock.Instant) (when time.Duration, why Block) {
	return next(s.state(t.key, t.state(t.waiting), now), now)
}

// state is that of one token.
func (s *slot) state(k key, t tokenState, now clock.Instant) state {
	block := *s.block
	if k != (key{}) && block.Disabled {
		block.Probes = 0 // a client that was refused is probed by a request for the default token
	}
	if k == (key{}) {
		t.keep = s.keepAt()
		t.used = s.usedAt(t.used)
	}
	return state{
		busy: s.busy(), block: block, quota: now.Boot + s.quotaWait(k, verifying(t.waiting), now),
		spread: time.Duration(s.spread.Load()), tokenState: t,
	}
}

// usedAt is when the default token counts as last used, which a held one always is.
func (s *slot) usedAt(used time.Duration) time.Duration {
	if s.held.Load() {
		return forever
	}
	return used
}

// advance begins a request if one may leave now: one that callers wait for before the others.
func (s *slot) advance() {
	now := s.b.now()
	s.keepOne()
	s.watchSession(now)
	if !s.busy() {
		if t := s.due(now); t != nil {
			s.renew(t, now)
		}
	}
	s.failFast(now)
}

// due returns the token for which a request may leave now, or nil. Callers who wait for one that only the quota keeps
// from leaving are told so.
func (s *slot) due(now clock.Instant) (background *tokenSlot) {
	for _, t := range s.tokens.Load().all {
		when, why := s.next(t, now)
		switch {
		case errors.Is(why.Err, ErrOften):
			s.show(why.kept())
			s.answer(t, why.unavailable(now))
		case when > now.Boot:
		case len(t.waiting) > 0:
			return t
		default:
			background = t
		}
	}
	return background
}

// nap is how long the owner may sleep, by a timer that does not count suspend: [Broker.watchSuspend] wakes it where
// that went wrong. The end of what keeps it busy wakes the owner too.
func (s *slot) nap() time.Duration {
	if s.running != nil && s.awaited() {
		return probeWait // soon enough to tell callers of an outage
	}
	now := s.b.now()
	until := min(now.Boot+time.Hour, s.life.warnAt())
	if !s.busy() {
		for _, t := range s.tokens.Load().all {
			when, _ := s.next(t, now)
			until = min(until, when)
		}
	}
	return max(until-now.Boot, time.Millisecond)
}

// tokenSlot returns the token slot of a key, new if need be, and nil where there are too many.
func (s *slot) tokenSlot(k key, now clock.Instant) *tokenSlot {
	if t := s.lookup(k); t != nil {
		return t
	}
	t := newTokenSlot(k, (*s.source.Load()).Request(k.scope, k.audience))
	t.touch(now)
	next := s.tokens.Load().with(t, s.running)
	if next == nil {
		return nil
	}
	s.tokens.Store(next)
	return t
}

// replace takes a new credential or configuration; everything learned with the old one is void.
func (s *slot) replace(source Source) {
	s.withdraw()
	s.epoch++
	s.adoptSource(source, source.URL() == (*s.source.Load()).URL())
	s.source.Store(&source)
	s.block, s.failureState, s.rejectedAt, s.sessionState = &noBlock, failureState{}, never, newSessionState()
	s.lifeBefore = s.life
	s.setLife(noSession, s.b.now())
	next := &tokenSlots{}
	for _, t := range s.tokens.Load().all {
		if len(t.waiting) > 0 {
			kept := newTokenSlot(t.key, source.Request(t.key.scope, t.key.audience))
			kept.waiting = t.waiting
			kept.used.Store(t.used.Load())
			next.add(kept)
		}
	}
	s.tokens.Store(next)
	s.show(&noBlock)
	s.record(s.b.now())
}

// install makes a token the current one that was obtained outside of the broker.
func (s *slot) install(token grant.Token) {
	now := s.b.now()
	t := s.tokenSlot(key{}, now)
	t.touch(now)
	s.forgive(t)
	if token.Refreshed { // the same session goes on
		s.life = s.lifeBefore
	}
	if source := *s.source.Load(); !token.Static {
		s.b.limiter(source.Origin()).record(source.URL(), s.name, nil)
	}
	s.publish(t, token, now)
	s.record(now)
	s.answer(t, nil)
}
