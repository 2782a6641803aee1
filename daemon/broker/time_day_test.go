package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// brief is a lifetime of which there are 1,440 in a day, if each is lived to its end.
const brief = time.Minute

// drawn is a source of numbers that remembers them.
type drawn struct {
	mu  sync.Mutex
	rng *rand.Rand
	all []float64
}

func (d *drawn) draw() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.rng.Float64()
	d.all = append(d.all, n)
	return n
}

// watched is a provider that looks, when it is asked for the next token, what the plan was for the last one.
type watched struct {
	*world
	b     *Broker
	early []time.Duration // by how much a request came before the point that was drawn
}

func (s *watched) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	own, _ := s.b.slot("p")
	if h := own.lookup(key{}).cached.Load(); h != nil && s.now().Boot < h.renew {
		s.early = append(s.early, h.renew-s.now().Boot)
	}
	return s.world.Obtain(ctx, r, need)
}

// expired reports whether a token has expired by the record of the provider that gave it.
func (w *world) expired(token grant.Token, now clock.Instant) bool {
	n := 0
	for _, c := range token.Access.Reveal()[len("token-"):] {
		n = 10*n + int(c-'0')
	}
	return now.Boot >= w.call(n-1)+w.life
}

// crowd is clients who ask at random intervals until a moment of boot time.
func crowd(t *testing.T, w *world, b *Broker, seed uint64, until time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range uint64(100) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, i))
			for {
				time.Sleep(time.Duration(rng.Int64N(int64(4 * time.Minute))))
				if w.now().Boot >= until {
					return
				}
				minTTL := Unset
				if rng.IntN(3) == 0 { // a promise that the plan keeps by itself
					minTTL = time.Duration(rng.Int64N(int64(brief / 4)))
				}
				token, err := get(t, b, minTTL)
				if err != nil {
					t.Error(err)
					return
				}
				now := w.now()
				if left := token.Remaining(now); w.expired(token, now) || left < max(minTTL, lastServed(brief)) {
					t.Errorf("%s left, asked for %s", left, minTTL)
				}
			}
		})
	}
	wg.Wait()
}

// Every request of the day is where the plan drew it: the times are computed here once more, from the numbers alone.
func TestADayOf60SecondTokensUnderAHundredClients(t *testing.T) {
	in(t, func(t *testing.T, w *world, b *Broker) {
		w.life = brief
		numbers := &drawn{rng: rand.New(rand.NewPCG(1, 2))}
		b.Draw = numbers.draw
		end := w.now().Boot + 24*time.Hour
		crowd(t, w, b, 3, end)
		synctest.Wait()
		all, lifetimes := numbers.all, 1
		for ; len(all) > 0 && lifetimes < w.count(); all = all[1:] { // not every number is a lifetime
			if w.call(lifetimes) == w.call(lifetimes-1)+time.Duration((0.60+0.15*all[0])*float64(brief)) {
				lifetimes++
			}
		}
		if w.count() != lifetimes {
			t.Errorf("request %d of %d came %s after the one before, which was drawn for no lifetime",
				lifetimes+1, w.count(), w.call(lifetimes)-w.call(lifetimes-1))
		}
		if first, last := w.call(0), w.call(w.count()-1); last-first < 24*time.Hour-3*brief {
			t.Errorf("the requests end at %s of %s", last, end)
		}
	})
}

// With a machine that sleeps now and then and whose clock is set: no token is younger than it should be, none is
// renewed before the point that was drawn for it.
func TestADayOf60SecondTokensWithSuspendsAndSetClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.life = brief
		s := &watched{world: w}
		s.b = New(w.now)
		s.b.Put(map[string]Source{"p": s})
		end := w.now().Boot + 24*time.Hour
		go func() {
			rng := rand.New(rand.NewPCG(4, 5))
			for w.now().Boot < end {
				time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Minute))))
				d := time.Duration(rng.Int64N(int64(40 * time.Minute)))
				if rng.IntN(2) == 0 {
					d = time.Duration(rng.Int64N(int64(brief)))
				}
				w.boot.Add(int64(d))
				steps := []time.Duration{-2 * time.Hour, time.Hour, 10 * 365 * 24 * time.Hour, -30 * 365 * 24 * time.Hour}
				w.wall.Add(int64(steps[rng.IntN(len(steps))]))
			}
		}()
		crowd(t, w, s.b, 6, end)
		if err := s.b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(s.early) > 0 {
			t.Errorf("%d requests before the point that was drawn, the first by %s", len(s.early), s.early[0])
		}
		slept := time.Duration(w.boot.Load())
		awake := 24*time.Hour - slept
		if n := w.count(); n < int(awake/brief) || slept < time.Hour {
			t.Errorf("%d requests, %s asleep", n, slept)
		}
		time.Sleep(time.Hour) // the sleeper finds that the day is over
	})
}
