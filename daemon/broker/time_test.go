package broker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// asking asks in the background; the answer is the channel's only element.
func asking(t *testing.T, b *Broker, minTTL time.Duration) <-chan answer {
	t.Helper()
	came := make(chan answer, 1)
	go func() {
		token, err := get(t, b, minTTL)
		came <- answer{token: token, err: err}
	}()
	synctest.Wait()
	return came
}

// The answer comes after a suspend. Its token is as old as the request; callers get what they asked for; and the
// greatest min_ttl has not changed.
func TestE13SuspendBetweenSendAndResponse(t *testing.T) {
	for name, c := range map[string]struct {
		slept    time.Duration
		minTTL   time.Duration
		want     string
		requests int
	}{
		"the token is dead":             {time.Hour, Unset, "token-2", 2},
		"the token is dead, a promise":  {time.Hour, 5 * time.Minute, "token-2", 2},
		"the token serves":              {5 * time.Minute, Unset, "token-1", 1},
		"the token serves, a promise":   {5 * time.Minute, 8 * time.Minute, "token-1", 1},
		"the promise cannot be kept":    {5 * time.Minute, 10 * time.Minute, "token-2", 2},
		"so short that it is no matter": {20 * time.Second, 13 * time.Minute, "token-1", 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *env, b *Broker) {
				w.latency = 2 * time.Second
				came := asking(t, b, c.minTTL)
				time.Sleep(time.Second)
				w.boot.Add(int64(c.slept))
				r := <-came
				if r.err != nil || r.token.Access.Reveal() != c.want || w.count() != c.requests {
					t.Fatalf("got %v, %v after %d requests", r.token, r.err, w.count())
				}
				if left, sent := r.token.Remaining(w.now()), w.call(c.requests-1); left != life-(w.now().Boot-sent) {
					t.Errorf("%s left of a token asked for %s ago", left, w.now().Boot-sent)
				}
				if c.slept < time.Minute {
					return
				}
				_, err := get(t, b, life)
				if long, ok := errors.AsType[*TooLong](err); !ok || long.Max != life-w.latency {
					t.Errorf("the greatest min_ttl: %v", err)
				}
			})
		})
	}
}

// No caller waits any more, but the profile is in use: the next token is obtained in the background.
func TestE13ADeadAnswerInTheBackground(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 2 * time.Second
		mustGet(t, b, Unset)
		for w.count() < 2 {
			time.Sleep(time.Second)
		}
		w.boot.Add(int64(time.Hour))
		time.Sleep(2*suspendPoll + resumeSpread)
		if _, ok := b.Cached(Query{Profile: "p", MinTTL: Unset}); !ok || w.count() != 3 {
			t.Errorf("held: %v, after %d requests", ok, w.count())
		}
	})
}

// The connection broke in the suspend, so the server may have acted: the one quick retry leaves soon after the resume,
// and is not spread with the renewals.
func TestE13TheQuickRetryIsNotSpread(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Draw = func() float64 { return 0.999999 }
		mustGet(t, b, Unset)
		w.latency = 10 * time.Second
		w.refuse(func(n int) error {
			if n == 2 {
				return refusal(grant.Ambiguous, "")
			}
			return nil
		})
		for w.count() < 2 {
			time.Sleep(time.Second)
		}
		w.boot.Add(int64(10 * time.Second)) // it is noticed
		resumed := w.now().Boot
		time.Sleep(time.Minute)
		if w.count() != 3 || w.call(2)-resumed > 10*time.Second+5*time.Second {
			t.Errorf("%d requests, the retry %s after the resume", w.count(), w.call(w.count()-1)-resumed)
		}
	})
}

// A server whose tokens live no longer than its answers take causes an error and a backoff, and no negative min_ttl.
func TestATokenThatHadExpiredBeforeItCame(t *testing.T) {
	for _, latency := range []time.Duration{2500 * time.Millisecond, 3 * time.Second, 9 * time.Second} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.life, w.latency = 3*time.Second, latency
			begin := w.now().Boot
			for w.now().Boot-begin < 10*time.Minute {
				_, err := get(t, b, Unset)
				if u := wantUnavailable(t, err); u.RetryAfter <= 0 {
					t.Fatalf("%v", err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if n := w.count(); n > 60 {
				t.Errorf("latency %s: %d requests in ten minutes", latency, n)
			}
		})
	}
}

// A caller without any time sets a renewal in motion all the same, and gets what the owner knows.
func TestE19ACallerWithoutTime(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // whatever select chooses
		in(t, func(t *testing.T, w *env, b *Broker) {
			_, err := b.Token(over, Query{Profile: "p", MinTTL: Unset})
			if u := wantUnavailable(t, err); !errors.Is(err, ErrWaited) || u.RetryAfter <= 0 {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got := mustGet(t, b, Unset); got != "token-1" || w.count() != 1 {
				t.Fatalf("got %s after %d requests", got, w.count())
			}
			w.refuse(always(refusal(grant.Refused, "invalid_grant")))
			time.Sleep(time.Hour)
			get(t, b, Unset)
			_, err = b.Token(over, Query{Profile: "p", MinTTL: Unset})
			if u := wantUnavailable(t, err); u.RetryAfter != 0 {
				t.Fatalf("a refusal became %v", err)
			}
		})
	}
}

// While nothing can be sent the requests stay close together, also after hours, so that a network that is back is found
// soon.
func TestE16TheNetworkIsFoundSoon(t *testing.T) {
	for _, down := range []time.Duration{10 * time.Minute, 10*time.Minute + 17*time.Second, 10 * time.Hour} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			b.Draw = func() float64 { return 0.999999 } // the longest waits
			mustGet(t, b, Unset)
			w.refuse(always(refusal(grant.Transient, ""))) // without a status: it was never sent
			time.Sleep(down)
			w.refuse(nil)
			back := w.now().Boot
			for {
				_, err := get(t, b, Unset)
				if err == nil {
					break
				}
				u := wantUnavailable(t, err)
				if u.RetryAfter <= 0 || u.RetryAfter > probeEvery {
					t.Fatalf("retry after %s", u.RetryAfter)
				}
				time.Sleep(u.RetryAfter)
			}
			if took := w.now().Boot - back; took > probeEvery+w.latency {
				t.Errorf("%s after %s", took, down)
			}
		})
	}
}

// One request serves all hundred callers.
func TestE18AHundredCallersOnAnExpiredToken(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		mustGet(t, b, Unset)
		w.boot.Add(int64(8 * time.Hour))
		resumed := w.now().Boot
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if got := mustGet(t, b, Unset); got != "token-2" {
					t.Errorf("got %s", got)
				}
				if took := w.now().Boot - resumed; took > w.latency {
					t.Errorf("after %s, one exchange takes %s", took, w.latency)
				}
			})
		}
		wg.Wait()
		if w.count() != 2 {
			t.Errorf("%d requests", w.count())
		}
	})
}

// The boot clock runs ahead of the timers by any amount, often or once: renewals leave before the token's end all the
// same.
func TestE15TheClocksDisagree(t *testing.T) {
	for _, jump := range []time.Duration{
		time.Millisecond, 500 * time.Millisecond, 1999 * time.Millisecond, 2 * time.Second, 20 * time.Second,
		3 * time.Minute, 10 * time.Minute,
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			mustGet(t, b, Unset)
			for range 200 {
				w.boot.Add(int64(jump))
				now := w.now().Boot
				token, err := get(t, b, Unset)
				if err != nil || token.Remaining(w.now()) < defaultMinTTL(life) {
					t.Fatalf("jumps of %s: %s left, %v", jump, token.Remaining(w.now()), err)
				}
				if waited := w.now().Boot - now; waited > w.latency {
					t.Fatalf("jumps of %s: waited %s", jump, waited)
				}
				time.Sleep(suspendPoll)
			}
			for i := 1; i < w.count(); i++ {
				if used := w.call(i) - w.call(i-1); used < life*6/10 {
					t.Errorf("jumps of %s: renewed after %s", jump, used)
				}
			}
		})
	}
}
