package broker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// reluctant is a provider whose answers cannot be stored while full is set.
type reluctant struct {
	*env
	full  atomic.Bool
	tried atomic.Int64
}

func (r *reluctant) Obtain(ctx context.Context, q grant.Request, need Need) (grant.Token, error) {
	r.tried.Add(1)
	if r.full.Load() && need == Ahead {
		return grant.Token{}, &PutOff{Err: keystore.ErrUnavailable}
	}
	return r.env.Obtain(ctx, q, need)
}

// inFull runs a test whose profile has a fresh token and a disk that is full from its beginning on.
func inFull(t *testing.T, test func(t *testing.T, r *reluctant, b *Broker)) {
	t.Helper()
	in(t, func(t *testing.T, w *env, b *Broker) {
		r := &reluctant{env: w}
		fresh(w, b, map[string]Source{"p": r})
		r.full.Store(true)
		test(t, r, b)
	})
}

// A refresh token is not spent ahead of time while its successor could not be stored, but before callers lack a token.
func TestARenewalThatCouldNotBeStoredIsPutOff(t *testing.T) {
	t.Run("D14", putOffUntilTheEnd)
}

func putOffUntilTheEnd(t *testing.T) {
	inFull(t, func(t *testing.T, r *reluctant, b *Broker) {
		began := time.Now()
		window := life - waitBelow(life)
		for time.Since(began) < window-time.Second {
			if got := mustGet(t, b, Unset); got != "first-p" {
				t.Fatalf("after %s: %s", time.Since(began), got)
			}
			time.Sleep(time.Second)
		}
		if n := r.count(); n != 0 {
			t.Fatalf("%d requests before the token came to its end", n)
		}
		if n := r.tried.Load(); n < 6 || n > 100 {
			t.Errorf("it was tried %d times whether the disk is still full", n)
		}
		if st, _ := b.Status("p"); !errors.Is(st.Err, keystore.ErrUnavailable) || st.RetryIn <= 0 ||
			st.RetryIn > capWhileValid {
			t.Errorf("the status says %v, again in %s", st.Err, st.RetryIn)
		}
		time.Sleep(5 * time.Second)
		if got := mustGet(t, b, Unset); got != "token-1" || r.count() != 1 {
			t.Errorf("then %s after %d requests", got, r.count())
		}
		if at := r.call(0) - time.Hour; at < window-time.Second || at > window+time.Second {
			t.Errorf("the renewal left after %s of %s", at, life)
		}
	})
}

// When the disk has room again the renewal that was put off leaves within the longest wait, although no caller waits.
func TestAPutOffRenewalIsMadeWhenTheDiskHasRoom(t *testing.T) {
	inFull(t, func(t *testing.T, r *reluctant, b *Broker) {
		time.Sleep(life * 3 / 4)
		r.full.Store(false)
		time.Sleep(capWhileValid + time.Second)
		synctest.Wait()
		if st, _ := b.Status("p"); r.count() != 1 || st.Err != nil {
			t.Errorf("%d requests, %v", r.count(), st.Err)
		}
	})
}

// A caller whom the cached token does not serve makes the renewal leave; one whom it serves gets it; and a verification
// is not worth the risk of a session.
func TestWhoIsWorthASession(t *testing.T) {
	for _, c := range []struct {
		name  string
		age   time.Duration
		query Query
		want  string // of the token; empty for the keystore's error
		sent  int
	}{
		{"nothing asked", 10 * time.Second, Query{MinTTL: Unset}, "first-p", 0},
		{"a promise that is kept", 700 * time.Second, Query{MinTTL: 2 * time.Minute}, "first-p", 0},
		{"a promise that is not", 700 * time.Second, Query{MinTTL: 3 * time.Minute}, "token-1", 1},
		{"a verification", 700 * time.Second, Query{MinTTL: Unset, verify: true}, "", 0},
		{
			"a refused token", 10 * time.Second, Query{MinTTL: Unset, Refused: keystore.SecretString("first-p")},
			"token-1", 1,
		},
		{"another scope, of which there is none", 10 * time.Second, Query{MinTTL: Unset, Scope: "read"}, "token-1", 1},
		{"the end", life - waitBelow(life) + time.Second, Query{MinTTL: Unset}, "token-1", 1},
		{"a verification at the end", life - waitBelow(life), Query{MinTTL: Unset, verify: true}, "token-1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFull(t, func(t *testing.T, r *reluctant, b *Broker) {
				time.Sleep(c.age)
				c.query.Profile = "p"
				token, err := b.Token(t.Context(), c.query)
				if c.want == "" {
					if wantUnavailable(t, err); !errors.Is(err, keystore.ErrUnavailable) {
						t.Error(err)
					}
				} else if err != nil || token.Access.Reveal() != c.want {
					t.Errorf("%s, %v; want %s", token.Access.Reveal(), err, c.want)
				}
				if r.count() != c.sent {
					t.Errorf("%d requests, want %d", r.count(), c.sent)
				}
			})
		})
	}
}

// A caller who asks while a renewal is being put off does not have to ask again.
func TestWhoComesWhileARenewalIsPutOff(t *testing.T) {
	inFull(t, func(t *testing.T, r *reluctant, b *Broker) {
		time.Sleep(700 * time.Second)
		if st, _ := b.Status("p"); st.Err == nil {
			t.Fatal("nothing was put off")
		}
		got := make(chan error, 2)
		for _, q := range []Query{{MinTTL: 2 * time.Minute}, {MinTTL: 5 * time.Minute}} {
			q.Profile = "p"
			go func() {
				_, err := b.Token(t.Context(), q)
				got <- err
			}()
		}
		if err := errors.Join(<-got, <-got); err != nil || r.count() != 1 {
			t.Errorf("%v after %d requests", err, r.count())
		}
	})
}
