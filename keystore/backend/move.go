package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/keystore/sealed"
)

// moveLimit bounds a move: a keychain takes up to 90 ms for an item.
const moveLimit = 2 * time.Minute

// Move carries every credential to another store, and then uses that one. The order is: write down where to, copy, read
// each copy back, write down that the new store is the one that is used, erase the old one, write down that it is
// erased. Whatever ends the process, what keystore.json says is used holds every credential, and Move again does the
// rest. What cannot be copied ends it before anything is erased. Nothing is changed in the old store meanwhile: a
// write waits for up to 10 s.
//
// use and key are as in [Keystore.Use], but for memory. The passphrase stays the caller's.
func (k *Keystore) Move(ctx context.Context, use, key string, passphrase keystore.Secret) error {
	key, err := k.resolveKey(use, key)
	if err != nil {
		return err
	}
	if use == Memory {
		return fmt.Errorf("%w: a keystore that ends with groatd is no place to move credentials to",
			keystore.ErrConflict)
	}
	old := k.current.Load()
	if old == nil {
		return k.Use(ctx, use, key, passphrase) // nothing is stored yet
	}
	if err := old.missing(); err != nil {
		return err
	}
	if old.Use != use || old.Key != key {
		return k.relocate(ctx, store{Use: use, Key: key}, passphrase)
	}
	if err := k.unlock(ctx, old, passphrase); err != nil {
		return err
	}
	release, err := k.lockChoice(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.eraseLeftovers(ctx)
}

// Passphrase replaces the sealed file's passphrase: its items are moved to a new file, as by [Keystore.Move]. Whatever
// ends the process, the old passphrase opens the file or the new one does. Both stay the caller's.
func (k *Keystore) Passphrase(ctx context.Context, old, passphrase keystore.Secret) error {
	b := k.current.Load()
	switch {
	case b == nil:
		return keystore.ErrUndecided
	case b.Use != Sealed || b.Key != KeyPassphrase:
		return fmt.Errorf("%w: the keystore %q has no passphrase", keystore.ErrConflict, b.Use)
	case old.IsZero() || passphrase.IsZero():
		return fmt.Errorf("%w: the old and the new passphrase are needed", keystore.ErrLocked)
	}
	if err := b.missing(); err != nil {
		return err
	}
	if err := k.unlock(ctx, b, old); err != nil {
		return err
	}
	return k.relocate(ctx, b.store, passphrase)
}

// afterStep is called behind each step of a move, for a test that ends the process there.
var afterStep = func(string) {}

// copied is an item and what is known about it.
type copied struct {
	profile string
	item    keystore.Item
	inDoubt bool // its refresh token was sent, and the answer is not known
}

// relocate moves everything to the store to, in a file of its own.
func (k *Keystore) relocate(ctx context.Context, to store, passphrase keystore.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, moveLimit)
	defer cancel()
	if to.Use == Keychain || to.Key == KeyKeychain { // before choiceLock is taken: a person may be asked
		if err := new(keychain.Store).Unlock(ctx); err != nil {
			return err
		}
	}
	if b := k.current.Load(); b.hybrid != nil || b.Key == KeyKeychain {
		if err := new(keychain.Store).Unlock(ctx); err != nil {
			return err
		}
	}
	release, err := k.lockIdle(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := k.eraseLeftovers(ctx); err != nil {
		return err
	}
	old := k.current.Load()
	all, err := k.readItems(ctx, old)
	defer func() {
		for _, c := range all {
			c.item.Wipe()
		}
	}()
	if err != nil {
		return err
	}
	if to.File, err = k.freeFile(old); err != nil {
		return err
	}
	next := *k.remembered.Load()
	next.Next = &to
	if err := k.saveChoice(next); err != nil {
		return err
	}
	afterStep("next")
	b := k.backend(to)
	lists, err := k.copyItems(ctx, b, all, passphrase)
	if err == nil {
		next.store, next.Profiles, next.Sealed = to, lists.Profiles, lists.Sealed
		next.Next, next.Left = nil, &left{store: old.store}
		if old.Use == Keychain {
			next.Left.Profiles = k.remembered.Load().Profiles
		}
		if old.Use == Memory {
			next.Left = nil
		}
		afterStep("copied")
		err = k.saveChoice(next)
		switch now, reading := load(k.options.StateDir); {
		case err == nil:
		case reading != nil: // either store may be what the next process finds, and both have everything
			return errors.Join(err, b.close())
		case now.store == to: // it is what the next process finds, so this one goes on with it
			k.remembered.Store(&next)
			k.current.Store(b)
			return errors.Join(err, old.close())
		}
	}
	if err != nil {
		if left := errors.Join(b.close(), k.eraseLeftovers(ctx)); left != nil { // what was copied goes
			err = fmt.Errorf("%w; and %w", err, left)
		}
		return err
	}
	afterStep("switched")
	k.current.Store(b)
	old.close()
	for _, c := range all {
		if old.Use == Memory {
			old.Delete(ctx, c.profile)
		}
	}
	if err := k.eraseLeftovers(ctx); err != nil {
		return fmt.Errorf("the credentials are moved, but what is left of them in %q could not be erased: %w",
			old.Use, err)
	}
	return nil
}

// freeFile returns the name of a sealed file that does not exist. A file that the choice does not name is not used, for
// its key may be another one, and not removed, for it may be a person's only copy.
func (k *Keystore) freeFile(old *backend) (string, error) {
	var taken []string
	for i, name := range files {
		path := k.options.files(name).Path
		switch {
		case old.sealed != nil && old.file() == name:
		case sealed.Exists(path):
			taken = append(taken, path)
		case i == 0:
			return "", nil
		default:
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: %s is not in use, and in the way: move it elsewhere", keystore.ErrConflict,
		strings.Join(taken, " and "))
}

// lockIdle takes choiceLock at a moment when no change is under way.
func (k *Keystore) lockIdle(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, choiceLockLimit)
	defer cancel()
	for {
		release, err := k.lockChoice(ctx)
		if err != nil || k.storing.Load() == 0 {
			return release, err
		}
		release() // a change may need the lock to end
		select {
		case <-k.idle:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: a credential is just being stored: try again", keystore.ErrUnavailable)
		}
	}
}

// readItems reads everything that a store holds. The error names what cannot be read; the items are the caller's either
// way.
func (k *Keystore) readItems(ctx context.Context, b *backend) (all []copied, err error) {
	names := k.remembered.Load().names()
	var unsettled []string
	if b.sealed != nil && b.hybrid == nil && b.sealed.Removed() {
		return nil, nil // never made
	}
	if b.sealed != nil && !b.sealed.Absent() {
		more, err := b.sealed.Profiles(ctx)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	if unsettled, err = b.InDoubt(ctx); err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		item, err := b.Get(ctx, name)
		switch {
		case errors.Is(err, keystore.ErrNotFound):
		case errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrNewer):
			return all, fmt.Errorf("%w: the credential of profile %q cannot be read, so nothing was moved: "+
				"groat logout %s forgets it, groat login %s replaces it",
				keystore.ErrConflict, name, name, name)
		case err != nil:
			return all, fmt.Errorf("the credential of profile %q cannot be read, so nothing was moved: %w", name, err)
		default:
			all = append(all, copied{name, item, slices.Contains(unsettled, name)})
		}
	}
	return all, nil
}

// copyTarget is what a move needs of the store that it copies to. The keychain has no more: nothing in it is used up by
// being sent.
type copyTarget interface {
	Get(ctx context.Context, profile string) (keystore.Item, error)
	Set(ctx context.Context, profile string, item keystore.Item) error
}

// copyItems stores items in a store that is not in use yet, reads each back, and returns the lists of where they are.
func (k *Keystore) copyItems(
	ctx context.Context, b *backend, all []copied, passphrase keystore.Secret,
) (lists choice, err error) {
	if err := k.unlock(ctx, b, passphrase); err != nil {
		return lists, err
	}
	if err := b.Probe(ctx); err != nil {
		return lists, err
	}
	afterStep("made")
	for _, c := range all {
		var at copyTarget = b.Store
		list := &lists.Profiles
		if b.hybrid != nil {
			at = &b.hybrid.keychain
			if locationOf(c.item) == inSealed {
				at, list = b.sealed, &lists.Sealed
			}
		}
		err := checkUnoccupied(ctx, at, c)
		if err == nil {
			err = at.Set(ctx, c.profile, c.item)
		}
		if err == nil {
			var back keystore.Item
			if back, err = at.Get(ctx, c.profile); err == nil && !back.Equal(c.item) {
				err = fmt.Errorf("%w: it does not return what was stored", keystore.ErrUnavailable)
			}
			back.Wipe()
		}
		if s, ok := at.(keystore.Store); ok && err == nil && c.inDoubt {
			_, err = s.MarkSent(ctx, c.profile)
		}
		if err != nil {
			return lists, fmt.Errorf("the credential of profile %q cannot be stored in %q, so nothing was moved: %w",
				c.profile, b.Use, err)
		}
		*list = append(*list, c.profile)
		afterStep("copied " + c.profile)
	}
	return lists, nil
}

// checkUnoccupied makes sure that nothing is in a copy's place but an earlier copy of the same: a keychain may be
// shared with another groatd of this person, which has a profile of this name too.
func checkUnoccupied(ctx context.Context, at copyTarget, c copied) error {
	there, err := at.Get(ctx, c.profile)
	defer there.Wipe()
	switch {
	case errors.Is(err, keystore.ErrNotFound), err == nil && there.Equal(c.item):
		return nil
	case err != nil && !errors.Is(err, keystore.ErrCorrupt):
		return err
	}
	return fmt.Errorf("%w: another credential is there under this name "+
		"(secret-tool clear service groat username %s removes it)",
		keystore.ErrConflict, c.profile)
}

// saveChoice writes the choice down, whatever it is. The caller holds choiceLock.
func (k *Keystore) saveChoice(next choice) error {
	if err := save(k.options.StateDir, next); err != nil {
		return fmt.Errorf("%w: the choice of keystore cannot be written down: %w", keystore.ErrUnavailable, err)
	}
	k.remembered.Store(&next)
	return nil
}
