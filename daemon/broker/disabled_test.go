package broker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// onlyDefault is a server that refuses every scope, and a keystore that fails with keystoreIs unless that is nil.
func onlyDefault(w *env, keystoreIs error) func(int) error {
	return func(n int) error {
		switch {
		case keystoreIs != nil:
			return keystoreIs
		case w.request(n-1).Scope != nil:
			return refusal(grant.Misconfigured, "invalid_scope")
		}
		return nil
	}
}

func askFor(t *testing.T, b *Broker, q Query) error {
	t.Helper()
	q.Profile, q.MinTTL = "p", Unset
	_, err := b.Token(t.Context(), q)
	return err
}

// napOf is how long a profile's owner would sleep now.
func napOf(t *testing.T, b *Broker) (nap time.Duration) {
	t.Helper()
	s, _ := b.slot("p")
	if err := s.do(func() { nap = s.nap() }); err != nil {
		t.Fatal(err)
	}
	return nap
}

// A disabled token is not requested when the keystore opens, and the owner does not wake a thousand times a second
// because of it.
func TestADisabledTokenLetsTheOwnerSleep(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(onlyDefault(w, nil))
		wantUnavailable(t, askFor(t, b, Query{Scope: "nonsense"}))
		w.refuse(onlyDefault(w, keystore.ErrLocked))
		if err := askFor(t, b, Query{}); !errors.Is(err, keystore.ErrLocked) {
			t.Fatal(err)
		}
		w.refuse(onlyDefault(w, nil))
		b.KeystoreOpened()
		mustGet(t, b, Unset)
		synctest.Wait()
		before := w.count()
		if nap := napOf(t, b); nap < time.Minute {
			t.Errorf("the owner sleeps for %v", nap)
		}
		wantUnavailable(t, askFor(t, b, Query{Scope: "nonsense"}))
		if w.count() != before {
			t.Error("the disabled token was requested again")
		}
	})
}

// The same holds where an earlier process left the session in doubt and its default token disabled.
func TestADisabledProfileInDoubtLetsTheOwnerSleep(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		b.Restore("p", Remembered{Blocks: []Block{
			{Err: refusal(grant.Misconfigured, "invalid_scope"), Disabled: true},
		}})
		b.Recover("p")
		if nap := napOf(t, b); nap < time.Minute {
			t.Errorf("the owner sleeps for %v", nap)
		}
		time.Sleep(time.Hour)
		if w.count() != 0 {
			t.Errorf("%d requests", w.count())
		}
	})
}

// A rejection of the last token does not end a disabled state.
func TestARejectionDoesNotEnableAToken(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		token := func() keystore.Secret {
			got, err := b.Token(t.Context(), Query{Profile: "p", Scope: "read", MinTTL: Unset})
			if err != nil {
				t.Fatal(err)
			}
			return got.Access
		}
		w.life = 40 * time.Second
		// the one rejection that is believed
		if err := askFor(t, b, Query{Scope: "read", Refused: token()}); err != nil {
			t.Fatal(err)
		}
		w.refuse(always(refusal(grant.Misconfigured, "invalid_scope")))
		time.Sleep(32 * time.Second) // its renewal is refused
		held, before := token(), w.count()
		wantUnavailable(t, askFor(t, b, Query{Scope: "read", Refused: held}))
		time.Sleep(time.Hour)
		wantUnavailable(t, askFor(t, b, Query{Scope: "read"}))
		if n := w.count() - before; n != 0 {
			t.Errorf("%d requests for a disabled token", n)
		}
	})
}

// A token of one scope does not hide that the default token is disabled.
func TestAnotherScopesTokenDoesNotHideARefusal(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(func(n int) error {
			if w.request(n-1).Scope == nil {
				return refusal(grant.Misconfigured, "invalid_scope")
			}
			return nil
		})
		wantUnavailable(t, askFor(t, b, Query{}))
		if err := askFor(t, b, Query{Scope: "read"}); err != nil {
			t.Fatal(err)
		}
		if st, _ := b.Status("p"); st.Err == nil {
			t.Error("the status says that nothing is wrong")
		}
	})
}
