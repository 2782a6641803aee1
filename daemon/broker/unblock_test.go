package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// A person unlocks the keystore after some callers have met a locked one. The next caller need not wait.
func TestAnOpenedKeystoreIsTriedAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(keystore.ErrLocked))
		for range 5 {
			if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); !errors.Is(err, keystore.ErrLocked) {
				t.Fatalf("a locked keystore: %v", err)
			}
		}
		w.refuse(nil)
		if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); !errors.Is(err, keystore.ErrLocked) {
			t.Fatalf("the failure is not remembered (%v): this test shows nothing", err)
		}
		b.KeystoreOpened()
		mustGet(t, b, Unset)
	})
}

// A person sets the missing proxy in the middle of an outage. The next caller need not wait; a Block that has nothing
// to do with connections stays.
func TestH73AChangedNetworkIsTriedAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *env, b *Broker) {
		far := &grant.Error{
			Class: grant.Transient, Where: "auth.example.org", Reason: "cannot be reached", Trouble: grant.Unreachable,
		}
		w.refuse(always(far))
		outage := false
		for range 200 {
			_, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset})
			if err == nil {
				t.Fatal("a token all the same")
			}
			if _, outage = errors.AsType[*Outage](err); outage {
				break
			}
			time.Sleep(time.Second) // the bubble's
		}
		if !outage {
			t.Fatal("no outage: this test shows less than it says")
		}
		w.refuse(nil)
		if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); err == nil {
			t.Fatal("the failure is not remembered: this test shows nothing")
		}
		b.NetworkChanged()
		mustGet(t, b, Unset)
	})
	in(t, func(t *testing.T, w *env, b *Broker) {
		w.refuse(always(&grant.Error{
			Class: grant.Refused, Where: "auth.example.org", Reason: "refuses to give a token",
		}))
		if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); err == nil {
			t.Fatal("a token all the same")
		}
		w.refuse(nil)
		b.NetworkChanged()
		if _, err := b.Token(t.Context(), Query{Profile: "p", MinTTL: Unset}); err == nil {
			t.Error("a refusal was forgotten")
		}
	})
}
