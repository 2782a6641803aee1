package broker

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// TestWhatAFailureMeans has a row for each meaning of a failure. The draw is 0: every wait is the shortest one.
func TestWhatAFailureMeans(t *testing.T) {
	now := clock.Instant{Wall: time.Unix(1785600000, 0), Boot: time.Hour}
	said := func(class grant.Class, code string) error { return &grant.Error{Class: class, Code: code} }
	wait := func(d time.Duration, failures int) Block {
		return Block{Whole: true, Until: after(now, d), Failures: failures}
	}
	disabled := Block{Whole: true, Disabled: true, Failures: 1}
	probed := func(d time.Duration, probes int) Block {
		return Block{Whole: true, Disabled: true, Until: after(now, d), Failures: 1, Probes: probes}
	}
	disabledToken := Block{Disabled: true, Failures: 1}
	later := func(d time.Duration, failures int) Block {
		return Block{Until: after(now, d), Failures: failures}
	}
	suspected, retried := failureState{suspected: true}, failureState{retried: true}
	lost := &grant.Error{Class: grant.Malformed, RotationLost: true}
	for _, c := range []struct {
		name      string
		f         failure
		want      Block // without its error
		retryLost bool
	}{
		{
			"a refusal of the grant", failure{err: said(grant.Refused, "invalid_grant"), standard: true}, disabled,
			false,
		},
		{
			"a refusal of the grant for a scope", failure{err: said(grant.Refused, "invalid_grant")}, disabledToken,
			false,
		},
		{
			"a lost rotation that explains it",
			failure{err: fmt.Errorf("%w: %w", ErrRotationLost, said(grant.Refused, "invalid_grant"))}, disabled, false,
		},
		{
			"another scope than was asked for", failure{err: &grant.Error{Class: grant.Misconfigured, Status: 200}},
			disabledToken, false,
		},
		{
			"another scope than the profile's",
			failure{err: &grant.Error{Class: grant.Misconfigured, Status: 200}, standard: true}, wait(time.Second, 1),
			false,
		},
		{
			"an unknown code for a scope", failure{err: said(grant.TransientSlow, "scope_invalid"), failures: 2},
			later(4*time.Second, 3), false,
		},
		{
			"a server that fails at a scope", failure{
				err: &grant.Error{Class: grant.Transient, Status: 500}, failures: 4, limit: capWithout,
			},
			later(2*time.Second, 5), false,
		},
		{
			"a server that asks for fewer requests", failure{
				err: &grant.Error{Class: grant.Transient, Status: 503}, failures: 4, limit: capWithout,
			},
			wait(2*time.Second, 5), false,
		},
		{"a bug", failure{err: &Panic{}, standard: true}, wait(time.Second, 1), false},
		{"a bug with a scope", failure{err: &Panic{}}, later(time.Second, 1), false},
		{
			"a refusal of the person", failure{err: said(grant.Refused, "access_denied"), standard: true}, disabled,
			false,
		},
		{"a refusal of an audience", failure{err: said(grant.Refused, "access_denied")}, disabledToken, false},
		{
			"a client that may not have this", failure{err: said(grant.Misconfigured, "unauthorized_client")},
			disabledToken, false,
		},
		{
			"a client that may nothing", failure{err: said(grant.Misconfigured, "unauthorized_client"), standard: true},
			disabled, false,
		},
		{
			"a bad parameter of a caller's", failure{err: said(grant.Misconfigured, "invalid_request")}, disabledToken,
			false,
		},
		{
			"a bad parameter of the profile's",
			failure{err: said(grant.Misconfigured, "invalid_request"), standard: true}, disabled, false,
		},
		{
			"a bad scope of the profile's", failure{err: said(grant.Misconfigured, "invalid_scope"), standard: true},
			disabledToken, false,
		},
		{
			"an unknown client",
			failure{err: said(grant.InvalidClient, "unauthorized_client"), standard: true}, wait(confirmAfter, 1),
			false,
		},
		{
			"an unknown client again",
			failure{err: said(grant.InvalidClient, "invalid_client"), failureState: suspected, standard: true},
			probed(time.Hour, 1), false,
		},
		{
			"an unknown client at the third probe", failure{
				err: said(grant.InvalidClient, "invalid_client"), failureState: suspected, standard: true, probes: 3,
			},
			probed(8*time.Hour, 4), false,
		},
		{
			"an unknown client at the thirtieth probe", failure{
				err: said(grant.InvalidClient, "invalid_client"), failureState: suspected, standard: true, probes: 30,
			},
			probed(24*time.Hour, 31), false,
		},
		{
			"an unknown client in other words", failure{
				err: said(grant.InvalidClient, "unauthorized_client"), failureState: suspected, standard: true,
			},
			disabled, false,
		},
		{
			"an unknown client without a word",
			failure{err: said(grant.InvalidClient, ""), failureState: suspected, standard: true}, disabled, false,
		},
		{
			"a scope's unknown client", failure{err: said(grant.InvalidClient, "invalid_client")},
			later(confirmAfter, 1), false,
		},
		{"a lost answer", failure{err: said(grant.Ambiguous, "")}, wait(2*time.Second, 1), true},
		{"a lost rotation", failure{err: lost}, wait(2*time.Second, 1), true},
		{
			"a second lost answer", failure{
				err: said(grant.Ambiguous, ""), failureState: retried, failures: 1, limit: capWithout,
			},
			wait(2*time.Second, 2), false,
		},
		{
			"a fifth lost answer", failure{
				err: said(grant.Ambiguous, ""), failureState: retried, failures: 4, limit: 80 * time.Second,
			},
			wait(10*time.Second, 5), false,
		},
		{
			"an outage", failure{err: said(grant.Transient, ""), failures: 4, limit: capWithout},
			wait(2*time.Second, 5), false,
		},
		{"a proxy's page", failure{err: said(grant.TransientSlow, "")}, wait(time.Second, 1), false},
		{
			"the refused token again", failure{err: ErrSameToken, life: life}, Block{Until: after(now, time.Minute)},
			false,
		},
		{
			"the refused short token again", failure{err: ErrSameToken, life: 20 * time.Second},
			Block{Until: after(now, 20*time.Second)}, false,
		},
		{"a locked keychain", failure{err: keystore.ErrLocked, failures: 3}, wait(time.Second, 4), false},
		{"a missing credential", failure{err: keystore.ErrNotFound, failures: 9}, wait(localBackoff, 10), false},
	} {
		got, retryLost := judge(c.f, now)
		if c.want.Err = c.f.err; got != c.want || retryLost != c.retryLost {
			t.Errorf("%s: got %+v, %v, want %+v, %v", c.name, got, retryLost, c.want, c.retryLost)
		}
	}
}

func TestALostAnswerIsRetriedQuicklyOnce(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(&grant.Error{Class: grant.Ambiguous}))
		_, err := get(t, b, Unset)
		wantUnavailable(t, err)
		time.Sleep(time.Hour) // no caller
		synctest.Wait()
		if w.count() != 2 {
			t.Fatalf("%d requests, want one and its retry", w.count())
		}
		for range 100 {
			get(t, b, Unset)
			time.Sleep(100 * time.Millisecond)
		}
		answered := w.latency
		if gap := w.call(1) - w.call(0) - answered; gap < 2*time.Second || gap > 5*time.Second {
			t.Errorf("retried after %s", gap)
		}
		for i := 3; i < w.count(); i++ {
			if gap := w.call(i) - w.call(i-1) - answered; gap < 2*time.Second {
				t.Errorf("request %d follows after %s", i+1, gap)
			}
		}
		w.refuse(nil)
		time.Sleep(capWithCaller)
		first := mustGet(t, b, Unset)
		w.refuse(always(&grant.Error{Class: grant.Ambiguous})) // after a success the next one has its quick retry again
		before := w.count()
		if _, err := b.Verify(t.Context(), "p"); err == nil {
			t.Fatal("verified by a lost answer")
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := w.count() - before; n != 2 {
			t.Errorf("%d requests after the next lost answer", n)
		}
		if got := mustGet(t, b, Unset); got != first {
			t.Errorf("a lost answer took the valid token away: %s", got)
		}
	})
}

// A refusal of an audience, in each of the ways of servers, does not concern the profile's default token.
func TestAWrongAudienceHurtsOnlyItself(t *testing.T) {
	for code, class := range map[string]grant.Class{
		"access_denied": grant.Refused, "unauthorized_client": grant.Misconfigured,
		"invalid_request": grant.Misconfigured,
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.refuse(func(n int) error {
				if w.request(n-1).Audience != "" {
					return refusal(class, code)
				}
				return nil
			})
			mustGet(t, b, Unset)
			for range 5 {
				_, err := b.Token(t.Context(), Query{Profile: "p", Audience: "https://typo", MinTTL: Unset})
				wantUnavailable(t, err)
			}
			if st, _ := b.Status("p"); w.count() != 2 || st.Err != nil {
				t.Errorf("%s: %d requests; the status says %v", code, w.count(), st.Err)
			}
			time.Sleep(life)
			mustGet(t, b, Unset)
		})
	}
}

func TestARefusedTokenThatComesAgainIsNotAskedForEachSecond(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.same = true
		bad := mustGet(t, b, Unset)
		_, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset, Refused: keystore.SecretString(bad)})
		wantUnavailable(t, err)
		before := w.count()
		for range 300 {
			time.Sleep(time.Second)
			_, err := get(t, b, Unset)
			if u := wantUnavailable(t, err); !errors.Is(err, ErrSameToken) || u.RetryAfter <= 0 {
				t.Fatalf("got %v, retry after %s", err, u.RetryAfter)
			}
		}
		if n := w.count() - before; n < 4 || n > 5 {
			t.Errorf("%d requests in five minutes", n)
		}
	})
}

func TestMoreTokensThanAreKeptAreRefusedWhileAllAreWaitedFor(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.latency = 300 * time.Millisecond
		got := make(chan error, 2*maxTokens)
		for i := range 2 * maxTokens {
			go func() {
				_, err := b.Token(t.Context(), Query{Profile: "p", Audience: fmt.Sprintf("a%d", i), MinTTL: Unset})
				got <- err
			}()
		}
		synctest.Wait()
		mustGet(t, b, 0) // nothing keeps the default out
		refused := 0
		for range cap(got) {
			if err := <-got; err != nil {
				refused++
				if u := wantUnavailable(t, err); !errors.Is(err, ErrManyTokens) || u.RetryAfter <= 0 {
					t.Errorf("got %v", err)
				}
			}
		}
		if refused != maxTokens {
			t.Errorf("%d of %d were refused", refused, cap(got))
		}
		if _, err := b.Token(t.Context(), Query{Profile: "p", Audience: "later", MinTTL: Unset}); err != nil {
			t.Errorf("when no caller waits any more: %v", err)
		}
	})
}

// A profile whose callers were only ever served the token of its sign-in is renewed after a suspend like any other.
func TestASuspendIsNoticedBeforeAnybodyAsksTheOwner(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		fresh(w, b, map[string]Source{"p": w})
		w.boot.Add(int64(11 * time.Minute))
		time.Sleep(2*suspendPoll + resumeSpread)
		synctest.Wait()
		if w.count() != 1 {
			t.Errorf("%d requests", w.count())
		}
	})
}
