package broker

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// What the token endpoints of one origin are asked at most, by however many profiles.
const (
	atOnce    = 8  // requests under way
	perSecond = 10 // requests begun in any one second
)

// limiter spaces the requests to one origin. Attempts take turns: those that callers wait for before the others, and each
// kind in the order of its coming; in an outage one comes now and then, and what is urgent at once. Nobody blocks on
// it: a turn that comes runs in a goroutine of its own, and one that has not come yet costs none. It is safe for concurrent
// use; the queues are bounded by the number of profiles, each of which has one turn at most.
type limiter struct {
	now  clock.Func
	draw func() float64

	mu         sync.Mutex
	breaker                             // of what reaches no server there
	urls       map[string]*breaker      // :: URL → of what is answered, by a token endpoint whose last answer was a failure
	begun      [perSecond]time.Duration // boot times of the last requests, a ring
	oldest     int                      // where the oldest of them stands
	running    int
	callers    []*ticket
	background []*ticket
	timer      *time.Timer // set where only time lets the next turn come
}

// turn is one attempt's place in the queues of a budget.
type ticket struct {
	limiter *limiter
	url     string // of the token endpoint
	run     func()
	// delayed is called while an outage keeps the turn from coming, at its beginning and after each probe. It must not block.
	delayed func()
	urgent  bool          // an outage does not keep it: a person wants to know, or a refresh token's grace runs out
	began   time.Duration // boot time at which it began, never before
}

func newLimiter(origin string, now clock.Func, draw func() float64) *limiter {
	b := &limiter{now: now, draw: draw, breaker: breaker{origin: origin, probed: never}, urls: map[string]*breaker{}}
	for i := range b.begun {
		b.begun[i] = never
	}
	return b
}

// enter lets t.run be called when its turn comes: at once where the budget allows.
func (b *limiter) enter(t *ticket, caller bool) *ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.limiter, t.began = b, never
	if caller {
		b.callers = append(b.callers, t)
	} else {
		b.background = append(b.background, t)
	}
	b.advance()
	return t
}

// prioritize puts a turn that has not come yet among those that callers wait for, and makes it urgent where a person does.
func (t *ticket) prioritize(person bool) {
	b := t.limiter
	b.mu.Lock()
	defer b.mu.Unlock()
	t.urgent = t.urgent || person
	if leave(&b.background, t) {
		b.callers = append(b.callers, t)
	}
	b.advance()
}

// withdraw gives a turn up and reports whether it had not come yet.
func (t *ticket) withdraw() bool {
	b := t.limiter
	b.mu.Lock()
	defer b.mu.Unlock()
	return leave(&b.background, t) || leave(&b.callers, t)
}

func leave(queue *[]*ticket, t *ticket) bool {
	i := slices.Index(*queue, t)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
	return i >= 0
}

// outage returns why waiting for the turn helps nobody, and in how long it may be different; nil where it does help.
func (t *ticket) outage() (*Outage, time.Duration) {
	b := t.limiter
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Boot
	k := b.stands(t.url)
	if k == nil || now < max(t.began, k.probed)+probeWait { // also where another profile's is the probe
		return nil, 0
	}
	return k.outage(), max(k.probe-now, time.Second)
}

// stands returns the breaker that is open for a URL, or nil. b.mu is held.
func (b *limiter) stands(url string) *breaker {
	if k := b.urls[url]; !b.open && k != nil && k.open {
		return k
	}
	if b.open {
		return &b.breaker
	}
	return nil
}

// delay is how long an outage keeps a turn from coming.
func (b *limiter) delay(t *ticket, now time.Duration) time.Duration {
	k := b.stands(t.url)
	if k == nil || t.urgent {
		return 0
	}
	return max(k.probe-now, 0)
}

// advance lets every turn come that may. b.mu is held.
func (b *limiter) advance() {
	for b.running < atOnce {
		now := b.now().Boot
		queue, i, wait := b.first(now)
		if queue == nil {
			return
		}
		if wait = max(wait, b.spaced(now)); wait > 0 {
			b.later(wait)
			return
		}
		t := (*queue)[i]
		*queue = slices.Delete(*queue, i, i+1)
		t.began = now
		b.begun[b.oldest] = now
		b.oldest = (b.oldest + 1) % perSecond
		b.running++
		if k := b.stands(t.url); k != nil {
			k.probed = now
			k.probes(now, b.draw())
		}
		go func() {
			t.run()
			b.end()
		}()
	}
}

// first finds the turn that comes next, the first that no outage puts off, else the one that is put off for the shortest time;
// queue is nil where no turn waits.
func (b *limiter) first(now time.Duration) (queue *[]*ticket, i int, wait time.Duration) {
	for _, q := range []*[]*ticket{&b.callers, &b.background} {
		for n, t := range *q {
			off := b.delay(t, now)
			if queue == nil || off < wait {
				queue, i, wait = q, n, off
			}
			if wait == 0 {
				return queue, i, 0
			}
		}
	}
	return queue, i, wait
}

// spaced is how long it takes until another request may begin.
func (b *limiter) spaced(now time.Duration) time.Duration {
	most := perSecond
	if now < b.gentle {
		most = gentlePerSecond
	}
	return b.begun[(b.oldest+perSecond-most)%perSecond] + time.Second - now
}

// later looks again after a while. The timer does not count suspend; [limiter.rested] does.
func (b *limiter) later(wait time.Duration) {
	if b.timer != nil {
		b.timer.Reset(wait)
		return
	}
	b.timer = time.AfterFunc(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.advance()
	})
}

func (b *limiter) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.advance()
}

// record takes in how a profile's request to a URL ended. Turns that an outage puts off are told.
//
// What brings no whole answer counts for the origin. A failure that is an answer counts for its URL alone, and is an outage only
// where two profiles have had it: another path of the origin, and another profile, may be well.
func (b *limiter) record(url, profile string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, draw := b.now(), b.draw()
	e, ok := errors.AsType[*grant.Error](err)
	switch {
	case ok && e.Status != 0 && e.Class != grant.Ambiguous && !e.Answered():
		b.breaker.record(nil, now, draw) // something is there
		b.urlFails(url, profile, err, now, draw)
	case err == nil || ok && e.Answered():
		b.breaker.record(err, now, draw)
		if k := b.urls[url]; k != nil && k.open {
			b.gentle = now.Boot + gentleFor
		}
		delete(b.urls, url)
	default:
		b.breaker.record(err, now, draw)
	}
	if k := b.stands(url); k != nil {
		k.probed = never
	}
	for _, t := range slices.Concat(b.callers, b.background) {
		if b.stands(t.url) != nil {
			t.delayed()
		}
	}
	b.advance() // an outage may have ended for some of them
}

// urlFails takes in a failure that was an answer.
func (b *limiter) urlFails(url, profile string, err error, now clock.Instant, draw float64) {
	k := b.urls[url]
	if k == nil {
		k = &breaker{origin: url, url: true, alone: profile, probed: never}
		b.urls[url] = k
	}
	k.several = k.several || k.alone != profile
	k.gentle = b.gentle
	k.record(err, now, draw)
}

// outage returns the outage that a URL's failure is part of, if it is part of one, and in how long the server is asked again.
func (b *limiter) outage(url string, err error) (*Outage, time.Duration) {
	if _, ok := errors.AsType[*grant.Error](err); !ok {
		return nil, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.stands(url)
	if k == nil {
		return nil, 0
	}
	return k.outage(), max(k.probe-b.now().Boot, time.Second)
}

// rested is for a machine that has slept.
func (b *limiter) rested() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Boot
	b.breaker.rested(now)
	for url, k := range b.urls {
		if k.open {
			b.gentle = now + gentleFor
		}
		delete(b.urls, url)
	}
	b.advance()
}

// limiter returns that of an origin. One is kept for each origin that any profile has had.
func (b *Broker) limiter(origin string) *limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.limiters[origin]
	if f == nil {
		f = newLimiter(origin, b.now, func() float64 { return b.Draw() })
		b.limiters[origin] = f
	}
	return f
}
