package broker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

func TestWhatBeginsAndEndsAnOutage(t *testing.T) {
	down := refusal(grant.Transient, "")
	for _, c := range []struct {
		name    string
		results []error
		every   time.Duration
		want    bool
	}{
		{"five in ten seconds", []error{down, down, down, down, down}, 2500 * time.Millisecond, true},
		{"five in nine", []error{down, down, down, down, down}, 2250 * time.Millisecond, false},
		{"four in an hour", []error{down, down, down, down}, 20 * time.Minute, false},
		{
			"of several kinds",
			[]error{
				down, refusal(grant.Malformed, ""), refusal(grant.Ambiguous, ""), refusal(grant.TransientSlow, ""),
				down,
			},
			3 * time.Second, true,
		},
		{"a success in between", []error{down, down, down, nil, down, down}, time.Minute, false},
		{"a refusal in between", []error{down, down, down, refused, down, down}, time.Minute, false},
		{
			"an unknown code in between",
			[]error{down, down, down, &grant.Error{Class: grant.TransientSlow, Status: 400, Code: "full_moon"}, down},
			time.Minute, false,
		},
		{"refusals only", []error{refused, refused, refused, refused, refused, refused}, time.Minute, false},
		{"a locked keychain in between", []error{down, down, keystore.ErrLocked, down, down, down}, time.Minute, true},
		{
			"a locked keychain only",
			[]error{keystore.ErrLocked, keystore.ErrLocked, keystore.ErrLocked, keystore.ErrLocked, keystore.ErrLocked},
			time.Minute, false,
		},
		{
			"what was never sent",
			[]error{
				refusal(grant.Misconfigured, ""), refusal(grant.Misconfigured, ""), refusal(grant.Misconfigured, ""),
				refusal(grant.Misconfigured, ""), refusal(grant.Misconfigured, ""),
			},
			time.Minute, false,
		},
	} {
		k := breaker{origin: "https://auth.example.org"}
		now := clock.Instant{Wall: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Boot: time.Hour}
		for _, err := range c.results {
			k.record(err, now, 0.5)
			now.Boot += c.every
		}
		if k.isOpen != c.want || (k.outage() != nil) != c.want {
			t.Errorf("%s: an outage: %v", c.name, k.isOpen)
		}
		if !c.want {
			continue
		}
		if text := k.outage().Error(); !strings.Contains(text,
			"https://auth.example.org has failed every request since 2026-01-02 03:04:05") {
			t.Errorf("%s: %s", c.name, text)
		}
		k.record(refused, now, 0.5)
		if k.isOpen || k.gentle != now.Boot+gentleFor {
			t.Errorf("%s: a refusal does not end it", c.name)
		}
	}
}

// refused is a refusal by the server itself.
var refused = &grant.Error{Class: grant.Refused, Status: 400, Code: "invalid_grant"}

var unreachable = &grant.Error{
	Class: grant.Transient, Where: "auth.example.org", Reason: "cannot be reached: connection refused",
	Err: syscall.ECONNREFUSED,
}

// callers ask for a token of each profile in turn until stop is called. longest is the longest wait of any of them, in
// ns.
func (w *env) callers(t *testing.T, b *Broker, profiles []string, every time.Duration) (longest *atomic.Int64,
	stop func()) {
	longest = new(atomic.Int64)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, name := range profiles {
		all.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				_, err := b.Token(ctx, Query{Profile: name, MinTTL: Unset})
				waited := int64(time.Since(asked))
				for was := longest.Load(); waited > was && !longest.CompareAndSwap(was, waited); was = longest.Load() {
				}
				if u, ok := errors.AsType[*Unavailable](err); err != nil && (!ok || u.RetryAfter <= 0) &&
					ctx.Err() == nil {
					t.Errorf("got %v", err)
				}
				time.Sleep(every)
			}
		})
	}
	return longest, func() { cancel(); all.Wait() }
}

func TestInAnOutageOneRequestIsMadeInHalfAMinute(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		const profiles = 40
		sources := named(profiles, w)
		b.Put(sources)
		var names []string
		for name := range sources {
			names = append(names, name)
		}
		w.latency = 10 * time.Millisecond
		w.refuse(always(unreachable))
		longest, stop := w.callers(t, b, names, 3*time.Second)
		defer stop()
		time.Sleep(time.Minute) // by then it is known
		began, before := time.Now(), w.count()
		longest.Store(0)
		time.Sleep(time.Hour)
		if n, most := w.count()-before, int(time.Hour/(24*time.Second))+1; n > most || n < 3600/36-1 {
			t.Errorf("%d requests in an hour, want one in 24 to 36 s", n)
		}
		for i := before + 1; i < w.count(); i++ {
			if gap := w.call(i) - w.call(i-1); gap < probeEvery*4/5 {
				t.Errorf("asked again after %s", gap)
			}
		}
		if waited := time.Duration(longest.Load()); waited > 100*time.Millisecond {
			t.Errorf("a caller waited %s", waited)
		}
		_, err := b.Token(t.Context(), Query{Profile: names[0], MinTTL: Unset})
		u := wantUnavailable(t, err)
		outage, ok := errors.AsType[*Outage](err)
		if !ok || outage.Origin != w.Origin() || outage.Since.After(began) || u.RetryAfter <= 0 ||
			u.RetryAfter > probeEvery*6/5 {
			t.Errorf("got %v, retry after %s", err, u.RetryAfter)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("the cause is not in %v", err)
		}
		if st, _ := b.Status(names[0]); st.Err == nil || st.RetryIn <= 0 {
			t.Errorf("the status says %v, %s", st.Err, st.RetryIn)
		}

		w.refuse(nil) // the server is back
		before = w.count()
		time.Sleep(probeEvery*6/5 + profiles/gentlePerSecond*time.Second + time.Second)
		if n := w.count() - before; n != profiles {
			t.Errorf("%d requests when the server was back, want one a profile", n)
		}
		if n := w.inOneSecond(before); n > gentlePerSecond {
			t.Errorf("%d requests in one second when the server was back", n)
		}
		for _, name := range names {
			if _, ok := b.Cached(Query{Profile: name, MinTTL: Unset}); !ok {
				t.Errorf("%s has no token", name)
			}
		}
	})
}

func TestAnOutageTakesNoValidTokenAway(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Put(named(20, w))
		first := mustGet(t, b, Unset)
		w.refuse(always(unreachable))
		for name := range named(20, w) {
			go b.Token(t.Context(), Query{Profile: name, MinTTL: Unset})
		}
		for w.now().Boot-w.call(0) < life-6*time.Second {
			asked := time.Now()
			if got := mustGet(t, b, Unset); got != first || time.Since(asked) > w.latency {
				t.Fatalf("got %s after %s", got, time.Since(asked))
			}
			time.Sleep(5 * time.Second)
		}
		time.Sleep(6 * time.Second)
		_, err := get(t, b, Unset)
		wantUnavailable(t, err)
	})
}

// down lets the server fail until an outage is open.
func down(t *testing.T, w *env, b *Broker, err error) {
	t.Helper()
	w.refuse(always(err))
	for range 60 {
		get(t, b, Unset)
		time.Sleep(time.Second)
	}
	_, err = get(t, b, Unset)
	if _, ok := errors.AsType[*Outage](err); !ok {
		t.Fatalf("no outage: %v", err)
	}
}

func TestAPersonGoesThroughAsTheProbe(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		down(t, w, b, unreachable)
		before, began := w.count(), time.Now()
		_, err := b.Verify(t.Context(), "p")
		wantUnavailable(t, err)
		if n := w.count() - before; n != 1 || time.Since(began) > 2*w.latency {
			t.Errorf("%d requests after %s", n, time.Since(began))
		}
		w.refuse(nil)
		if _, err := b.Verify(t.Context(), "p"); err != nil {
			t.Errorf("the server is back: %v", err)
		}
		mustGet(t, b, Unset)
	})
}

// A server that has stopped answering costs the callers of the profile that probes it a second, not a request's
// fifteen.
func TestNobodyWaitsForAProbeThatHangs(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Put(named(5, w))
		w.latency = 10 * time.Second
		w.refuse(always(&grant.Error{Class: grant.Ambiguous}))
		longest, stop := w.callers(t, b, []string{"p", "q0", "q1", "q2", "q3", "q4"}, 500*time.Millisecond)
		defer stop()
		time.Sleep(2 * time.Minute)
		longest.Store(0)
		time.Sleep(10 * time.Minute)
		if waited := time.Duration(longest.Load()); waited > probeWait+100*time.Millisecond {
			t.Errorf("a caller waited %s", waited)
		}
	})
}

// The one quick retry of a lost answer leaves in an outage too: a refresh token's grace does not last.
func TestALostAnswerIsRetriedInAnOutageToo(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(unreachable))
		for name := range named(10, w) {
			b.Put(map[string]Source{name: w})
			go b.Token(t.Context(), Query{Profile: name, MinTTL: Unset})
		}
		time.Sleep(time.Minute)
		other := newEnv()
		other.start = w.start
		other.refuse(always(&grant.Error{Class: grant.Ambiguous, RotationLost: true}))
		b.Put(map[string]Source{"p": other})
		go b.Verify(t.Context(), "p")
		time.Sleep(10 * time.Second)
		if other.count() != 2 {
			t.Fatalf("%d requests, want one and its retry", other.count())
		}
		if gap := other.call(1) - other.call(0) - other.latency; gap > 5*time.Second {
			t.Errorf("retried after %s", gap)
		}
	})
}

// E16: the server is up again after ten minutes.
func TestE16ANetworkThatComesBackIsUsedSoon(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(unreachable))
		for range 10 * 60 {
			_, err := get(t, b, Unset)
			wantUnavailable(t, err)
			time.Sleep(time.Second)
		}
		w.refuse(nil)
		back := time.Now()
		for {
			if _, err := get(t, b, Unset); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(back); took > probeEvery*6/5+2*time.Second {
			t.Errorf("a token %s after the network was back", took)
		}
	})
}

func TestASuspendEndsAnOutage(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Put(named(10, w))
		for name := range named(10, w) {
			go b.Token(t.Context(), Query{Profile: name, MinTTL: Unset})
		}
		down(t, w, b, unreachable)
		w.refuse(nil)
		w.boot.Add(int64(8 * time.Hour))
		began := time.Now()
		mustGet(t, b, Unset) // before anybody has noticed
		if waited := time.Since(began); waited > 2*w.latency {
			t.Errorf("waited %s after a resume", waited)
		}
		synctest.Wait()
	})
}

// endpoint is one path of the origin, which fails or answers independently of the others.
type endpoint struct {
	*env
	at     string
	broken *atomic.Bool
	asked  *atomic.Int64
}

func (e endpoint) URL() string { return e.Origin() + e.at }

func (e endpoint) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	e.asked.Add(1)
	if e.broken.Load() {
		return grant.Token{}, &grant.Error{
			Class: grant.Transient, Where: "auth.example.org", Status: 503, Reason: "is not available",
		}
	}
	return e.env.Obtain(ctx, r, need)
}

// A path that answers every profile with a failure is asked once in half a minute; another path of the same origin, and
// a single profile's own failures, are no outage. What the outage says is about that path.
func TestC53OnePathOfAnOriginFails(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		at := func(where string) endpoint {
			return endpoint{w, where, new(atomic.Bool), new(atomic.Int64)}
		}
		a, well, single := at("/a/token"), at("/b/token"), at("/c/token")
		b.Put(map[string]Source{"a0": a, "a1": a, "a2": a, "b": well, "c": single})
		a.broken.Store(true)
		single.broken.Store(true)
		_, stop := w.callers(t, b, []string{"a0", "a1", "a2", "c"}, time.Second)
		defer stop()
		time.Sleep(5 * time.Minute)
		_, err := b.Token(t.Context(), Query{Profile: "a0", MinTTL: Unset})
		if outage, ok := errors.AsType[*Outage](err); !ok || outage.Origin != a.URL() {
			t.Errorf("of the path that fails: %v", err)
		}
		if _, err := b.Token(t.Context(), Query{Profile: "c", MinTTL: Unset}); err == nil {
			t.Error("a path that fails gave a token")
		} else if _, ok := errors.AsType[*Outage](err); ok {
			t.Errorf("one profile's failures are taken for an outage: %v", err)
		}
		before := a.asked.Load()
		asked := time.Now()
		if _, err := b.Token(t.Context(), Query{Profile: "b", MinTTL: Unset}); err != nil ||
			time.Since(asked) > time.Second {
			t.Errorf("the path that is well: %v after %s", err, time.Since(asked))
		}
		time.Sleep(10 * time.Minute)
		if n := a.asked.Load() - before; n > int64(10*time.Minute/(24*time.Second))+1 {
			t.Errorf("the path that fails was asked %d times in ten minutes", n)
		}
		a.broken.Store(false)
		time.Sleep(probeEvery*6/5 + 5*time.Second)
		for _, name := range []string{"a0", "a1", "a2"} {
			if _, ok := b.Cached(Query{Profile: name, MinTTL: Unset}); !ok {
				t.Errorf("%s has no token though its path is well again", name)
			}
		}
	})
}
