package broker

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// What groatd asks the token endpoints of one origin for at most, for all profiles together.
const (
	maxAtOnce    = 8  // requests under way
	maxPerSecond = 10 // requests begun in any one second
)

// limiter spaces the requests to one origin. A request holds a ticket until its turn comes: requests that callers wait
// for come before the others, and each kind in the order in which it entered. During an outage only a probe leaves now
// and then, and what is urgent at once. No goroutine blocks on a limiter: a request whose turn comes runs in a
// goroutine of its own. The queues are bounded by the number of profiles, each of which has one ticket at most. It is
// safe for concurrent use.
type limiter struct {
	now  clock.Func
	draw func() float64

	mu         sync.Mutex
	origin     breaker                     // of failures that brought no whole answer from the origin
	urls       map[string]*breaker         // :: URL → of failures that are answers; only URLs whose last answer was one
	begun      [maxPerSecond]time.Duration // boot times of the last requests, a ring
	oldest     int                         // the index of the oldest of them
	running    int
	callers    []*ticket
	background []*ticket
	timer      *time.Timer // looks again where only time lets the next request leave
}

// ticket is the place of one request in the queues of a limiter.
type ticket struct {
	limiter *limiter
	url     string // of the token endpoint
	run     func()
	// delayed is called while an outage keeps the request from leaving: at the outage's beginning and after each probe.
	// It must not block.
	delayed func()
	urgent  bool          // no outage delays it: a person waits for it, or a refresh token's grace runs out
	began   time.Duration // boot time at which run was called; never before that
}

func newLimiter(origin string, now clock.Func, draw func() float64) *limiter {
	l := &limiter{now: now, draw: draw, origin: breaker{origin: origin, probed: never}, urls: map[string]*breaker{}}
	for i := range l.begun {
		l.begun[i] = never
	}
	return l
}

// enter queues a ticket, whose run is called when its turn comes: at once where the limits allow.
func (l *limiter) enter(t *ticket, caller bool) *ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.limiter, t.began = l, never
	if caller {
		l.callers = append(l.callers, t)
	} else {
		l.background = append(l.background, t)
	}
	l.advance()
	return t
}

// prioritize puts a ticket whose turn has not come among those that callers wait for, and makes it urgent for a person.
func (t *ticket) prioritize(person bool) {
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	t.urgent = t.urgent || person
	if remove(&l.background, t) {
		l.callers = append(l.callers, t)
	}
	l.advance()
}

// withdraw gives a ticket up. It reports false where its turn has come already: then the request is under way or over.
func (t *ticket) withdraw() bool {
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	return remove(&l.background, t) || remove(&l.callers, t)
}

func remove(queue *[]*ticket, t *ticket) bool {
	i := slices.Index(*queue, t)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
	return i >= 0
}

// outage returns why callers should not wait for the ticket, and in how long that may be different; nil where they
// should. The probe may be another profile's: callers wait for its answer as long as for one of their own.
func (t *ticket) outage() (*Outage, time.Duration) {
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Boot
	k := l.open(t.url)
	if k == nil || now < max(t.began, k.probed)+probeWait {
		return nil, 0
	}
	return k.outage(), max(k.probe-now, time.Second)
}

// open returns the breaker that is open for a URL, or nil. l.mu is held.
func (l *limiter) open(url string) *breaker {
	switch k := l.urls[url]; {
	case l.origin.isOpen:
		return &l.origin
	case k != nil && k.isOpen:
		return k
	}
	return nil
}

// delay is how long an outage keeps a ticket's request from leaving. l.mu is held.
func (l *limiter) delay(t *ticket, now time.Duration) time.Duration {
	k := l.open(t.url)
	if k == nil || t.urgent {
		return 0
	}
	return max(k.probe-now, 0)
}

// advance lets every request leave that may. l.mu is held.
func (l *limiter) advance() {
	for l.running < maxAtOnce {
		now := l.now().Boot
		queue, i, wait := l.first(now)
		if queue == nil {
			return
		}
		if wait = max(wait, l.spacing(now)); wait > 0 {
			l.advanceIn(wait)
			return
		}
		t := (*queue)[i]
		*queue = slices.Delete(*queue, i, i+1)
		t.began = now
		l.begun[l.oldest] = now
		l.oldest = (l.oldest + 1) % maxPerSecond
		l.running++
		if k := l.open(t.url); k != nil {
			k.probed = now
			k.planProbe(now, l.draw())
		}
		go func() {
			t.run()
			l.end()
		}()
	}
}

// first finds the ticket whose turn is next: the first that no outage delays, or else the one that is delayed for the
// shortest time. queue is nil where there is none. l.mu is held.
func (l *limiter) first(now time.Duration) (queue *[]*ticket, i int, wait time.Duration) {
	for _, q := range []*[]*ticket{&l.callers, &l.background} {
		for n, t := range *q {
			delay := l.delay(t, now)
			if queue == nil || delay < wait {
				queue, i, wait = q, n, delay
			}
			if wait == 0 {
				return queue, i, 0
			}
		}
	}
	return queue, i, wait
}

// spacing is how long it takes until another request may begin. l.mu is held.
func (l *limiter) spacing(now time.Duration) time.Duration {
	most := maxPerSecond
	if now < l.origin.gentle {
		most = gentlePerSecond
	}
	return l.begun[(l.oldest+maxPerSecond-most)%maxPerSecond] + time.Second - now
}

// advanceIn calls advance after a wait, by a timer that does not count suspend: [limiter.forgetOutages] does. l.mu is
// held.
func (l *limiter) advanceIn(wait time.Duration) {
	if l.timer != nil {
		l.timer.Reset(wait)
		return
	}
	l.timer = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.advance()
	})
}

func (l *limiter) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.advance()
}

// record takes in how a profile's request to a URL ended, and tells the requests that an outage delays.
//
// A failure that brought no whole answer counts for the origin. One that is an answer counts for its URL only, and is
// an outage only where two profiles have had it: another path of the origin, or another profile, may be well.
func (l *limiter) record(url, profile string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, draw := l.now(), l.draw()
	e, ok := errors.AsType[*grant.Error](err)
	switch {
	case ok && e.Status != 0 && e.Class != grant.Ambiguous && !e.Answered():
		l.origin.record(nil, now, draw) // a server is there
		l.recordURL(url, profile, err, now, draw)
	case err == nil || ok && e.Answered():
		l.origin.record(err, now, draw)
		if k := l.urls[url]; k != nil && k.isOpen {
			l.origin.gentle = now.Boot + gentleFor
		}
		delete(l.urls, url)
	default:
		l.origin.record(err, now, draw)
	}
	if k := l.open(url); k != nil {
		k.probed = never
	}
	for _, t := range slices.Concat(l.callers, l.background) {
		if l.open(t.url) != nil {
			t.delayed()
		}
	}
	l.advance() // an outage may have ended for some of them
}

// recordURL takes in a failure that is an answer. l.mu is held.
func (l *limiter) recordURL(url, profile string, err error, now clock.Instant, draw float64) {
	k := l.urls[url]
	if k == nil {
		k = &breaker{origin: url, ofURL: true, first: profile, probed: never}
		l.urls[url] = k
	}
	k.several = k.several || k.first != profile
	k.gentle = l.origin.gentle
	k.record(err, now, draw)
}

// outage returns the outage that a failure of a URL is part of, or nil, and in how long the server is asked again.
func (l *limiter) outage(url string, err error) (*Outage, time.Duration) {
	if _, ok := errors.AsType[*grant.Error](err); !ok {
		return nil, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.open(url)
	if k == nil {
		return nil, 0
	}
	return k.outage(), max(k.probe-l.now().Boot, time.Second)
}

// forgetOutages forgets what is known of the servers: the machine has slept, or reaches them in another way now.
func (l *limiter) forgetOutages() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Boot
	l.origin.reset(now)
	for url, k := range l.urls {
		if k.isOpen {
			l.origin.gentle = now + gentleFor
		}
		delete(l.urls, url)
	}
	l.advance()
}

// limiter returns the one of an origin. Each origin that any profile has had keeps its own.
func (b *Broker) limiter(origin string) *limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.limiters[origin]
	if l == nil {
		l = newLimiter(origin, b.now, func() float64 { return b.Draw() })
		b.limiters[origin] = l
	}
	return l
}
