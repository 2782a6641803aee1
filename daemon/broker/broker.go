// Package broker caches access tokens, renews them before they age and hands them out.
//
// Each profile has a slot: its credential and the tokens obtained with it. One goroutine at a time owns it, is the only
// writer and never waits for the network; readers load immutable values. When a request leaves is decided in one place, by the
// pure function next; why none leaves is a [Block]. The steps of a renewal stand at the top of renew.go.
//
// The invariants: one request to the provider at a time for each profile, whatever the number of callers, and a bounded
// number to one server, whatever the number of profiles; a token that is still valid is handed out in every failure and
// taken away by none (but see ending.go); no token is handed out that has expired by the boot clock. What is not here: how a credential is
// read and stored (package credential), how a token is obtained (package grant), and who may have one (package daemon).
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

// Unset is the MinTTL of a [Query] without an explicit min_ttl.
const Unset = unset

// Source obtains the tokens of one profile. It is called by one goroutine at a time and must bound its own time.
type Source interface {
	// Request completes what a caller asked for with the profile's defaults.
	Request(scope, audience string) grant.Request
	// Obtain returns a new token, or a [*grant.Error], a keystore error, an error of the configuration, or a [*PutOff].
	// Beside an error the token says by Refreshed, and by nothing else, that a refresh token was used all the same.
	// ctx is not cancelled when callers leave.
	Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error)
	// EndsTokens reports whether the server ends a session's earlier access tokens when its refresh token is used;
	// known is false where that is still to be found out.
	EndsTokens() (ends, known bool)
	// SessionRules is what the configuration says of how long the session lives.
	SessionRules() SessionRules
	// URL is the URL of the token endpoint.
	URL() string
	// Origin is the origin of the token endpoint: the requests of all profiles to one origin are bounded.
	Origin() string
	// Requests counts requests sent to the token endpoint. Requests and Degraded may be called at any time.
	Requests() int64
	// Degraded returns why the newest credential is in memory only, nil where it is stored.
	Degraded() error
}

// Broker has the slots of all profiles. Its methods are safe for concurrent use.
type Broker struct {
	// Recorder may be set before the first Put.
	Recorder Recorder
	// SessionEnding, if set before the first Put, is told once of each session that ends soon whatever is renewed. It
	// must not block, nor call the Broker.
	SessionEnding func(profile string, ends time.Time)
	// Changed, if set before the first Put, is told after each step of a profile that may have changed what
	// [Broker.Status] says of it. It must not block, nor call other methods of the Broker than Status.
	Changed func(profile string)
	// Draw returns a number in [0, 1) by which waits are spread; it may be replaced before the first Put. It must be
	// safe for concurrent use.
	Draw func() float64

	now      clock.Func
	slots    atomic.Pointer[map[string]*slot] // :: profile name → slot; replaced, never changed
	changing sync.Mutex                       // held while slots is replaced; guards held
	held     map[string]int                   // :: profile name → how often it is held
	watch    sync.Once
	serial   atomic.Uint64 // of the token that came last
	closed   chan struct{}
	mu       sync.Mutex          // guards closing, limiters and last
	closing  bool                // nothing is begun once Close waits
	last     map[string]*slot    // the profiles that Close found
	limiters map[string]*limiter // :: origin → limiter
	running  sync.WaitGroup      // the slots' owners and the suspend watch
}

// New returns a Broker without profiles. The caller closes it.
func New(now clock.Func) *Broker {
	b := &Broker{now: now, Draw: rand.Float64, limiters: map[string]*limiter{}, held: map[string]int{},
		closed: make(chan struct{})}
	b.slots.Store(&map[string]*slot{})
	return b
}

// Query asks for one token.
type Query struct {
	Profile string
	// Scope is words separated by spaces, in any order. An empty Scope or Audience means the profile's default.
	Scope    string
	Audience string
	// MinTTL is how long the token must be good for at least, or [Unset].
	MinTTL time.Duration
	// Refused is the token that an API refused, or empty.
	Refused keystore.Secret
	// ID asks for an ID token: only [Broker.IDToken] and [Broker.CachedID] take such a Query, and only they take one.
	ID bool

	verify bool // see [Broker.Verify]
}

func (q *Query) key() key { return key{scope: canonical(q.Scope), audience: q.Audience} }

// Token returns a token that keeps q.MinTTL, or [ErrUnknown], a [*TooLong] or an [*Unavailable]. It waits for a request
// as long as ctx allows; a request that has begun goes on when ctx ends.
func (b *Broker) Token(ctx context.Context, q Query) (grant.Token, error) {
	s, ok := b.slot(q.Profile)
	if !ok {
		return grant.Token{}, ErrUnknown
	}
	if c := s.hit(&q); c != nil {
		return c.token, nil
	}
	r := s.ask(ctx, q)
	return r.token, r.err
}

// Cached is Token that never waits: it reports false where a request would be needed.
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

// hit is the path of nearly every call: no lock, no allocation, no other goroutine and no copy of a token.
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

// ask puts a question to the owner, which takes it at once. The question of a caller who has no time left is put too:
// the request that follows from it serves the next.
func (s *slot) ask(ctx context.Context, q Query) answer {
	a := ask{
		key: q.key(), minTTL: q.MinTTL, refused: q.Refused, verify: q.verify, id: q.ID,
		reply: make(chan answer, 1), done: ctx.Done(),
	}
	if s.do(func() { s.handle(a) }) != nil {
		return answer{err: &Unavailable{Err: ErrStopped, RetryAfter: time.Second}}
	}
	select {
	case r := <-a.reply:
		return r
	case <-ctx.Done():
	}
	select { // both may have been ready
	case r := <-a.reply:
		return r
	default:
	}
	r := answer{err: &Unavailable{Err: ErrWaited, RetryAfter: time.Second}}
	if t := s.lookup(a.key); t != nil {
		r = t.instead(a, s.b.now(), r.err)
	}
	return r
}

// Verify obtains a new token with a profile's credential, whatever is cached and whatever blocks the profile, so that a
// person knows whether the credential works. The request is the profile's one request: a refresh token is never used
// twice.
func (b *Broker) Verify(ctx context.Context, name string) (grant.Token, error) {
	return b.Token(ctx, Query{Profile: name, MinTTL: Unset, verify: true})
}

// Put adds profiles, or replaces their sources. A replaced profile forgets its tokens and Blocks.
func (b *Broker) Put(sources map[string]Source) {
	replaced := map[*slot]Source{}
	b.change(func(slots map[string]*slot) {
		for name, source := range sources {
			if s := slots[name]; s != nil {
				replaced[s] = source
			} else {
				slots[name] = newSlot(b, name, source)
				slots[name].held.Store(b.held[name] > 0)
			}
		}
	})
	for s, source := range replaced {
		s.do(func() { s.replace(source) })
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

// Hold has a profile's default token, once there is one, renewed although nobody asks for it, or ends that: it counts,
// and each true is taken back by one false. It holds for a profile of that name whenever there is one.
func (b *Broker) Hold(name string, held bool) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if held {
		b.held[name]++
	} else if b.held[name]--; b.held[name] <= 0 {
		delete(b.held, name)
	}
	if s := (*b.slots.Load())[name]; s != nil {
		s.held.Store(b.held[name] > 0)
		s.wake()
	}
}

// Install is Put with a first token, with which a login has just verified the credential.
func (b *Broker) Install(name string, source Source, t grant.Token) {
	b.Put(map[string]Source{name: source})
	if s, ok := b.slot(name); ok {
		s.do(func() { s.install(t) })
	}
}

// Remove forgets profiles and their tokens. It waits, as long as ctx allows, for requests under way to end.
func (b *Broker) Remove(ctx context.Context, names ...string) {
	for _, s := range b.take(names) {
		select {
		case <-s.ended():
		case <-ctx.Done():
			return
		}
	}
}

// take removes profiles from the set and tells their owners to end.
func (b *Broker) take(names []string) (taken []*slot) {
	b.change(func(slots map[string]*slot) {
		for _, name := range names {
			if s := slots[name]; s != nil {
				s.halt()
				delete(slots, name)
				taken = append(taken, s)
			}
		}
	})
	return taken
}

// Close stops every slot and waits, as long as ctx allows, for requests under way: an answer that is already on its way
// is not lost.
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

// begin runs f in a goroutine that Close waits for, unless the broker is closed.
func (b *Broker) begin(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closing {
		b.running.Go(f)
	}
}

// beginSlot makes Close wait for one more slot's owner to end for good, which then says so. It reports false where the
// broker is closed.
func (b *Broker) beginSlot() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return false
	}
	b.running.Add(1)
	return true
}
