package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// life is how long SpatiaFi's 900 s token is good for by its own expires_in.
const life = 839 * time.Second

// recorded keeps what a [Recorder] was told last.
type recorded struct {
	mu  sync.Mutex
	all Remembered
}

func (r *recorded) record(_ string, all Remembered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = all
}

// last returns it, once nothing is half-way.
func (r *recorded) last() Remembered {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// env is a provider and a machine: the provider answers after latency, the machine may sleep (boot) or have its clock
// set (wall).
type env struct {
	start   time.Time
	boot    atomic.Int64 // added to boot time and wall time by a suspend
	wall    atomic.Int64 // added to wall time by a set clock
	life    time.Duration
	latency time.Duration

	mu    sync.Mutex
	calls []time.Duration // boot time of each request
	asked []grant.Request
	// answer may refuse the n-th request, counted from 1.
	answer func(n int) error
	// refreshed marks the tokens as a session's; ends is what the configuration says of the server.
	refreshed bool
	ends      *bool
	narrows   *bool
	rules     SessionRules
	// same makes the provider answer with the same token each time.
	same bool
}

func newEnv() *env {
	return &env{start: time.Now(), life: life, latency: 300 * time.Millisecond}
}

func (w *env) now() clock.Instant {
	slept := time.Duration(w.boot.Load())
	return clock.Instant{
		Wall: time.Now().Add(slept + time.Duration(w.wall.Load())),
		Boot: time.Since(w.start) + time.Hour + slept,
	}
}

func (w *env) Request(scope, audience string) grant.Request {
	r := grant.Request{Audience: audience}
	if scope != "" {
		r.Scope = []string{scope}
	}
	return r
}

func (w *env) Obtain(ctx context.Context, r grant.Request, _ Need) (grant.Token, error) {
	sent := w.now()
	w.mu.Lock()
	w.calls = append(w.calls, sent.Boot)
	w.asked = append(w.asked, r)
	n, answer, same := len(w.calls), w.answer, w.same
	w.mu.Unlock()
	time.Sleep(w.latency)
	if answer != nil {
		if err := answer(n); err != nil {
			return grant.Token{}, err
		}
	}
	text := fmt.Sprintf("token-%d", n)
	if same {
		text = "token-same"
	}
	return grant.Token{
		Access: keystore.SecretString(text), Type: "Bearer", Sent: sent, Lifetime: w.life, Refreshed: w.refreshed,
	}, nil
}

func (w *env) EndsTokens() (ends, known bool) { return w.ends != nil && *w.ends, w.ends != nil }

func (w *env) NarrowsSession() (narrows, known bool) {
	return w.narrows != nil && *w.narrows, w.narrows != nil
}

func (w *env) SessionRules() SessionRules { return w.rules }

func (w *env) URL() string { return w.Origin() + "/token" }

func (w *env) Origin() string { return "https://auth.example.org" }

func (w *env) Requests() int64 { return int64(w.count()) }

func (w *env) Degraded() error { return nil }

func (w *env) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}

func (w *env) call(i int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[i]
}

func (w *env) request(i int) grant.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[i]
}

func (w *env) refuse(answer func(n int) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func always(err error) func(int) error { return func(int) error { return err } }

// in runs a test in a bubble with a broker of one profile, "p".
func in(t *testing.T, test func(t *testing.T, w *env, b *Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newEnv()
		b := New(w.now)
		b.Put(map[string]Source{"p": w})
		test(t, w, b)
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func get(t *testing.T, b *Broker, minTTL time.Duration) (grant.Token, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return b.Token(ctx, Query{Profile: "p", MinTTL: minTTL})
}

func mustGet(t *testing.T, b *Broker, minTTL time.Duration) string {
	t.Helper()
	token, err := get(t, b, minTTL)
	if err != nil {
		t.Fatal(err)
	}
	return token.Access.Reveal()
}

func refusal(class grant.Class, code string) error { return &grant.Error{Class: class, Code: code} }

func wantUnavailable(t *testing.T, err error) *Unavailable {
	t.Helper()
	u, ok := errors.AsType[*Unavailable](err)
	if !ok {
		t.Fatalf("got %v, want an Unavailable", err)
	}
	return u
}

// E18: the server is asked once, whatever the number of callers.
func TestE18AHundredCallersOnAColdTokenCostOneRequest(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := mustGet(t, b, Unset); got != "token-1" {
					t.Errorf("got %s", got)
				}
			})
		}
		wg.Wait()
		if w.count() != 1 {
			t.Errorf("%d requests", w.count())
		}
	})
}

func TestAFailedRenewalNeverTakesAValidTokenAway(t *testing.T) {
	for _, class := range []grant.Class{
		grant.Transient, grant.TransientSlow, grant.Malformed, grant.Ambiguous, grant.InvalidClient, grant.Refused,
		grant.Misconfigured,
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			mustGet(t, b, Unset)
			w.refuse(always(refusal(class, "x")))
			for w.now().Boot-w.call(0) < life-6*time.Second {
				if got := mustGet(t, b, Unset); got != "token-1" {
					t.Fatalf("class %v: got %s", class, got)
				}
				time.Sleep(5 * time.Second)
			}
			time.Sleep(6 * time.Second)
			_, err := get(t, b, Unset)
			wantUnavailable(t, err)
		})
	}
}

func TestAnExplicitMinTTLIsAPromiseInAFailureToo(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		w.refuse(always(refusal(grant.Transient, "")))
		time.Sleep(life - 100*time.Second)
		if got := mustGet(t, b, 90*time.Second); got != "token-1" {
			t.Errorf("got %s", got)
		}
		_, err := get(t, b, 110*time.Second)
		if u := wantUnavailable(t, err); u.RetryAfter <= 0 {
			t.Errorf("no retry after: %+v", u)
		}
	})
}

func TestAnOutageIsRiddenOutWithBoundedAttempts(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		w.refuse(always(refusal(grant.Transient, "")))
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		during := w.count() - 1
		if during < 8 || during > 60 {
			t.Errorf("%d requests in an outage", during)
		}
		w.refuse(nil)
		time.Sleep(capWithout + time.Second)
		synctest.Wait()
		if _, ok := b.Cached(Query{Profile: "p", MinTTL: Unset}); !ok {
			t.Error("no token after the outage")
		}
	})
}

func TestCallersOfAFailingProviderShareOneAttempt(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(&grant.Error{Class: grant.Transient, RetryAfter: 120 * time.Second}))
		for range 3 {
			var wg sync.WaitGroup
			for range 200 {
				wg.Go(func() {
					_, err := get(t, b, Unset)
					if u := wantUnavailable(t, err); u.RetryAfter < 100*time.Second {
						t.Errorf("retry after %s", u.RetryAfter)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
		}
		if w.count() != 1 {
			t.Errorf("%d requests", w.count())
		}
		time.Sleep(140 * time.Second)
		w.refuse(nil)
		mustGet(t, b, Unset)
	})
}

func TestARefusalIsRememberedUntilTheCredentialChanges(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(refusal(grant.Refused, "access_denied")))
		for range 832 {
			_, err := get(t, b, Unset)
			if u := wantUnavailable(t, err); u.RetryAfter != 0 {
				t.Fatalf("a refusal with a retry time: %+v", u)
			}
			time.Sleep(17 * time.Second)
		}
		if w.count() != 1 {
			t.Errorf("%d requests in four hours", w.count())
		}
		w.refuse(nil)
		b.Put(map[string]Source{"p": w})
		mustGet(t, b, Unset)
	})
}

func TestInvalidClientIsConfirmedOnce(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(refusal(grant.InvalidClient, "invalid_client")))
		for range 1000 {
			_, err := get(t, b, Unset)
			wantUnavailable(t, err)
			time.Sleep(10 * time.Second)
		}
		if w.count() != 3 { // in less than three hours
			t.Errorf("%d requests", w.count())
		}
		if gap := w.call(2) - w.call(1); gap < time.Hour || gap > time.Hour+time.Minute {
			t.Errorf("asked about again after %s", gap)
		}
		if gap := w.call(1) - w.call(0); gap < time.Minute {
			t.Errorf("confirmed after %s", gap)
		}
		token, err := w.Obtain(t.Context(), grant.Request{}, Now)
		if err == nil {
			t.Fatalf("the provider gave %v", token)
		}
		w.refuse(nil)
		token, _ = w.Obtain(t.Context(), grant.Request{}, Now)
		b.Install("p", w, token)
		before := w.count()
		if got := mustGet(t, b, Unset); got != token.Access.Reveal() || w.count() != before {
			t.Errorf("got %s after a login, %d requests", got, w.count()-before)
		}
	})
}

func TestAMinTTLUpToWhatAFreshTokenHasIsHonoured(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		const greatest = 838 * time.Second // 839 s less the 300 ms the answer took, in whole seconds
		_, err := get(t, b, greatest+time.Second)
		if long, ok := errors.AsType[*TooLong](err); !ok || long.Max != greatest {
			t.Fatalf("got %v", err)
		}
		if w.count() != 1 {
			t.Fatalf("%d requests for what cannot be", w.count())
		}
		time.Sleep(2 * time.Second)
		token, err := get(t, b, greatest)
		if err != nil || token.Remaining(w.now()) < greatest {
			t.Fatalf("the greatest possible value was not honoured: %v", err)
		}
		if w.count() != 2 {
			t.Errorf("%d requests", w.count())
		}
	})
}

func TestAMinTTLBeyondEveryTokenCostsAColdProfileOneRequest(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		for range 120 {
			_, err := get(t, b, time.Hour)
			if _, ok := errors.AsType[*TooLong](err); !ok {
				t.Fatalf("got %v", err)
			}
		}
		if w.count() != 1 {
			t.Errorf("%d requests for 120 calls", w.count())
		}
	})
}

func TestDemandingCallersCannotFloodTheProvider(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		begin := w.now().Boot
		for w.now().Boot-begin < 10*time.Minute {
			get(t, b, 838*time.Second)
			time.Sleep(time.Second)
		}
		// One each 30 s, and one that is brought forward in the same time.
		if n := w.count(); n > 2*20+2 {
			t.Errorf("%d requests in ten minutes", n)
		}
	})
}

func TestRejectedTokensAreReplacedOnce(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		bad := mustGet(t, b, Unset)
		reject := func() (grant.Token, error) {
			return b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset, Refused: keystore.SecretString(bad)})
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				token, err := reject()
				if err != nil || token.Access.Reveal() != "token-2" {
					t.Errorf("got %v, %v", token, err)
				}
			})
		}
		wg.Wait()
		if w.count() != 2 {
			t.Fatalf("%d requests", w.count())
		}
		if token, err := reject(); err != nil || token.Access.Reveal() != "token-2" {
			t.Errorf("a late rejection of an old token: %v, %v", token, err)
		}

		bad = "token-2" // refused again within the minute: not served, not renewed yet
		_, err := reject()
		if u := wantUnavailable(t, err); !errors.Is(err, ErrRejected) || u.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		_, err = get(t, b, Unset)
		wantUnavailable(t, err)
		if w.count() != 2 {
			t.Errorf("%d requests", w.count())
		}
		if st, _ := b.Status("p"); st.Held || !errors.Is(st.Err, ErrRejected) || st.RetryIn <= 0 ||
			st.RetryIn > time.Minute {
			t.Errorf("the status does not say why there is no token, and until when: %+v", st)
		}
		time.Sleep(time.Minute)
		if st, _ := b.Status("p"); st.Err != nil {
			t.Errorf("a minute later the status still says %v", st.Err)
		}
		if got := mustGet(t, b, Unset); got != "token-3" {
			t.Errorf("got %s", got)
		}
	})
}

func TestARefusedTokenIsNotServedWhenTheProviderGivesItAgain(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.same = true
		bad := mustGet(t, b, Unset)
		_, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset, Refused: keystore.SecretString(bad)})
		if wantUnavailable(t, err); !errors.Is(err, ErrSameToken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheSameTokenAgainIsNoReasonToAskMoreOften(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.same = true
		begin := w.now().Boot
		for w.now().Boot-begin < time.Hour {
			mustGet(t, b, Unset)
			time.Sleep(10 * time.Second)
		}
		if n := w.count(); n > 3600/503+1 {
			t.Errorf("%d requests in an hour", n)
		}
	})
}

func TestSuspendIsNoticed(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		w.boot.Add(int64(8 * time.Hour)) // the timers of the process do not see it
		if _, ok := b.Cached(Query{Profile: "p", MinTTL: Unset}); ok {
			t.Fatal("a token that died in the suspend was handed out")
		}
		if got := mustGet(t, b, Unset); got != "token-2" {
			t.Errorf("got %s", got)
		}
		w.boot.Add(int64(11 * time.Minute)) // past the renewal point, still valid, no caller
		time.Sleep(2*suspendPoll + resumeSpread)
		synctest.Wait()
		if w.count() != 3 {
			t.Errorf("%d requests: not renewed after the resume", w.count())
		}
	})
}

func TestASetClockChangesNothing(t *testing.T) {
	for _, step := range []time.Duration{-2 * time.Hour, time.Hour, 10 * 365 * 24 * time.Hour} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			mustGet(t, b, Unset)
			w.wall.Store(int64(step))
			time.Sleep(2 * suspendPoll)
			if got := mustGet(t, b, Unset); got != "token-1" {
				t.Errorf("step %s: got %s", step, got)
			}
		})
	}
}

func TestScopesAndAudiencesHaveTokensOfTheirOwn(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		var wg sync.WaitGroup
		for i := range 10 {
			for range 100 {
				wg.Go(func() {
					_, err := b.Token(t.Context(), Query{Profile: "p", Scope: fmt.Sprintf("s%d", i), MinTTL: Unset})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if w.count() != 10 {
			t.Errorf("%d requests for 10 scopes", w.count())
		}
		for _, scope := range []string{"a b", "b a", " b  a b"} {
			if _, err := b.Token(t.Context(), Query{Profile: "p", Scope: scope, MinTTL: Unset}); err != nil {
				t.Error(err)
			}
		}
		if w.count() != 11 {
			t.Errorf("%d requests: one scope set in three spellings", w.count())
		}
		for i := range 2 * maxTokens * 3 / 4 {
			if _, err := b.Token(t.Context(),
				Query{Profile: "p", Audience: fmt.Sprintf("a%d", i), MinTTL: Unset}); err != nil {
				t.Error(err)
			}
		}
		if st, _ := b.Status("p"); st.Tokens != maxTokens {
			t.Errorf("%d tokens cached", st.Tokens)
		}
	})
}

func TestABadScopeHurtsOnlyItself(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(func(n int) error {
			if w.request(n-1).Scope != nil {
				return refusal(grant.Misconfigured, "invalid_scope")
			}
			return nil
		})
		for range 5 {
			_, err := b.Token(t.Context(), Query{Profile: "p", Scope: "nonsense", MinTTL: Unset})
			wantUnavailable(t, err)
		}
		mustGet(t, b, Unset)
		if w.count() != 2 {
			t.Errorf("%d requests", w.count())
		}
	})
}

func TestACallerThatLeavesCancelsNothing(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 10 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.Token(ctx, Query{Profile: "p", MinTTL: Unset})
		if wantUnavailable(t, err); !errors.Is(err, ErrWaited) {
			t.Errorf("got %v", err)
		}
		time.Sleep(11 * time.Second)
		if got := mustGet(t, b, Unset); got != "token-1" || w.count() != 1 {
			t.Errorf("got %s after %d requests", got, w.count())
		}
	})
}

func TestAnUnusedTokenIsLeftToExpireAndRevivedByUse(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := w.count(); n > 3600/503+2 {
			t.Errorf("%d requests for a token used once", n)
		}
		before := w.count()
		mustGet(t, b, Unset)
		time.Sleep(700 * time.Second)
		synctest.Wait()
		if w.count() != before+2 {
			t.Errorf("%d requests after it was used again", w.count()-before)
		}
	})
}

func TestShortLivedTokensFollowTheSameRules(t *testing.T) {
	for _, c := range []struct {
		life       time.Duration
		background bool
	}{{4 * time.Second, false}, {8 * time.Second, true}, {29 * time.Second, true}} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.life, w.latency = c.life, 10*time.Millisecond
			mustGet(t, b, Unset)
			time.Sleep(c.life * 8 / 10)
			synctest.Wait()
			if renewed := w.count() > 1; renewed != c.background {
				t.Errorf("L = %s: renewed in the background: %v", c.life, renewed)
			}
			begin := w.now().Boot
			for w.now().Boot-begin < 20*c.life {
				token, err := get(t, b, Unset)
				if err != nil || token.Remaining(w.now()) <= 0 {
					t.Fatalf("L = %s: %v", c.life, err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if n := w.count(); n > 45 {
				t.Errorf("L = %s: %d requests in 20 lifetimes", c.life, n)
			}
		})
	}
}

func TestAPersonMayAskForAProof(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(refusal(grant.Refused, "invalid_grant")))
		_, err := get(t, b, Unset)
		wantUnavailable(t, err)
		_, err = b.Verify(t.Context(), "p")
		if wantUnavailable(t, err); w.count() != 2 {
			t.Errorf("a verification of a disabled credential made %d requests", w.count()-1)
		}
		w.refuse(nil)
		token, err := b.Verify(t.Context(), "p")
		if err != nil || token.Access.Reveal() != mustGet(t, b, Unset) {
			t.Errorf("got %v, %v", token, err)
		}
		again, err := b.Verify(t.Context(), "p")
		if err != nil || again.Access.Equal(token.Access) {
			t.Errorf("a cached token was taken for a verify: %v", err)
		}
		w.refuse(always(refusal(grant.Transient, "")))
		time.Sleep(time.Second)
		_, err = b.Verify(t.Context(), "p")
		wantUnavailable(t, err)
		if got := mustGet(t, b, Unset); got != again.Access.Reveal() {
			t.Errorf("a failed verification took the valid token away: %s", got)
		}
	})
}

func TestCloseWaitsForAnAnswerOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEnv()
		w.latency = 8 * time.Second
		b := New(w.now)
		b.Put(map[string]Source{"p": w})
		done := make(chan error)
		go func() {
			_, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset})
			done <- err
		}()
		synctest.Wait()
		began := time.Now()
		go func() { done <- b.Close(t.Context()) }()
		if err := <-done; !errors.Is(err, ErrStopped) {
			t.Errorf("the caller got %v", err)
		}
		if err := <-done; err != nil || time.Since(began) != 8*time.Second {
			t.Errorf("closed after %s: %v", time.Since(began), err)
		}
		if _, err := b.Token(t.Context(), Query{Profile: "p"}); !errors.Is(err, ErrUnknown) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestAReplacedCredentialDiscardsTheOldOnesAnswer(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 5 * time.Second
		got := make(chan string)
		go func() { got <- mustGet(t, b, Unset) }()
		synctest.Wait()
		other := newEnv()
		other.start = w.start
		other.mu.Lock()
		other.calls = make([]time.Duration, 41)
		other.asked = make([]grant.Request, 41)
		other.mu.Unlock()
		b.Put(map[string]Source{"p": other})
		if token := <-got; token != "token-42" {
			t.Errorf("got %s", token)
		}
	})
}

func BenchmarkCacheHit(b *testing.B) {
	w := &env{start: time.Now(), life: time.Hour}
	br := New(clock.Now)
	src := &env{start: w.start, life: time.Hour}
	br.Put(map[string]Source{"p": src})
	token, err := src.Obtain(context.Background(), grant.Request{}, Now)
	if err != nil {
		b.Fatal(err)
	}
	token.Sent = clock.Now()
	br.Install("p", src, token)
	q := Query{Profile: "p", MinTTL: Unset}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Token(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
	br.Close(context.Background())
}
