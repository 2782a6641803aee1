package daemon

import (
	"context"
	"fmt"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// locksmith keeps the passphrases that it is lent, which it must not, and how long each was.
type locksmith struct {
	memory
	fails error
	lent  []keystore.Secret
	long  []int
}

func (l *locksmith) Use(_ context.Context, _, _ string, passphrase keystore.Secret) error {
	return l.Unlock(context.Background(), passphrase)
}

func (l *locksmith) Unlock(_ context.Context, passphrase keystore.Secret) error {
	l.lent, l.long = append(l.lent, passphrase), append(l.long, passphrase.Len())
	return l.fails
}

// A passphrase is gone from memory when the answer is there, whatever the answer is.
func TestPassphraseIsWiped(t *testing.T) {
	for _, fails := range []error{nil, fmt.Errorf("%w: not that one", keystore.ErrLocked)} {
		store := &locksmith{memory: memory{&keystore.Memory{}}, fails: fails}
		h := newHouseWith(t, sandbox.Options{}, store)
		for method, params := range map[string]any{
			protocol.MethodKeystore: map[string]string{"use": "sealed", "key": "passphrase", "passphrase": "correct horse"},
			protocol.MethodUnlock:   map[string]string{"passphrase": "correct horse"},
		} {
			if err := h.client(t).Call(t.Context(), method, params, nil); (err == nil) != (fails == nil) {
				t.Errorf("%s: %v, want %v", method, err, fails)
			}
		}
		if len(store.lent) != 2 {
			t.Fatalf("%d passphrases arrived, want 2", len(store.lent))
		}
		for i, s := range store.lent {
			if store.long[i] != len("correct horse") || !s.IsZero() {
				t.Errorf("of %d bytes, %d are left", store.long[i], s.Len())
			}
		}
	}
}
