package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// crowded is a provider that counts the requests under way.
type crowded struct {
	*env
	busy, most atomic.Int64
}

func (c *crowded) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	n := c.busy.Add(1)
	defer c.busy.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return c.env.Obtain(ctx, r, need)
}

// named returns n profiles that have the same source.
func named(n int, source Source) map[string]Source {
	all := map[string]Source{}
	for i := range n {
		all[fmt.Sprintf("q%d", i)] = source
	}
	return all
}

// inOneSecond is the greatest number of requests that began in any one second.
func (w *env) inOneSecond(from int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, most := slices.Clone(w.calls[from:]), 0
	slices.Sort(calls)
	for i, first := 0, 0; i < len(calls); i++ {
		for calls[first] <= calls[i]-time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// fresh installs a first token for each profile, as sign-ins do.
func fresh(w *env, b *Broker, sources map[string]Source) {
	for name, source := range sources {
		b.Install(name, source,
			grant.Token{Access: keystore.SecretString("first-" + name), Type: "Bearer", Sent: w.now(), Lifetime: life})
	}
	synctest.Wait() // for the resume watch too
}

func TestAResumeIsNoStorm(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		const profiles = 2000
		fresh(w, b, named(profiles, w))
		w.boot.Add(int64(10 * time.Minute)) // past most renewal points; every token still good for four minutes
		time.Sleep(suspendPoll + resumeSpread)
		began := time.Now()
		for i := range 20 { // callers overtake the hundreds that wait
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			token, err := b.Token(ctx, Query{Profile: fmt.Sprintf("q%d", i), MinTTL: 5 * time.Minute})
			cancel()
			if err != nil || token.Remaining(w.now()) < 5*time.Minute {
				t.Fatalf("caller %d: %v", i, err)
			}
		}
		if waited := time.Since(began); waited > 30*time.Second {
			t.Errorf("20 callers, one after the other, waited %s", waited)
		}
		time.Sleep(profiles / maxPerSecond * time.Second)
		synctest.Wait()
		if n := w.count(); n < profiles*95/100 {
			t.Errorf("%d of %d profiles were renewed", n, profiles)
		}
		if n := w.inOneSecond(0); n > maxPerSecond {
			t.Errorf("%d requests in one second", n)
		}
	})
}

func TestBackgroundRenewalsAreSpreadAfterAResume(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		fresh(w, b, named(100, w))
		w.boot.Add(int64(11 * time.Minute))
		time.Sleep(2*suspendPoll + resumeSpread)
		synctest.Wait()
		if n := w.count(); n != 100 {
			t.Fatalf("%d of 100 profiles were renewed", n)
		}
		if over := w.call(99) - w.call(0); over < resumeSpread/2 {
			t.Errorf("all within %s", over)
		}
	})
}

func TestTheEndpointsBudget(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		c := &crowded{env: w}
		sources := named(100, c)
		b.Put(sources)
		var wg sync.WaitGroup
		ask := func() {
			for name := range sources {
				wg.Go(func() {
					if _, err := b.Token(t.Context(), Query{Profile: name, MinTTL: Unset}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		w.latency = 4 * time.Second
		ask()
		if n := c.most.Load(); n != maxAtOnce {
			t.Errorf("%d requests at once, want %d", n, maxAtOnce)
		}
		w.latency = 0
		b.Put(sources) // forget the tokens
		before, began := w.count(), time.Now()
		ask()
		if n := w.inOneSecond(before); n != maxPerSecond {
			t.Errorf("%d requests in one second, want %d", n, maxPerSecond)
		}
		if took := time.Since(began); took > 100/maxPerSecond*time.Second {
			t.Errorf("100 requests took %s: the limit was not used up", took)
		}
		if n := w.count() - before; n != 100 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestScopesInTurnCannotFloodTheProvider(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 0
		for i := range 400 { // more scopes than are kept
			_, err := b.Token(t.Context(), Query{Profile: "p", Scope: fmt.Sprintf("s%d", i%40), MinTTL: Unset})
			if err != nil && !errors.Is(err, ErrOften) {
				t.Error(err)
			}
		}
		if n := w.inOneSecond(0); n > maxPerSecond {
			t.Errorf("%d requests in one second", n)
		}
	})
}

func TestAnotherServerHasABudgetOfItsOwn(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = time.Hour
		for name := range named(2*maxAtOnce, w) {
			b.Put(map[string]Source{name: w})
			go b.Token(t.Context(), Query{Profile: name, MinTTL: Unset})
		}
		synctest.Wait()
		other := elsewhere{newEnv()}
		other.start = w.start
		b.Put(map[string]Source{"other": other})
		began := time.Now()
		if _, err := b.Token(t.Context(), Query{Profile: "other", MinTTL: Unset}); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("waited %s behind another server's requests", waited)
		}
	})
}

type elsewhere struct{ *env }

func (elsewhere) URL() string { return "https://elsewhere.example.org/token" }

func (elsewhere) Origin() string { return "https://elsewhere.example.org" }

// full runs a test with a broker whose limiter is full of requests that take a minute each.
func full(t *testing.T, test func(t *testing.T, w *env, b *Broker)) {
	t.Helper()
	in(t, func(t *testing.T, w *env, b *Broker) {
		fresh(w, b, map[string]Source{"p": w})
		slow := newEnv()
		slow.start, slow.latency = w.start, time.Minute
		b.Put(named(maxAtOnce, slow))
		for name := range named(maxAtOnce, slow) {
			go b.Token(t.Context(), Query{Profile: name, MinTTL: Unset})
		}
		synctest.Wait()
		test(t, w, b)
	})
}

func TestAQueuedRequestIsGivenUpByAPause(t *testing.T) {
	full(t, func(t *testing.T, w *env, b *Broker) {
		got := make(chan error)
		go func() {
			_, err := b.Verify(t.Context(), "p")
			got <- err
		}()
		synctest.Wait()
		began := time.Now()
		resume := mustPause(t, b)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s for a request that had not been sent", waited)
		}
		time.Sleep(2 * time.Minute)
		if w.count() != 0 {
			t.Errorf("%d requests in a pause", w.count())
		}
		resume()
		if err := <-got; err != nil || w.count() != 1 {
			t.Errorf("who waited got %v after %d requests", err, w.count())
		}
	})
}

func TestAQueuedRequestIsNotMadeWithACredentialThatWasReplaced(t *testing.T) {
	full(t, func(t *testing.T, w *env, b *Broker) {
		got := make(chan error)
		go func() {
			_, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset, Audience: "a"})
			got <- err
		}()
		synctest.Wait()
		other := newEnv()
		other.start = w.start
		b.Put(map[string]Source{"p": other})
		if err := <-got; err != nil {
			t.Error(err)
		}
		if w.count() != 0 || other.count() != 1 {
			t.Errorf("%d requests with the old credential, %d with the new one", w.count(), other.count())
		}
	})
}

func TestRemoveDoesNotWaitForAQueuedRequest(t *testing.T) {
	full(t, func(t *testing.T, w *env, b *Broker) {
		go b.Verify(t.Context(), "p")
		synctest.Wait()
		began := time.Now()
		b.Remove(t.Context(), "p")
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestTurnsComeToCallersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLimiter("https://auth.example.org", newEnv().now, rand.Float64)
		came, release := make(chan int, maxAtOnce), make(chan bool)
		enter := func(n int, caller bool) *ticket {
			return f.enter(&ticket{run: func() { came <- n; <-release }}, caller)
		}
		for range maxAtOnce {
			enter(0, false)
		}
		for range maxAtOnce {
			<-came
		}
		time.Sleep(time.Second)
		first, second, third := enter(1, false), enter(2, false), enter(3, false)
		enter(4, true)
		third.prioritize(false) // a caller has joined it
		if !first.withdraw() || first.withdraw() {
			t.Error("a turn can be given up once")
		}
		var order []int
		for range 3 {
			release <- true
			order = append(order, <-came)
		}
		if !slices.Equal(order, []int{4, 3, 2}) {
			t.Errorf("the turns came as %v", order)
		}
		second.prioritize(false) // nothing happens
		if second.withdraw() {
			t.Error("a turn that had come was given up")
		}
		close(release)
	})
}
