package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
)

// healthFor is how long the result of a check of the keychain is used again, so that a watched status does not
// keep the bus busy.
const healthFor = time.Second

// Status says what is chosen and whether it can be used now. It writes nothing, and with a keychain that hangs takes at
// most [keychain.Limit].
func (k *Keystore) Status(ctx context.Context) keystore.Status {
	b := k.current.Load()
	if b == nil {
		return keystore.Status{Use: Auto, State: "undecided", Message: "the first login chooses"}
	}
	s := keystore.Status{Use: b.Use, Key: b.Key, State: "ok"}
	ctx, cancel := context.WithTimeout(ctx, keychain.Limit)
	defer cancel()
	var err error
	switch {
	case b.hybrid != nil:
		err = k.hybridHealth(ctx, b.hybrid)
	case b.sealed != nil:
		if err = b.sealed.Open(ctx); errors.Is(err, keystore.ErrNotFound) {
			err = nil // it is made with the first credential
		}
	}
	if left := k.remembered.Load().Left; left != nil {
		s.Message = fmt.Sprintf("what was moved is still in %q too, and is erased by: %s", left.Use, b.moveCommand())
	}
	if err != nil {
		s.State, s.Message = "unavailable", err.Error()
		if errors.Is(err, keystore.ErrLocked) {
			s.State = "locked"
		}
	}
	return s
}

// hybridHealth is the keychain's, and where that is well, the sealed file's beside it.
func (k *Keystore) hybridHealth(ctx context.Context, m *hybrid) error {
	err := k.keychainHealth(ctx)
	switch {
	case err != nil && m.sealed.IsOpen():
		return fmt.Errorf("%w; the sealed file beside the keychain is open, and what it holds can be used", err)
	case err != nil || m.sealed.Absent():
		return err
	}
	return m.sealed.Open(ctx)
}

func (k *Keystore) keychainHealth(ctx context.Context) error {
	k.mu.Lock()
	at, last := k.checked, k.health
	k.mu.Unlock()
	if !at.IsZero() && time.Since(at) < healthFor {
		return last
	}
	err := new(keychain.Store).Ready(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checked, k.health = time.Now(), err
	return err
}

func (k *Keystore) forgetHealth() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.checked = time.Time{}
}
