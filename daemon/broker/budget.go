package broker

import (
	"slices"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// What the token endpoints of one origin are asked at most, by however many profiles.
const (
	atOnce    = 8  // requests under way
	perSecond = 10 // requests begun in any one second
)

// budget spaces the requests to one origin. Attempts take turns: those that callers wait for before the others, and each
// kind in the order of its coming. Nobody blocks on it: a turn that comes runs in a goroutine of its own, and one that
// has not come yet costs none. It is safe for concurrent use; the queues are bounded by the number of profiles, each of
// which has one turn at most. Here is also the place for what is known of a server that fails all its profiles.
type budget struct {
	now clock.Func

	mu         sync.Mutex
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
}

func newBudget(now clock.Func) *budget {
	b := &budget{now: now}
	for i := range b.begun {
		b.begun[i] = never
	}
	return b
}

// enter lets run be called when its turn comes: at once where the budget allows.
func (b *budget) enter(caller bool, run func()) *turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &turn{budget: b, run: run}
	if caller {
		b.callers = append(b.callers, t)
	} else {
		b.background = append(b.background, t)
	}
	b.advance()
	return t
}

// hurry puts a turn that has not come yet among those that callers wait for.
func (t *turn) hurry() {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if leave(&b.background, t) {
		b.callers = append(b.callers, t)
	}
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

// advance lets every turn come that may. b.mu is held.
func (b *budget) advance() {
	for b.running < atOnce {
		queue := &b.callers
		if len(*queue) == 0 {
			queue = &b.background
		}
		if len(*queue) == 0 {
			return
		}
		now := b.now().Boot
		if wait := b.begun[b.oldest] + time.Second - now; wait > 0 {
			b.later(wait)
			return
		}
		t := (*queue)[0]
		(*queue)[0] = nil
		*queue = (*queue)[1:]
		b.begun[b.oldest] = now
		b.oldest = (b.oldest + 1) % perSecond
		b.running++
		go func() {
			t.run()
			b.end()
		}()
	}
}

// later looks again after a while.
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

// budget returns that of an origin. One is kept for each origin that any profile has had.
func (b *Broker) budget(origin string) *budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.budgets[origin]
	if f == nil {
		f = newBudget(b.now)
		b.budgets[origin] = f
	}
	return f
}
