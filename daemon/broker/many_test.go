package broker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Profiles that all got their token at one moment drift apart: no second has more than five times the mean of renewals.
func TestNoSecondHasManyRenewals(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		const profiles, watched = 2000, 50 * time.Minute
		c := &crowded{env: w}
		w.life = 20 * time.Minute
		hold(t, w, b, named(profiles, c))
		time.Sleep(watched)
		synctest.Wait()
		if n := w.count(); n < 3*profiles {
			t.Fatalf("%d renewals of %d profiles", n, profiles)
		}
		mean := float64(w.count()) / watched.Seconds()
		if peak := w.inOneSecond(0); float64(peak) > 5*mean {
			t.Errorf("%d renewals in one second, and %.1f on average", peak, mean)
		}
	})
}

// A profile that rests has no goroutine, however many there are; one that is used has its token from the first request.
func TestARestingProfileHasNoGoroutine(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		const profiles = 500
		hold(t, w, b, named(profiles, &crowded{env: w}))
		for name := range named(profiles, nil) {
			s, _ := b.slot(name)
			s.posting.Lock()
			if s.awake || len(s.inbox) > 0 || s.timer == nil {
				t.Errorf("%s: awake %v, %d to do", name, s.awake, len(s.inbox))
			}
			s.posting.Unlock()
		}
		for i := range profiles {
			if _, ok := b.Cached(Query{Profile: fmt.Sprintf("q%d", i), MinTTL: Unset}); !ok {
				t.Fatalf("profile %d has no token", i)
			}
		}
		if n := w.count(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// slowServer takes six seconds for an answer, and is another origin.
type slowServer struct{ *env }

func (slowServer) Origin() string { return "https://slow.example.org" }
func (slowServer) URL() string    { return "https://slow.example.org/token" }

// While a server takes six seconds and a crowd waits for it, the callers of another server are all answered, with a
// request each.
func TestASlowServerDelaysNobodyElse(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		slow := newEnv()
		slow.latency = 6 * time.Second
		b.Put(map[string]Source{"slow": slowServer{slow}})
		var answered atomic.Int32
		for range 100 {
			go func() {
				b.Token(t.Context(), Query{Profile: "slow", MinTTL: Unset})
				answered.Add(1)
			}()
		}
		const others = 10
		c := &crowded{env: w}
		b.Put(named(others, c))
		for name := range named(others, c) {
			if _, err := b.Token(t.Context(), Query{Profile: name, MinTTL: Unset}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := answered.Load(); n != 0 || w.count() != others || slow.count() != 1 {
			t.Errorf("%d of the slow server's callers were answered before; %d and %d requests", n, w.count(), slow.count())
		}
		time.Sleep(slow.latency)
		synctest.Wait()
		if n := answered.Load(); n != 100 || slow.count() != 1 {
			t.Errorf("%d of 100 were answered, after %d requests", n, slow.count())
		}
	})
}
