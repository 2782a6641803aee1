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
	asks  chan ask
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
		asks: make(chan ask), calls: make(chan func()), poke: make(chan struct{}, 1), ended: make(chan attempt),
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
		case a := <-s.asks:
			s.handle(a)
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

// handle deals with one caller.
func (s *slot) handle(a ask) {
	now := s.b.now()
	v := s.variant(a.key, now)
	if v == nil {
		a.reply <- answer{err: &Unavailable{Err: ErrManyTokens, RetryAfter: time.Second}}
		return
	}
	v.touch(now)
	if !a.refused.IsZero() {
		s.reject(v, a.refused, now)
	}
	if a.proof {
		s.forgive(v)
	} else if h := v.hit(a.minTTL, now); h != nil {
		a.reply <- answer{token: h.token}
		return
	}
	if err := s.hopeless(v, a, now); err != nil {
		a.reply <- v.instead(a, now, err)
		return
	}
	v.waiting = append(v.waiting, a)
	if s.turn != nil {
		s.turn.hurry()
	}
	if s.paused > 0 {
		s.serve(v, now)
	}
}

// forgive forgets what stands in the way of the next attempt: a person asks for one. What explains a refusal is kept.
func (s *slot) forgive(v *variant) {
	s.trouble, v.holdup = trouble{lost: s.lost}, holdup{}
}

// hopeless returns why waiting would not help a caller, or nil.
func (s *slot) hopeless(v *variant, a ask, now clock.Instant) error {
	if s.stopping {
		return &Unavailable{Err: ErrStopped, RetryAfter: time.Second}
	}
	if a.minTTL > v.fresh && v.fresh > 0 {
		return &TooLong{Max: v.fresh}
	}
	if s.running == v {
		return nil
	}
	for _, h := range []holdup{s.holdup, v.holdup} {
		if h.ahead && v.presses(a, now) {
			continue
		}
		if h.parked {
			return &Unavailable{Err: h.err}
		}
		if h.err != nil && h.until > now.Boot {
			return &Unavailable{Err: h.err, RetryAfter: h.until - now.Boot}
		}
	}
	return nil
}

// variant returns the variant of a key, new if need be, and nil where there are too many.
func (s *slot) variant(k key, now clock.Instant) *variant {
	if v := s.lookup(k); v != nil {
		return v
	}
	v := newVariant(k, (*s.source.Load()).Request(k.scope, k.audience))
	v.touch(now)
	next := s.variants.Load().with(v, s.running)
	if next == nil {
		return nil
	}
	s.variants.Store(next)
	return v
}

// reject makes sure that a token that an API refused is not handed out again. If it is the current one a renewal follows,
// at most one in [betweenRejections].
func (s *slot) reject(v *variant, token keystore.Secret, now clock.Instant) {
	h := v.held.Load()
	if h == nil || !h.token.Access.Equal(token) {
		return
	}
	v.refused = h.token.Access
	v.held.Store(nil)
	if now.Boot < s.rejectedAt+betweenRejections(v.life) {
		v.holdup = holdup{err: ErrRejected, until: s.rejectedAt + betweenRejections(v.life)}
		return
	}
	s.rejectedAt = now.Boot
}

// advance starts whatever is due, one attempt at a time, callers first.
func (s *slot) advance() {
	now := s.b.now()
	if s.stopping || s.paused > 0 || s.running != nil {
		return
	}
	var background *variant
	for _, v := range s.variants.Load().all {
		if s.deferred(v, now).stands(now) || v.holdup.stands(now) {
			continue
		}
		if len(v.waiting) > 0 && v.earliest(now) <= now.Boot {
			s.attempt(v, now)
			return
		}
		if at, ok := s.due(v); ok && at <= now.Boot && background == nil {
			background = v
		}
	}
	if background != nil {
		s.attempt(background, now)
	}
}

// due is when v is renewed though nobody waits, if it is.
func (s *slot) due(v *variant) (time.Duration, bool) {
	at, ok := v.due()
	return max(at, time.Duration(s.spread.Load())), ok
}

// nap is how long the owner may sleep by a timer that does not count suspend; the broker's resume watch wakes it where
// that went wrong.
func (s *slot) nap() time.Duration {
	now := s.b.now()
	next := now.Boot + time.Hour
	for _, v := range s.variants.Load().all {
		until := max(s.deferred(v, now).until, v.holdup.until)
		if at, ok := s.due(v); ok {
			next = min(next, max(at, until))
		}
		if len(v.waiting) > 0 {
			next = min(next, max(v.earliest(now), until))
		}
	}
	if s.running != nil || s.paused > 0 || s.holdup.parked {
		return time.Hour // its end wakes the owner
	}
	return max(next-now.Boot, time.Millisecond)
}
