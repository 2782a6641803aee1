package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// A random life of one profile: time passes, the machine sleeps, its clock is set, the server answers and fails in
// every way, callers ask with all sorts of min_ttl, for other scopes and with little time, and APIs refuse tokens. The
// invariants hold in all of it.
func TestARandomLifeKeepsTheInvariants(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLife(t, seed)
				for range 150 {
					l.step()
					synctest.Wait() // callers with an answer look at it before anything else happens
				}
				l.end()
			})
		})
	}
}

// ended is one request as the provider saw it.
type ended struct {
	scope           string
	began, finished time.Duration
	err             error
}

// random is a random life: its environment, and what the invariants are judged by.
type random struct {
	*env
	t   *testing.T
	b   *Broker
	rng *rand.Rand // the test's own

	mu       sync.Mutex
	outcomes *rand.Rand // the server's
	failing  int        // in how many of ten
	busy     int
	asked    int            // counts questions and rejections
	rejected map[string]int // :: token → the number from which on it must not be handed out
	current  *renewable
}

// renewable is one credential, with what the provider remembers of it.
type renewable struct {
	*random
	history []ended
	refused bool // the server has said something definitive
}

func newLife(t *testing.T, seed uint64) *random {
	l := &random{
		env: newEnv(), t: t, rng: rand.New(rand.NewPCG(seed, 1)), outcomes: rand.New(rand.NewPCG(seed, 2)),
		rejected: map[string]int{},
	}
	l.life = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, life,
		24 * time.Hour}[l.rng.IntN(6)]
	l.latency = time.Duration(l.rng.Int64N(int64(min(l.life/10, 10*time.Second))))
	l.b = New(l.now)
	l.heal()
	return l
}

// heal replaces the credential by a new one.
func (l *random) heal() {
	l.mu.Lock()
	l.current = &renewable{random: l}
	l.mu.Unlock()
	l.b.Put(map[string]Source{"p": l.current})
}

// upTo is a random time, short ones being as likely as long ones.
func (l *random) upTo(most time.Duration) time.Duration {
	return time.Duration(l.rng.Int64N(int64(most)) >> l.rng.IntN(16))
}

func (l *random) step() {
	switch l.rng.IntN(10) {
	default:
		l.ask(false)
	case 0, 1, 2:
		time.Sleep(l.upTo(2 * l.life))
	case 3:
		l.boot.Add(int64(l.upTo(8 * time.Hour)))
	case 4:
		forth, back := l.upTo(20*365*24*time.Hour), l.upTo(20*365*24*time.Hour)
		l.wall.Add(int64(forth - back))
	case 5:
		l.mu.Lock()
		l.failing = []int{0, 0, 3, 8, 10}[l.rng.IntN(5)]
		l.mu.Unlock()
	case 6:
		l.ask(true)
	case 7:
		if l.rng.IntN(4) == 0 {
			l.heal()
		}
	}
}

// ask asks in the background and judges the answer. With reject it also says that the token is no good.
func (l *random) ask(reject bool) {
	q := Query{Profile: "p", MinTTL: Unset}
	if l.rng.IntN(3) == 0 {
		q.MinTTL = l.upTo(l.life * 11 / 10).Truncate(time.Second)
	}
	if l.rng.IntN(6) == 0 {
		q.Scope = "other"
	}
	wait := l.upTo(30 * time.Second)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		token, err := l.token(ctx, q)
		if err != nil || !reject {
			return
		}
		q.Refused = token.Access
		l.token(ctx, q)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
		l.rejected[token.Access.Reveal()] = l.asked
	}()
}

// token asks and judges the answer.
func (l *random) token(ctx context.Context, q Query) (grant.Token, error) {
	l.mu.Lock()
	l.asked++
	number := l.asked
	l.mu.Unlock()
	asked := time.Now()
	token, err := l.b.Token(ctx, q)
	l.judge(q, number, token, err)
	if waited := time.Since(asked); q.MinTTL == Unset && waited > 5*l.latency+probeWait {
		l.t.Errorf("a caller without a promise waited %s for %v, %v; an exchange takes %s", waited, token, err,
			l.latency)
	}
	return token, err
}

// judge checks one answer against the promises.
func (l *random) judge(q Query, number int, token grant.Token, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		now := l.now()
		if left := token.Remaining(now); l.expired(token, now) || left < accepted(q.MinTTL, l.life) {
			l.t.Errorf("a token with %s left for a min_ttl of %s", left, q.MinTTL)
		}
		if since, ok := l.rejected[token.Access.Reveal()]; ok && number > since || token.Access.Equal(q.Refused) {
			l.t.Errorf("%s was handed out after an API had refused it", token.Access.Reveal())
		}
		return
	}
	if long, ok := errors.AsType[*TooLong](err); ok {
		if q.MinTTL <= long.Max || long.Max < l.life-l.latency-time.Second-30*time.Second {
			l.t.Errorf("%v, asked for %s of %s", err, q.MinTTL, l.life)
		}
		return
	}
	if u, ok := errors.AsType[*Unavailable](err); !ok || u.RetryAfter <= 0 && !l.current.refused {
		l.t.Errorf("nothing definitive was said, and a caller got %v (%+v)", err, u)
	}
}

// Obtain implements [Source].
func (c *renewable) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	e := ended{scope: fmt.Sprint(r.Scope), began: c.now().Boot}
	c.mu.Lock()
	c.busy++
	if c.busy > 1 {
		c.t.Errorf("%d requests at once", c.busy)
	}
	c.spaced(e)
	fails := c.outcomes.IntN(10) < c.failing
	c.mu.Unlock()

	token, err := c.env.Obtain(ctx, r, need)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	if fails {
		err = c.failure()
	}
	e.finished, e.err = c.now().Boot, err
	c.history = append(c.history, e)
	return token, err
}

// failure is one of the ways in which a server fails, drawn at random.
func (c *renewable) failure() error {
	switch c.outcomes.IntN(12) {
	case 0:
		return &grant.Error{
			Class: grant.Transient, Status: 503, RetryAfter: time.Duration(1+c.outcomes.IntN(600)) * time.Second,
		}
	case 1, 2:
		return &grant.Error{Class: grant.Transient, Status: 500}
	case 3:
		return &grant.Error{Class: grant.TransientSlow, Status: 403}
	case 4:
		return &grant.Error{Class: grant.Malformed, Status: 200}
	case 5, 6:
		return &grant.Error{Class: grant.Ambiguous, RotationLost: true}
	case 7:
		return keystore.ErrLocked
	case 8:
		if c.outcomes.IntN(3) == 0 {
			c.refused = true
			return refusal(grant.Refused, "invalid_grant")
		}
	}
	return refusal(grant.Transient, "") // it cannot be reached
}

// spaced checks the beginning of a request against the requests before it.
func (c *renewable) spaced(e ended) {
	if len(c.history) == 0 {
		return
	}
	last := c.history[len(c.history)-1]
	if last.err != nil && e.scope == last.scope {
		floor := firstBackoff / 8
		if failed, ok := errors.AsType[*grant.Error](last.err); ok {
			floor = max(floor, failed.RetryAfter)
			if failed.Class == grant.Refused {
				c.t.Errorf("a request %s after a refusal", e.began-last.finished)
			}
		}
		if e.began < last.finished+floor {
			c.t.Errorf("a request %s after %v", e.began-last.finished, last.err)
		}
	}
	// In the least time between two renewals there are one that is due, one that a min_ttl brings forward, one after a
	// rejection, and the failed ones.
	within := 1
	for _, h := range c.history {
		if h.err == nil && h.scope == e.scope && h.began > e.began-betweenRenewals(c.life) {
			within++
		}
	}
	if within > 3 {
		c.t.Errorf("%d requests within %s", within, betweenRenewals(c.life))
	}
}

// end lets the server recover: a caller who waits as an error says has a token soon, unless a sign-in is needed.
func (l *random) end() {
	l.mu.Lock()
	l.failing = 0
	l.mu.Unlock()
	time.Sleep(2 * time.Hour) // longer than any wish of the server's
	var err error
	for range 3 {
		if _, err = l.token(l.t.Context(), Query{Profile: "p", MinTTL: Unset}); err == nil {
			break
		}
		if u, ok := errors.AsType[*Unavailable](err); ok {
			time.Sleep(u.RetryAfter)
		}
	}
	if err != nil && !l.current.refused {
		l.t.Errorf("at last %v", err)
	}
	if err := l.b.Close(l.t.Context()); err != nil {
		l.t.Error(err)
	}
	time.Sleep(time.Minute)
}

// expired reports whether a token has expired by the record of the provider that gave it.
func (w *env) expired(token grant.Token, now clock.Instant) bool {
	n := 0
	for _, c := range token.Access.Reveal()[len("token-"):] {
		n = 10*n + int(c-'0')
	}
	return now.Boot >= w.call(n-1)+w.life
}
