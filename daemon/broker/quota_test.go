package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// bound is the greatest number of requests of a profile in a time, whatever its callers do, with n tokens of one life
// in use.
func bound(n int, life, over time.Duration) int {
	return allowance + int(over.Hours()*perHour) + int(float64(n*perLife)*float64(over)/float64(life)) + 1
}

func TestWhateverCallersDo(t *testing.T) {
	const over = 4 * time.Hour
	for _, c := range []struct {
		name   string
		tokens int  // in use
		spared bool // nothing of it touches the profile's own token
		call   func(t *testing.T, w *env, b *Broker, n int)
	}{
		{"one scope after the other", maxTokens, true, func(t *testing.T, w *env, b *Broker, n int) {
			b.Token(t.Context(), Query{Profile: "p", Scope: fmt.Sprintf("s%d", n), MinTTL: Unset})
		}},
		{"forty audiences in turn", maxTokens, true, func(t *testing.T, w *env, b *Broker, n int) {
			b.Token(t.Context(), Query{Profile: "p", Audience: fmt.Sprintf("a%d", n%40), MinTTL: Unset})
		}},
		{"every token refused", 1, false, func(t *testing.T, w *env, b *Broker, n int) {
			token, err := get(t, b, Unset)
			if err == nil {
				b.Token(t.Context(),
					Query{Profile: "p", MinTTL: Unset, Refused: keystore.SecretString(token.Access.Reveal())})
			}
		}},
		{"the longest token there is", 1, false, func(t *testing.T, w *env, b *Broker, n int) {
			get(t, b, 838*time.Second)
		}},
		{"all of it", maxTokens, true, func(t *testing.T, w *env, b *Broker, n int) {
			q := Query{Profile: "p", Scope: fmt.Sprintf("s%d", n%50), MinTTL: time.Duration(n%838) * time.Second}
			if token, err := b.Token(t.Context(), q); err == nil && n%3 == 0 {
				q.Refused = keystore.SecretString(token.Access.Reveal())
				b.Token(t.Context(), q)
			}
		}},
		{"a scope that is refused after the other", 1, true, func(t *testing.T, w *env, b *Broker, n int) {
			w.refuse(func(n int) error {
				if w.request(n-1).Scope != nil {
					return &grant.Error{Class: grant.Misconfigured, Status: 400, Code: "invalid_scope"}
				}
				return nil
			})
			b.Token(t.Context(), Query{Profile: "p", Scope: fmt.Sprintf("s%d", n), MinTTL: Unset})
		}},
		{"a server that fails every other time", 1, false, func(t *testing.T, w *env, b *Broker, n int) {
			w.refuse(func(n int) error {
				if n%2 == 0 {
					return &grant.Error{Class: grant.Transient, Status: 503}
				}
				return nil
			})
			get(t, b, 838*time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T, w *env, b *Broker) {
				w.latency = 0
				first := w.now().Boot
				for n := 0; w.now().Boot-first < over; n++ {
					c.call(t, w, b, n)
					time.Sleep(5 * time.Second)
					if n%12 != 0 {
						continue
					}
					token, err := get(t, b, Unset)
					if err == nil && token.Remaining(w.now()) <= 0 || err != nil && c.spared {
						t.Fatalf("after %s: %v, %v", w.now().Boot-first, token, err)
					}
				}
				if n, most := w.count(), bound(c.tokens, life, over); n > most {
					t.Errorf("%d requests in %s, want %d at most", n, over, most)
				}
			})
		})
	}
}

// 32 tokens of ten seconds each, all in use, are a legitimate use and are not limited.
func TestNormalUseNeverMeetsTheCeiling(t *testing.T) {
	for _, c := range []struct {
		tokens int
		life   time.Duration
	}{{1, life}, {maxTokens, life}, {8, 30 * time.Second}, {1, 4 * time.Second}, {maxTokens, 24 * time.Hour}} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.life, w.latency = c.life, time.Millisecond
			for range 60 {
				for i := range c.tokens {
					q := Query{Profile: "p", MinTTL: Unset}
					if i > 0 {
						q.Scope = fmt.Sprintf("s%d", i)
					}
					if _, err := b.Token(t.Context(), q); err != nil {
						t.Fatalf("%d tokens of %s: %v", c.tokens, c.life, err)
					}
				}
				time.Sleep(c.life / 5)
			}
		})
	}
}

func TestTheCeilingIsSaid(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 0
		var err error
		for i := 0; err == nil && i < 2*allowance; i++ {
			_, err = b.Token(t.Context(), Query{Profile: "p", Scope: fmt.Sprintf("s%d", i), MinTTL: Unset})
		}
		if u := wantUnavailable(t, err); !errors.Is(err, ErrOften) || u.RetryAfter <= 0 || u.RetryAfter > time.Minute {
			t.Fatalf("got %v, retry after %s", err, u.RetryAfter)
		}
		st, _ := b.Status("p")
		if !errors.Is(st.Err, ErrOften) || st.RetryIn <= 0 || st.Tokens != maxTokens {
			t.Errorf("the status says %v, %s, and has %d tokens", st.Err, st.RetryIn, st.Tokens)
		}
		mustGet(t, b, Unset) // the default has a reserve
		time.Sleep(time.Hour)
		if st, _ := b.Status("p"); st.Err != nil {
			t.Errorf("an hour later the status says %v", st.Err)
		}
	})
}

func TestAServerThatFailsTriesThePatience(t *testing.T) {
	for name, err := range map[string]*grant.Error{
		"503": {Class: grant.Transient, Status: 503}, "429": {
			Class: grant.Transient, Status: 429, RetryAfter: time.Minute,
		},
		"firewall": {Class: grant.TransientSlow, Status: 403}, "silence": {Class: grant.Ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *env, b *Broker) {
				w.refuse(always(err))
				for range 4 * 60 * 6 {
					_, err := get(t, b, Unset)
					wantUnavailable(t, err)
					time.Sleep(10 * time.Second)
				}
				if n := w.count(); n > 50 {
					t.Errorf("%d requests in four hours", n)
				}
				w.refuse(nil)
				time.Sleep(max(failureInterval, capSeldom) + probeEvery*6/5)
				mustGet(t, b, Unset)
			})
		})
	}
}

func TestAPersonMayAskAgainButNotForEver(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 0
		w.refuse(always(refused))
		began, said := time.Now(), 0
		for time.Since(began) < time.Hour {
			if _, err := b.Verify(t.Context(), "p"); errors.Is(err, ErrOften) {
				said++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n, most := w.count(), verifications+int(time.Hour/verifyInterval); n > most || n < most-1 || said == 0 {
			t.Errorf("%d requests by a loop of logins in an hour, want %d", n, most)
		}
	})
}

// A server's quota that is used up is a floor for the next request and no reason to take a token away.
func TestAUsedUpQuotaIsWaitedFor(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Put(map[string]Source{"p": rationed{w}})
		first := mustGet(t, b, Unset)
		if st, _ := b.Status("p"); !st.Held || !errors.Is(st.Err, ErrQuota) || st.RetryIn <= 0 {
			t.Errorf("the status says %v, %s", st.Err, st.RetryIn)
		}
		time.Sleep(life - 10*time.Second)
		if got := mustGet(t, b, Unset); got != first || w.count() != 1 {
			t.Errorf("got %s after %d requests", got, w.count())
		}
		time.Sleep(10 * time.Second)
		_, err := get(t, b, Unset)
		if u := wantUnavailable(t, err); !errors.Is(err, ErrQuota) || u.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		time.Sleep(30*time.Minute - life)
		synctest.Wait()
		mustGet(t, b, Unset)
		if st, _ := b.Status("p"); w.count() != 2 || !errors.Is(st.Err, ErrQuota) {
			t.Errorf("%d requests, then the status says %v", w.count(), st.Err)
		}
	})
}

// rationed gives one token each half hour.
type rationed struct{ *env }

func (r rationed) Obtain(ctx context.Context, q grant.Request, need Need) (grant.Token, error) {
	t, err := r.env.Obtain(ctx, q, need)
	t.Hold = 30 * time.Minute
	return t, err
}
