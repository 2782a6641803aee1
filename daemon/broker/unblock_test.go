package broker

import (
	"errors"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

// A person unlocks the keystore after some callers have met a locked one. The next caller need not wait.
func TestAnOpenedKeystoreIsTriedAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world, b *Broker) {
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
