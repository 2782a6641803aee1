package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// slot is one profile's credential and the tokens obtained with it. One goroutine owns it and is the only writer;
// readers load immutable values. The owner never waits for the network: an attempt runs in a goroutine of its own, at
// most one at a time, and reports back.
type slot struct {
	name  string
	b     *Broker
	calls chan func()
	poke  chan struct{}
	ended chan attempt
	stop  chan struct{} // closed by Remove and Close
	gone  chan struct{} // closed when the owner has returned

	started  sync.Once
	variants atomic.Pointer[variants]
	state    atomic.Pointer[condition]
	source   atomic.Pointer[Source]
	spread   atomic.Int64 // boot time before which no background renewal leaves, ns; set after a suspend

	// The owner's own.
	trouble
	ceiling    ceiling
	recorded   bool     // the recorder knows of something that stands in the way
	epoch      int      // counts credentials: an attempt with an older one is discarded
	running    *variant // what the one attempt is for, nil where there is none
	turn       *turn    // the attempt's
	before     spacing
	rejectedAt time.Duration // boot time of the last renewal that an API's refusal caused
	stopping   bool
	paused     int             // counts the pauses that hold: no attempt begins
	quiet      []chan struct{} // closed as soon as no attempt is under way
}

// condition is what Status shows of a slot that no token shows.
type condition struct {
	err   error
	retry time.Duration // boot time of the next attempt, 0 where none is planned
}

// ask is one caller's question to the owner.
type ask struct {
	key     key
	minTTL  time.Duration
	refused keystore.Secret // the access token an API refused, or empty
	proof   bool            // nothing but a token of an attempt that is still to come will do
	reply   chan answer     // buffered: the owner never waits for a caller
	done    <-chan struct{} // closed when the caller waits no longer
}

// left reports whether nobody hears the answer.
func (a ask) left() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

type answer struct {
	token grant.Token
	err   error
}

// attempt is the end of one request to the provider.
type attempt struct {
	v     *variant
	epoch int
	token grant.Token
	err   error
}

func newSlot(b *Broker, name string, source Source) *slot {
	s := &slot{
		name: name, b: b,
		calls: make(chan func()), poke: make(chan struct{}, 1), ended: make(chan attempt),
		stop: make(chan struct{}), gone: make(chan struct{}), rejectedAt: never,
	}
	s.source.Store(&source)
	s.variants.Store(&variants{})
	s.state.Store(&condition{})
	return s
}

// lookup finds a variant without asking the owner.
func (s *slot) lookup(k key) *variant { return s.variants.Load().find(k) }

// start lets the owner run; an unused profile costs no goroutine.
func (s *slot) start() {
	s.started.Do(func() {
		s.b.watch.Do(func() { s.b.begin(s.b.resumes) })
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
		case e := <-s.ended:
			s.finish(e)
		case <-s.poke:
		case <-timer.C:
		case <-stop:
			stop, s.stopping = nil, true
			s.withdraw()
			s.dismiss()
		}
		if s.stopping && s.running == nil {
			return
		}
		s.advance()
	}
}

// dismiss answers everybody: what they wait for will not come.
func (s *slot) dismiss() {
	for _, v := range s.variants.Load().all {
		s.answer(v, &Unavailable{Err: ErrStopped, RetryAfter: time.Second})
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

// wake makes the owner look at its plan again. It never blocks.
func (s *slot) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// advance starts whatever is due, one attempt at a time, callers first.
func (s *slot) advance() {
	now := s.b.now()
	if !s.stopping && s.paused == 0 && s.running == nil {
		s.begin(now)
	}
	s.relieve(now)
}

func (s *slot) begin(now clock.Instant) {
	var background *variant
	for _, v := range s.variants.Load().all {
		if s.deferred(v, now).stands(now) || v.holdup.stands(now) {
			continue
		}
		waits := len(v.waiting) > 0 && v.earliest(now) <= now.Boot
		at, ok := s.due(v)
		due := ok && at <= now.Boot
		if !waits && !due {
			continue
		}
		if wait := s.tooOften(v.key, v.personal(), now); wait > 0 {
			s.show(holdup{err: ErrOften, until: now.Boot + wait})
			s.answer(v, &Unavailable{Err: ErrOften, RetryAfter: wait})
			continue
		}
		if waits {
			s.attempt(v, now)
			return
		}
		background = v
	}
	if background != nil {
		s.attempt(background, now)
	}
}

// due is when v is renewed though nobody waits, if it is.
func (s *slot) due(v *variant) (time.Duration, bool) {
	at, ok := v.due()
	if v.again { // the retry of a lost answer is worth something only soon, and there are few
		return at, ok
	}
	return max(at, time.Duration(s.spread.Load())), ok
}

// nap is how long the owner may sleep by a timer that does not count suspend; the broker's resume watch wakes it where
// that went wrong.
func (s *slot) nap() time.Duration {
	now := s.b.now()
	next := now.Boot + time.Hour
	for _, v := range s.variants.Load().all {
		if v.holdup.parked {
			continue // no time lets it begin
		}
		until := max(s.deferred(v, now).until, v.holdup.until, now.Boot+s.tooOften(v.key, v.personal(), now))
		if at, ok := s.due(v); ok {
			next = min(next, max(at, until))
		}
		if len(v.waiting) > 0 {
			next = min(next, max(v.earliest(now), until))
		}
	}
	if s.running != nil && s.awaited() {
		return probeWait // in an outage that is enough
	}
	if s.running != nil || s.paused > 0 || s.holdup.parked {
		return time.Hour // its end wakes the owner
	}
	return max(next-now.Boot, time.Millisecond)
}
