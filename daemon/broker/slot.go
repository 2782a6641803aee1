package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// slot is one profile's credential and the tokens obtained with it. One goroutine, the owner, is the only writer;
// readers load immutable values. The owner never waits for the network: a request runs in a goroutine of its own, at
// most one at a time, and reports back.
type slot struct {
	name  string
	b     *Broker
	calls chan func()
	poke  chan struct{}
	ended chan result
	stop  chan struct{} // closed by Remove and Close
	gone  chan struct{} // closed when the owner has returned

	started sync.Once
	tokens  atomic.Pointer[tokenSlots]
	shown   atomic.Pointer[Block] // what Status says stands in the way
	source  atomic.Pointer[Source]
	spread  atomic.Int64 // boot time before which no renewal leaves that no caller waits for, ns; set after a suspend
	ends    atomic.Int32 // an Ending; see ending.go

	// What follows belongs to the owner.
	block Block // about all tokens of the profile
	failureState
	sessionState
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

func newSlot(b *Broker, name string, source Source) *slot {
	s := &slot{
		name: name, b: b,
		calls: make(chan func()), poke: make(chan struct{}, 1), ended: make(chan result),
		stop: make(chan struct{}), gone: make(chan struct{}), rejectedAt: never, sessionState: newSessionState(),
	}
	s.source.Store(&source)
	s.adoptSource(source, false)
	s.tokens.Store(&tokenSlots{})
	s.show(Block{})
	return s
}

// lookup finds a token slot without asking the owner.
func (s *slot) lookup(k key) *tokenSlot { return s.tokens.Load().find(k) }

// start lets the owner run; an unused profile costs no goroutine.
func (s *slot) start() {
	s.started.Do(func() {
		s.b.watch.Do(func() { s.b.begin(s.b.watchSuspend) })
		if !s.b.begin(s.own) {
			close(s.gone)
		}
	})
}

// own is the owner.
func (s *slot) own() {
	defer close(s.gone)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stop := s.stop
	for {
		timer.Reset(s.nap())
		select {
		case f := <-s.calls:
			f()
		case r := <-s.ended:
			s.finish(r)
		case <-s.poke:
		case <-timer.C:
		case <-stop:
			stop, s.stopping = nil, true
			s.withdraw()
			s.failAll()
		}
		if s.stopping && s.running == nil {
			return
		}
		s.advance()
	}
}

// do runs f in the owner and waits for it.
func (s *slot) do(ctx context.Context, f func()) error {
	s.start()
	done := make(chan struct{})
	select {
	case s.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-s.gone:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake makes the owner ask [next] again. It never blocks.
func (s *slot) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
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
	return state{
		busy: s.busy(), block: s.block, quota: now.Boot + s.quotaWait(k, verifying(t.waiting), now),
		spread: time.Duration(s.spread.Load()), tokenState: t,
	}
}

// advance begins a request if one may leave now: one that callers wait for before the others.
func (s *slot) advance() {
	now := s.b.now()
	s.keepOne()
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
			s.show(why)
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
	until := now.Boot + time.Hour
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
	s.block, s.failureState, s.rejectedAt, s.sessionState = Block{}, failureState{}, never, newSessionState()
	next := &tokenSlots{}
	for k, t := range s.tokens.Load().all {
		if len(t.waiting) > 0 {
			kept := newTokenSlot(k, source.Request(k.scope, k.audience))
			kept.waiting = t.waiting
			kept.used.Store(t.used.Load())
			next.add(kept)
		}
	}
	s.tokens.Store(next)
	s.show(Block{})
	s.record(s.b.now())
}

// install makes a token the current one that was obtained outside of the broker.
func (s *slot) install(token grant.Token) {
	now := s.b.now()
	t := s.tokenSlot(key{}, now)
	t.touch(now)
	s.forgive(t)
	if source := *s.source.Load(); !token.Static {
		s.b.limiter(source.Origin()).record(source.URL(), s.name, nil)
	}
	s.publish(t, token, now)
	s.record(now)
	s.answer(t, nil)
}
