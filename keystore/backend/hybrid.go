package backend

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/keystore/sealed"
)

// hybrid is the keychain for what is small and stays as it is, with a sealed file beside it for what rotates or is
// long. The file's key is one item in the keychain, made with the first item that needs it, read once and kept.
//
// An item is in one place. The lists of the choice say in which, so that the keychain is not asked for items that it
// does not have. While it moves its profile is on both lists, and then the sealed file decides: what it has counts, and
// only where it has nothing does the keychain's. So a move into the file is done once the file's record is durable, a
// move out of it once the record of its deletion is; and whatever ends the process in between, the old item or the new
// one is there, never none. Writes of one profile come one at a time ([keystore.PendingStore] sees to that).
type hybrid struct {
	names    *Keystore
	keychain keychain.Store
	sealed   *sealed.Store
	// sweepAfter is the earliest time (Unix ns) to retry deleting stale keychain copies.
	sweepAfter atomic.Int64
}

// sweepPause keeps a keychain that does not delete from delaying every rotation.
const sweepPause = time.Minute

// locationOf is where an item goes: by its content, not by its size of today alone.
func locationOf(item keystore.Item) location {
	if !item.RefreshToken.IsZero() || !item.PrivateKey.IsZero() {
		return inSealed
	}
	b, err := keystore.EncodeItem(item)
	defer b.Wipe()
	if err == nil && b.Len() > keychain.MaxItem {
		return inSealed
	}
	return inStore
}

// where returns where the lists say that the item may be: in both places where the profile is on no list, as after
// their file was lost.
func (h *hybrid) where(profile string) location {
	if p := h.names.remembered.Load().locations(profile); p != 0 {
		return p
	}
	return inStore | inSealed
}

// Get reads the item from where the lists say that it is.
func (h *hybrid) Get(ctx context.Context, profile string) (keystore.Item, error) {
	for {
		at := h.where(profile)
		item, err := h.getAt(ctx, profile, at)
		// It may have moved during the read; then it is where the lists say now.
		if !errors.Is(err, keystore.ErrNotFound) || h.where(profile) == at {
			return item, err
		}
	}
}

func (h *hybrid) getAt(ctx context.Context, profile string, at location) (item keystore.Item, err error) {
	if at&inSealed != 0 {
		if item, err = h.getSealed(ctx, profile); !errors.Is(err, keystore.ErrNotFound) {
			return item, err
		}
	}
	if at&inStore != 0 {
		item, err = h.keychain.Get(ctx, profile)
	}
	if at == inStore|inSealed && errors.Is(err, keystore.ErrNotFound) {
		return h.getSealed(ctx, profile) // where it may have gone between the two
	}
	return item, err
}

// getSealed reads the sealed file and makes neither a file nor a key.
func (h *hybrid) getSealed(ctx context.Context, profile string) (keystore.Item, error) {
	if h.sealed.Absent() {
		return keystore.Item{}, keystore.ErrNotFound
	}
	return h.sealed.Get(ctx, profile)
}

// Set writes where the item belongs, and then deletes what is at the other place. Both writes are read back by their
// stores.
func (h *hybrid) Set(ctx context.Context, profile string, item keystore.Item) error {
	if locationOf(item) == inSealed {
		if err := h.sealed.Set(ctx, profile, item); err != nil {
			return err
		}
		h.sweep(ctx, profile)
		return nil
	}
	if err := h.keychain.Set(ctx, profile, item); err != nil {
		return err
	}
	if h.names.remembered.Load().locations(profile)&inSealed == 0 {
		return nil
	}
	if err := h.deleteSealed(ctx, profile); err != nil {
		return fmt.Errorf("the old credential stays in force: %w", err)
	}
	h.names.unlist(ctx, profile, inSealed)
	return nil
}

// sweep deletes what a move into the sealed file left in the keychain. The item is stored whether or not that succeeds:
// what cannot be deleted stays on the list, counts for nothing and is tried again with a later Set.
func (h *hybrid) sweep(ctx context.Context, profile string) {
	if h.names.remembered.Load().locations(profile)&inStore == 0 || time.Now().UnixNano() < h.sweepAfter.Load() {
		return
	}
	if h.keychain.Delete(ctx, profile) != nil {
		h.sweepAfter.Store(time.Now().Add(sweepPause).UnixNano())
		return
	}
	h.names.unlist(ctx, profile, inStore)
}

func (h *hybrid) deleteSealed(ctx context.Context, profile string) error {
	if h.sealed.Absent() {
		return nil
	}
	return h.sealed.Delete(ctx, profile)
}

// Delete asks only the places where something may be: the keychain first, since without its record in the sealed file
// what was left in the keychain would count again.
func (h *hybrid) Delete(ctx context.Context, profile string) error {
	at := h.where(profile)
	if at&inStore != 0 {
		if err := h.keychain.Delete(ctx, profile); err != nil {
			return err
		}
	}
	if at&inSealed != 0 {
		return h.deleteSealed(ctx, profile)
	}
	return nil
}

// Probe tries the keychain, and the sealed file if there is one: it is made, with its key, only for an item that needs
// it.
func (h *hybrid) Probe(ctx context.Context) error {
	if err := h.keychain.Probe(ctx); err != nil || h.sealed.Absent() {
		return err
	}
	return h.sealed.Probe(ctx)
}

// MarkSent is for sessions, which are in the sealed file; of what is in the keychain nothing is used up by being sent.
func (h *hybrid) MarkSent(ctx context.Context, profile string) (doubt, err error) {
	if h.where(profile)&inSealed == 0 || h.sealed.Absent() {
		return nil, nil
	}
	doubt, err = h.sealed.MarkSent(ctx, profile)
	if errors.Is(err, keystore.ErrNotFound) && h.where(profile)&inStore != 0 {
		return nil, nil
	}
	return doubt, err
}

func (h *hybrid) MarkAnswered(ctx context.Context, profile string) error {
	if h.where(profile)&inSealed == 0 || h.sealed.Absent() {
		return nil
	}
	return h.sealed.MarkAnswered(ctx, profile)
}

func (h *hybrid) InDoubt(ctx context.Context) ([]string, error) { return h.sealed.InDoubt(ctx) }
