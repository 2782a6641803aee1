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

// budget spaces the requests to one origin. Attempts take turns: those that callers wait for before the others, and each
// kind in the order of its coming; in an outage one comes now and then, and what is urgent at once. Nobody blocks on
// it: a turn that comes runs in a goroutine of its own, and one that has not come yet costs none. It is safe for concurrent
// use; the queues are bounded by the number of profiles, each of which has one turn at most.
type budget struct {
	now  clock.Func
	draw func() float64

	mu sync.Mutex
	breaker
	begun      [perSecond]time.Duration // boot times of the last requests, a ring
	oldest     int                      // where the oldest of them stands
	running    int
	callers    []*turn
	background []*turn
	timer      *time.Timer // set where only time lets the next turn come
}

// turn is one attempt's place in the queues of a budget.
type turn struct {
	budget *budget
	run    func()
	// broken is called while an outage keeps the turn from coming, at its beginning and after each probe. It must not block.
	broken func()
	urgent bool          // an outage does not keep it: a person wants to know, or a refresh token's grace runs out
	came   time.Duration // boot time at which it came, never before
}

func newBudget(origin string, now clock.Func, draw func() float64) *budget {
	b := &budget{now: now, draw: draw, breaker: breaker{origin: origin, probed: never}}
	for i := range b.begun {
		b.begun[i] = never
	}
	return b
}

// enter lets t.run be called when its turn comes: at once where the budget allows.
func (b *budget) enter(t *turn, caller bool) *turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.budget, t.came = b, never
	if caller {
		b.callers = append(b.callers, t)
	} else {
		b.background = append(b.background, t)
	}
	b.advance()
	return t
}

// hurry puts a turn that has not come yet among those that callers wait for, and makes it urgent where a person does.
func (t *turn) hurry(person bool) {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.urgent = t.urgent || person
	if leave(&b.background, t) {
		b.callers = append(b.callers, t)
	}
	b.advance()
}

// withdraw gives a turn up and reports whether it had not come yet.
func (t *turn) withdraw() bool {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return leave(&b.background, t) || leave(&b.callers, t)
}

func leave(queue *[]*turn, t *turn) bool {
	i := slices.Index(*queue, t)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
	return i >= 0
}

// outage returns why waiting for the turn helps nobody, and in how long it may be different; nil where it does help.
func (t *turn) outage() (*Outage, time.Duration) {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Boot
	if now < max(t.came, b.probed)+probeWait { // also where another profile's is the probe
		return nil, 0
	}
	return b.breaker.outage(), max(b.probe-now, time.Second)
}

// advance lets every turn come that may. b.mu is held.
func (b *budget) advance() {
	for b.running < atOnce {
		now := b.now().Boot
		queue, i, wait := b.next(now)
		if queue == nil {
			return
		}
		if wait = max(wait, b.spaced(now)); wait > 0 {
			b.later(wait)
			return
		}
		t := (*queue)[i]
		*queue = slices.Delete(*queue, i, i+1)
		t.came = now
		b.begun[b.oldest] = now
		b.oldest = (b.oldest + 1) % perSecond
		b.running++
		if b.open {
			b.probed = now
			b.probes(now, b.draw())
		}
		go func() {
			t.run()
			b.end()
		}()
	}
}

// next finds the turn that comes next, and how long an outage puts it off; queue is nil where nobody waits.
func (b *budget) next(now time.Duration) (queue *[]*turn, i int, wait time.Duration) {
	switch {
	case len(b.callers) > 0:
		queue = &b.callers
	case len(b.background) > 0:
		queue = &b.background
	default:
		return nil, 0, 0
	}
	if !b.open || now >= b.probe {
		return queue, 0, 0
	}
	for _, queue := range []*[]*turn{&b.callers, &b.background} {
		if i := slices.IndexFunc(*queue, func(t *turn) bool { return t.urgent }); i >= 0 {
			return queue, i, 0
		}
	}
	return queue, 0, b.probe - now
}

// spaced is how long it takes until another request may begin.
func (b *budget) spaced(now time.Duration) time.Duration {
	most := perSecond
	if now < b.gentle {
		most = gentlePerSecond
	}
	return b.begun[(b.oldest+perSecond-most)%perSecond] + time.Second - now
}

// later looks again after a while. The timer does not count suspend; [budget.rested] does.
func (b *budget) later(wait time.Duration) {
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

func (b *budget) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.advance()
}

// heard takes in how a request ended. Whoever waits for a turn that an outage puts off looks again.
func (b *budget) heard(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.breaker.heard(err, b.now(), b.draw())
	if b.open {
		b.probed = never
		for _, t := range slices.Concat(b.callers, b.background) {
			t.broken()
		}
	}
}

// fails returns the outage that a failure is part of, if it is part of one, and in how long the server is asked again.
func (b *budget) fails(err error) (*Outage, time.Duration) {
	if _, ok := errors.AsType[*grant.Error](err); !ok {
		return nil, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.breaker.outage(), max(b.probe-b.now().Boot, time.Second)
}

// rested is for a machine that has slept.
func (b *budget) rested() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.breaker.rested(b.now().Boot)
	b.advance()
}

// budget returns that of an origin. One is kept for each origin that any profile has had.
func (b *Broker) budget(origin string) *budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.budgets[origin]
	if f == nil {
		f = newBudget(origin, b.now, func() float64 { return b.draw() })
		b.budgets[origin] = f
	}
	return f
}
