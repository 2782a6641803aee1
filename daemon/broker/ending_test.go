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

// ender is a server that ends every earlier access token of the session when its refresh token is used, and an API that
// asks it. It grants what is asked for, and granted where nothing is.
type ender struct {
	*env
	granted string
}

func (e *ender) Obtain(ctx context.Context, r grant.Request, need Need) (grant.Token, error) {
	t, err := e.env.Obtain(ctx, r, need)
	t.Refreshed = err == nil || errors.Is(err, errWider)
	if t.Scope = e.granted; len(r.Scope) > 0 {
		t.Scope = r.Scope[0]
	}
	return t, err
}

// takes reports whether an API accepts a token.
func (e *ender) takes(t grant.Token) bool {
	return t.Access.Reveal() == fmt.Sprintf("token-%d", e.count()) && t.Remaining(e.now()) > 0
}

// session runs a test in a bubble with a profile "p" at an ender.
func session(t *testing.T, test func(t *testing.T, e *ender, b *Broker)) {
	t.Helper()
	in(t, func(t *testing.T, w *env, b *Broker) {
		e := &ender{env: w, granted: "read write"}
		b.Put(map[string]Source{"p": e})
		test(t, e, b)
	})
}

func (e *ender) configured(b *Broker, ends bool) {
	e.ends = &ends
	b.Put(map[string]Source{"p": e})
}

func mustHave(t *testing.T, b *Broker, q Query) grant.Token {
	t.Helper()
	q.Profile = "p"
	if q.MinTTL == 0 {
		q.MinTTL = Unset
	}
	token, err := b.Token(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// report says that an API refused a token.
func report(t *testing.T, b *Broker, q Query, token grant.Token) (grant.Token, error) {
	t.Helper()
	q.Profile, q.MinTTL, q.Refused = "p", Unset, keystore.SecretString(token.Access.Reveal())
	return b.Token(t.Context(), q)
}

// A refusal of a token far from its end that a renewal has come after says what the server is: of a token beside the
// renewed one, and of the one before it. Others say nothing.
func TestWhatARefusalSaysOfTheServer(t *testing.T) {
	read, standard := Query{Scope: "read"}, Query{}
	for _, c := range []struct {
		name string
		want Ending
		do   func(t *testing.T, e *ender, b *Broker)
	}{
		{"beside the renewed one", EndingRefused, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			mustHave(t, b, read)
			report(t, b, standard, first)
		}},
		{"of a scope beside the renewed one", EndingRefused, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, read)
			mustHave(t, b, standard)
			_, err := report(t, b, read, first)
			if !errors.Is(err, ErrOneToken) {
				t.Errorf("got %v", err)
			}
		}},
		{"the one before", EndingRefused, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			time.Sleep(life * 75 / 100)
			synctest.Wait()
			if got, err := report(t, b, standard, first); err != nil || !e.takes(got) {
				t.Errorf("got %v, %v", got, err)
			}
		}},
		{"the one before, near its end", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			time.Sleep(life - waitBelow(life))
			report(t, b, standard, first)
		}},
		{"beside, near its end", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, read)
			e.refuse(func(n int) error { // no renewal of it
				if e.request(n - 1).Scope[0] == "read" {
					return refusal(grant.TransientSlow, "scope_invalid")
				}
				return nil
			})
			time.Sleep(life - waitBelow(life))
			mustHave(t, b, Query{Scope: "write"})
			report(t, b, read, first)
		}},
		{"after a token that was not taken", EndingRefused, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			e.refuse(always(errWider))
			askFor(t, b, read)
			e.refuse(nil)
			if got, err := report(t, b, standard, first); err != nil || !e.takes(got) {
				t.Errorf("got %v, %v", got, err)
			}
		}},
		{"the newest", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			mustHave(t, b, read)
			report(t, b, standard, mustHave(t, b, standard))
		}},
		{"one that is not known", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			mustHave(t, b, standard)
			mustHave(t, b, read)
			report(t, b, standard, grant.Token{Access: keystore.SecretString("another")})
		}},
		{"after the newest was refused too", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			report(t, b, read, mustHave(t, b, read))
			report(t, b, standard, first)
		}},
		{"and the newest is refused later", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			mustHave(t, b, read)
			second, err := report(t, b, standard, first)
			if err != nil || endingOf(b) != EndingRefused {
				t.Fatalf("%v, %v", endingOf(b), err)
			}
			report(t, b, standard, second)
		}},
		{"a request failed after the newest", EndingRefused, func(t *testing.T, e *ender, b *Broker) {
			first := mustHave(t, b, standard)
			mustHave(t, b, read)
			second, _ := report(t, b, standard, first)
			e.refuse(always(&grant.Error{Class: grant.Ambiguous}))
			b.Verify(t.Context(), "p") // its answer is lost: it may have ended the token
			report(t, b, standard, second)
		}},
		{"where the configuration says that it is not so", EndingUnknown, func(t *testing.T, e *ender, b *Broker) {
			e.configured(b, false)
			first := mustHave(t, b, standard)
			mustHave(t, b, read)
			report(t, b, standard, first)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			session(t, func(t *testing.T, e *ender, b *Broker) {
				c.do(t, e, b)
				if got := endingOf(b); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}

// A machine's tokens have no session: a refusal says nothing of what a renewal ends.
func TestAMachinesTokensEndOnlyByThemselves(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		first := mustHave(t, b, Query{})
		mustHave(t, b, Query{Scope: "read"})
		report(t, b, Query{}, first)
		if got := endingOf(b); got != EndingUnknown {
			t.Errorf("%q", got)
		}
	})
}

// At an ordinary server nothing changes: tokens beside each other are served until their own renewal.
func TestAtAnOrdinaryServerSiblingsAreServed(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refreshed = true
		first := mustHave(t, b, Query{})
		for i := range 5 {
			mustHave(t, b, Query{Scope: fmt.Sprint("s", i)})
		}
		if got := mustHave(t, b, Query{}); !got.Access.Equal(first.Access) || w.count() != 6 {
			t.Errorf("got %v after %d requests", got, w.count())
		}
		if st, _ := b.Status("p"); st.Tokens != 6 || st.Ending != EndingUnknown {
			t.Errorf("%+v", st)
		}
	})
}

// Where the session has one token it is the default one. Another scope or audience is refused without a request, unless
// it is exactly what the default token was granted.
func TestAServerThatKeepsOneTokenASession(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		e.configured(b, true)
		for _, same := range []string{"read write", "write  read"} { // also before anything is known
			if got := mustHave(t, b, Query{Scope: same}); !e.takes(got) || got.Scope != e.granted {
				t.Errorf("got %v", got)
			}
		}
		first := mustHave(t, b, Query{})
		for _, q := range []Query{{Scope: "read"}, {Scope: "read write admin"}, {Audience: "https://a"},
			{Scope: "read write", Audience: "https://a"}} {
			err := askFor(t, b, q)
			if u := wantUnavailable(t, err); !errors.Is(err, ErrOneToken) || u.RetryAfter != 0 {
				t.Errorf("%v: got %v", q, err)
			}
		}
		if got := mustHave(t, b, Query{}); !got.Access.Equal(first.Access) || e.count() != 1 {
			t.Errorf("got %v after %d requests", got, e.count())
		}
	})
}

// A narrower request is not served with the default token, and costs one request at most where that is not known yet.
func TestAWiderTokenIsNotHandedOutForANarrowerRequest(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		e.configured(b, true)
		for range 10 {
			if err := askFor(t, b, Query{Scope: "read"}); !errors.Is(err, ErrOneToken) {
				t.Fatalf("got %v", err)
			}
		}
		if e.count() != 1 {
			t.Errorf("%d requests", e.count())
		}
	})
}

// The renewal comes when the next caller would wait for it. Until then the token is good; callers who ask during the
// renewal wait for its result, and get the new token.
func TestOneTokenASessionIsRenewedLate(t *testing.T) {
	for _, l := range []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour} {
		session(t, func(t *testing.T, e *ender, b *Broker) {
			e.life = l
			e.configured(b, true)
			first := mustHave(t, b, Query{})
			earliest := e.call(0) + l - wanted(unset, l) - min(l/20, 30*time.Second)
			for e.count() == 1 {
				got := mustHave(t, b, Query{})
				if !e.takes(got) {
					t.Fatalf("L = %s: a dead token %s after it came", l, e.now().Sub(got.Sent))
				}
				time.Sleep(e.latency / 3)
			}
			if at := e.call(1); at < earliest || at > earliest+min(l/20, 30*time.Second)+time.Second {
				t.Errorf("L = %s: renewed after %s", l, at-e.call(0))
			}
			got := mustHave(t, b, Query{}) // the renewal is under way
			if !e.takes(got) || got.Access.Equal(first.Access) {
				t.Errorf("L = %s: got %v during the renewal", l, got)
			}
		})
	}
}

// A renewal that fails gives the token back that it would have ended.
func TestAFailedRenewalLeavesTheOneToken(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		e.configured(b, true)
		first := mustHave(t, b, Query{})
		e.refuse(always(&grant.Error{Class: grant.Transient, Status: 503}))
		time.Sleep(life - wanted(unset, life))
		for first.Remaining(e.now()) > lastServed(life)+2*e.latency {
			if got := mustHave(t, b, Query{}); !got.Access.Equal(first.Access) {
				t.Fatalf("got %v", got)
			}
			time.Sleep(time.Second)
		}
	})
}

// Two programs, one of which wants another scope: no token that is handed out is dead but those by which the server
// shows what it is, and requests are as many as the one token needs.
func TestADayAtAServerThatEndsTokens(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		use := func(q Query) (dead int) {
			q.Profile, q.MinTTL = "p", Unset
			token, err := b.Token(t.Context(), q)
			for err == nil && !e.takes(token) {
				dead++
				token, err = report(t, b, q, token)
			}
			if err != nil && !(q.Scope != "" && errors.Is(err, ErrOneToken)) {
				t.Fatalf("%v: %v", q, err)
			}
			return dead
		}
		dead := 0
		for range 24 * 60 {
			dead += use(Query{}) + use(Query{Scope: "admin"})
			time.Sleep(time.Minute)
		}
		if dead > 1 {
			t.Errorf("%d dead tokens were handed out", dead)
		}
		if most := int(24*time.Hour/(life-wanted(unset, life)-30*time.Second)) + 4; e.count() > most {
			t.Errorf("%d requests, want %d at most", e.count(), most)
		}
	})
}

// What was learned of a server outlives a restart and a new sign-in there, not another server or a configuration that
// says more. A token that another groatd hands over is the default one.
func TestWhatWasLearnedOfAServerIsKept(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		var kept recorded
		b.Recorder = kept.record
		first := mustHave(t, b, Query{})
		mustHave(t, b, Query{Scope: "read"})
		report(t, b, Query{}, first)
		last := kept.last()
		if last.Ending != EndingRefused {
			t.Fatalf("recorded %+v", last)
		}
		next := New(e.now)
		defer next.Close(t.Context())
		next.Recorder = kept.record
		next.Put(map[string]Source{"p": e})
		next.Restore("p", last)
		token := grant.Token{
			Access: keystore.SecretString("old"), Sent: e.now(), Lifetime: life, Scope: "read write", Refreshed: true,
		}
		if next.Adopt(Cached{Profile: "p", Scope: "read", Token: token}) {
			t.Error("another scope's token was taken over")
		}
		if !next.Adopt(Cached{Profile: "p", Token: token, Used: e.now().Boot}) {
			t.Error("the token was not taken over")
		}
		if err := askFor(t, next, Query{Scope: "read"}); !errors.Is(err, ErrOneToken) {
			t.Errorf("after a restart: %v", err)
		}
		next.Install("p", e, token)
		if endingOf(next) != EndingRefused || kept.last().Ending != EndingRefused {
			t.Errorf("after a sign-in: %v, recorded %+v", endingOf(next), kept.last())
		}
		next.Put(map[string]Source{"p": otherServer{e}})
		if endingOf(next) != EndingUnknown || kept.last().Ending != EndingUnknown {
			t.Errorf("at another server: %v, recorded %+v", endingOf(next), kept.last())
		}
		e.configured(next, true)
		if endingOf(next) != EndingConfigured || kept.last().Ending != EndingUnknown {
			t.Errorf("configured: %v, recorded %+v", endingOf(next), kept.last())
		}
		e.configured(next, false)
		next.Restore("p", Remembered{Ending: EndingRefused})
		if endingOf(next) != EndingUnknown {
			t.Errorf("configured otherwise: %v", endingOf(next))
		}
	})
}

// otherServer is a source of another token endpoint.
type otherServer struct{ *ender }

func (otherServer) URL() string { return "https://elsewhere.example.org/token" }

// Callers who wait for another scope when the server shows what it is are told, and no request leaves for them.
func TestWhoeverWaitsForAnotherScopeIsTold(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		first := mustHave(t, b, Query{})
		mustHave(t, b, Query{Scope: "read"})
		got := make(chan error, 1)
		e.latency = 5 * time.Second
		go func() { // the one request is under way for this one
			_, err := b.Token(t.Context(), Query{Profile: "p", Scope: "write", MinTTL: Unset})
			got <- err
		}()
		synctest.Wait()
		waits := make(chan error, 1)
		go func() {
			_, err := b.Token(t.Context(), Query{Profile: "p", Scope: "admin", MinTTL: Unset})
			waits <- err
		}()
		synctest.Wait()
		again, err := report(t, b, Query{}, first)
		if err := <-waits; !errors.Is(err, ErrOneToken) {
			t.Errorf("who waits: %v", err)
		}
		if err := <-got; err != nil {
			t.Errorf("whose request was under way: %v", err)
		}
		if err != nil || !e.takes(again) || e.count() != 4 {
			t.Errorf("the default token after %d requests: %v", e.count(), err)
		}
	})
}

// introspected is an ender that says whether its tokens are good: active says it of the newest, and of another.
type introspected struct {
	*ender
	active func(token string, newest bool) (bool, error)
	asked  []string
}

func (i *introspected) Introspects() bool { return i.active != nil }

func (i *introspected) Active(_ context.Context, t grant.Token) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	token := t.Access.Reveal()
	i.asked = append(i.asked, token)
	return i.active(token, token == fmt.Sprintf("token-%d", len(i.calls)))
}

// Where the server can be asked it is, once after the first renewal: about the new token, then about the one before it.
func TestAServerIsAskedWhatARenewalHasEnded(t *testing.T) {
	unreachable := error(&grant.Error{Class: grant.Transient, Reason: "cannot be reached"})
	tries := 0
	for _, c := range []struct {
		name   string
		active func(token string, newest bool) (bool, error)
		want   Ending
		asked  int // of two renewals
	}{
		{"it ends them", func(_ string, newest bool) (bool, error) { return newest, nil }, EndingIntrospected, 2},
		{"it does not", func(string, bool) (bool, error) { return true, nil }, EndingUnknown, 2},
		{"it tells this client of none", func(string, bool) (bool, error) { return false, nil }, EndingUnknown, 1},
		{"it refuses to say", func(string, bool) (bool, error) {
			return false, &grant.Error{Class: grant.InvalidClient, Status: 401}
		}, EndingUnknown, 1},
		{"a bug", func(string, bool) (bool, error) { panic("a bug") }, EndingUnknown, 1},
		{"it is not reached the first time", func(_ string, newest bool) (bool, error) {
			if tries++; tries == 1 {
				return false, unreachable
			}
			return newest, nil
		}, EndingIntrospected, 3},
		{"it does not offer that", nil, EndingUnknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			session(t, func(t *testing.T, e *ender, b *Broker) {
				i := &introspected{ender: e, active: c.active}
				b.Put(map[string]Source{"p": i})
				mustHave(t, b, Query{})
				for range 2 {
					time.Sleep(life * 8 / 10)
					synctest.Wait()
				}
				if got := endingOf(b); got != c.want || len(i.asked) != c.asked {
					t.Errorf("%q, want %q; asked about %v", got, c.want, i.asked)
				}
			})
		})
	}
}

// A server that says that the earlier token is good is believed, whatever an API refuses.
func TestWhatTheServerSaysCountsMoreThanARefusal(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		i := &introspected{ender: e, active: func(string, bool) (bool, error) { return true, nil }}
		b.Put(map[string]Source{"p": i})
		first := mustHave(t, b, Query{})
		mustHave(t, b, Query{Scope: "read"})
		synctest.Wait()
		report(t, b, Query{}, first)
		if got := endingOf(b); got != EndingUnknown {
			t.Errorf("%q", got)
		}
	})
}

// Nothing is asked of a server for a profile that has gone meanwhile, or that has another credential.
func TestAnAnswerAboutAnEarlierCredentialIsDiscarded(t *testing.T) {
	session(t, func(t *testing.T, e *ender, b *Broker) {
		i := &introspected{ender: e}
		i.active = func(_ string, newest bool) (bool, error) { return newest, nil }
		replaced := func(token string, newest bool) (bool, error) {
			time.Sleep(time.Second)
			return newest, nil
		}
		late := &introspected{ender: e, active: replaced}
		b.Put(map[string]Source{"p": late})
		mustHave(t, b, Query{})
		mustHave(t, b, Query{Scope: "read"})
		synctest.Wait()
		b.Put(map[string]Source{"p": i})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := endingOf(b); got != EndingUnknown || len(late.asked) == 0 {
			t.Errorf("%q; asked about %v", got, late.asked)
		}
	})
}
