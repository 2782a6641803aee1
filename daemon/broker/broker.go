// Package broker holds access tokens, renews them before they age and hands them out.
//
// Each profile has a slot: its credential and the tokens obtained with it, owned by one goroutine that is the only writer
// and never waits for the network. Readers load an immutable snapshot. The invariants: one request to the provider at a
// time and profile, whatever the number of callers, and a bounded number to one server, whatever the number of profiles; a
// token that is still valid is handed out in every failure and taken away by none; no token is handed out that has expired
// by the boot clock. What is not here: how a token is obtained (package grant), and who may have one (package daemon).
package broker

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Unset is the MinTTL of a [Query] that asks for no promise.
const Unset = unset

// Source obtains the tokens of one profile. It is called by one goroutine at a time and must bound its own time.
type Source interface {
	// Request completes what a caller asked with the profile's defaults.
	Request(scope, audience string) grant.Request
	// Obtain returns a new token, or a [*grant.Error], a keystore error or a configuration's. need is what it is for; see
	// [Ahead].
	Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error)
	// URL is the token endpoint's.
	URL() string
	// Origin is the token endpoint's: what all profiles together ask one origin for is bounded.
	Origin() string
	// Requests counts requests sent to the token endpoint.
	Requests() int64
	// Degraded returns why the newest credential is in memory only, nil where it is stored.
	Degraded() error
}

// Broker is all profiles. Its methods are safe for concurrent use.
type Broker struct {
	// Recorder may be set before the first Put.
	Recorder Recorder
	// Draw returns a number in [0, 1) by which waits are spread; it may be replaced before the first Put. It must be safe for
	// concurrent use.
	Draw func() float64

	now      clock.Func
	slots    atomic.Pointer[map[string]*slot] // :: profile name → slot; replaced, never changed
	changing sync.Mutex                       // serialises whoever replaces slots
	watch    sync.Once
	closed   chan struct{}
	mu       sync.Mutex          // guards closing, limiters and last
	closing  bool                // nothing is begun once Close waits
	last     map[string]*slot    // the profiles that Close found
	limiters map[string]*limiter // :: origin → limiter
	running  sync.WaitGroup      // the slots' owners and the suspend watch
}

// New returns a Broker without profiles; call Close when done.
func New(now clock.Func) *Broker {
	b := &Broker{now: now, Draw: rand.Float64, limiters: map[string]*limiter{}, closed: make(chan struct{})}
	b.slots.Store(&map[string]*slot{})
	return b
}

// Query asks for one token.
type Query struct {
	Profile string
	// Scope is separated by spaces, in any order; empty means the profile's default, as does an empty Audience.
	Scope    string
	Audience string
	// MinTTL is a promise asked for, or [Unset].
	MinTTL time.Duration
	// Refused is the access token that an API refused, or empty.
	Refused keystore.Secret

	verify bool
}

func (q *Query) key() key { return key{scope: canonical(q.Scope), audience: q.Audience} }

// Token returns a token that keeps q.MinTTL, or [ErrUnknown], a [*TooLong] or an [*Unavailable]. Where one must be
// obtained it waits as long as ctx allows; what was begun goes on when ctx ends.
func (b *Broker) Token(ctx context.Context, q Query) (grant.Token, error) {
	s, ok := b.slot(q.Profile)
	if !ok {
		return grant.Token{}, ErrUnknown
	}
	if c := s.hit(&q); c != nil {
		return c.token, nil
	}
	return s.ask(ctx, q)
}

// Cached returns a token only where that takes no waiting.
func (b *Broker) Cached(q Query) (grant.Token, bool) {
	if s, ok := b.slot(q.Profile); ok {
		if c := s.hit(&q); c != nil {
			return c.token, true
		}
	}
	return grant.Token{}, false
}

func (b *Broker) slot(name string) (*slot, bool) {
	s, ok := (*b.slots.Load())[name]
	return s, ok
}

// hit is the way of nearly every call: no lock, no allocation, no other goroutine, no copy that can be spared.
func (s *slot) hit(q *Query) *cachedToken {
	if q.verify || !q.Refused.IsZero() {
		return nil
	}
	t := s.lookup(q.key())
	if t == nil {
		return nil
	}
	now := s.b.now()
	c := t.hit(q.MinTTL, now)
	if c == nil {
		return nil
	}
	was := warm(time.Duration(t.used.Load()), c.renew)
	t.touch(now)
	if !was {
		s.wake() // the owner had stopped renewing an unused token
	}
	return c
}

// ask puts a question to the owner, who never lets one wait long: also that of a caller who has no time left. What it sets in
// motion is for the next.
func (s *slot) ask(ctx context.Context, q Query) (grant.Token, error) {
	a := ask{key: q.key(), minTTL: q.MinTTL, refused: q.Refused, verify: q.verify, reply: make(chan answer, 1), done: ctx.Done()}
	if s.do(context.WithoutCancel(ctx), func() { s.handle(a) }) != nil {
		return grant.Token{}, &Unavailable{Err: ErrStopped, RetryAfter: time.Second}
	}
	select {
	case r := <-a.reply:
		return r.token, r.err
	case <-ctx.Done():
	}
	select { // both may have been ready
	case r := <-a.reply:
		return r.token, r.err
	default:
	}
	r := answer{err: &Unavailable{Err: ErrWaited, RetryAfter: time.Second}}
	if t := s.lookup(a.key); t != nil {
		r = t.instead(a, s.b.now(), r.err)
	}
	return r.token, r.err
}

// Verify obtains a new token with a profile's credential, whatever is held and whatever stood in the way: a person wants to
// know whether the credential works. It goes through the profile's owner, for a refresh token must not be used twice.
func (b *Broker) Verify(ctx context.Context, name string) (grant.Token, error) {
	return b.Token(ctx, Query{Profile: name, MinTTL: Unset, verify: true})
}

// Put adds profiles, or replaces their sources. A replaced profile forgets its tokens and what stood in their way.
func (b *Broker) Put(sources map[string]Source) {
	replaced := map[*slot]Source{}
	b.change(func(slots map[string]*slot) {
		for name, source := range sources {
			if s := slots[name]; s != nil {
				replaced[s] = source
			} else {
				slots[name] = newSlot(b, name, source)
			}
		}
	})
	for s, source := range replaced {
		s.do(context.Background(), func() { s.replace(source) })
	}
}

// change replaces the set of slots.
func (b *Broker) change(f func(map[string]*slot)) {
	b.changing.Lock()
	defer b.changing.Unlock()
	next := maps.Clone(*b.slots.Load())
	f(next)
	b.slots.Store(&next)
}

// Install is Put with a first token, which a login has just proven the credential with.
func (b *Broker) Install(name string, source Source, t grant.Token) {
	b.Put(map[string]Source{name: source})
	if s, ok := b.slot(name); ok {
		s.do(context.Background(), func() { s.install(t) })
	}
}

// Remove forgets profiles and their tokens. A request under way is let finish; Remove waits for it as long as ctx allows.
func (b *Broker) Remove(ctx context.Context, names ...string) {
	for _, s := range b.take(names) {
		s.start() // one that never ran ends at once
		select {
		case <-s.gone:
		case <-ctx.Done():
			return
		}
	}
}

// take takes profiles out and tells their owners to stop.
func (b *Broker) take(names []string) (taken []*slot) {
	b.change(func(slots map[string]*slot) {
		for _, name := range names {
			if s := slots[name]; s != nil {
				close(s.stop)
				delete(slots, name)
				taken = append(taken, s)
			}
		}
	})
	return taken
}

// Close stops every slot and waits, as long as ctx allows, for requests under way: a provider's answer that is already
// on its way is not thrown away.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closing {
		b.closing = true
		close(b.closed)
		b.last = *b.slots.Load()
	}
	b.mu.Unlock()
	b.take(slices.Collect(maps.Keys(*b.slots.Load())))
	done := make(chan struct{})
	go func() { b.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin runs f in a goroutine that Close waits for, and reports whether it did.
func (b *Broker) begin(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.running.Go(f)
	return true
}

// rested tells the limiters that the machine has slept.
func (b *Broker) rested() {
	b.mu.Lock()
	limiters := slices.Collect(maps.Values(b.limiters))
	b.mu.Unlock()
	for _, f := range limiters {
		f.rested()
	}
}
