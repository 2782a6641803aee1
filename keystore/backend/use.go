package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
)

// Use chooses. For "sealed", key says where its key comes from; empty means the systemd credential if there is one,
// else the keychain. A store that holds credentials is not left: ErrConflict says what to do first, and nothing is
// changed. The passphrase stays the caller's.
func (k *Keystore) Use(ctx context.Context, use, key string, passphrase keystore.Secret) error {
	key, err := k.resolveKey(use, key)
	if err != nil {
		return err
	}
	// Before choiceLock is taken: a person may be asked, and other calls must not wait for the answer.
	if old := k.current.Load(); old != nil && old.Use == use && old.Key == key {
		if err := k.unlock(ctx, old, passphrase); err != nil {
			return err
		}
	} else if err := k.lockAndCheckLeavable(ctx, store{Use: use, Key: key}); err != nil {
		return err
	} else if use == Keychain || key == KeyKeychain {
		if err := new(keychain.Store).Unlock(ctx); err != nil {
			return err
		}
	}
	release, err := k.lockChoice(ctx)
	if err != nil {
		return err
	}
	defer release()
	old := k.current.Load()
	if old != nil && old.Use == use && old.Key == key {
		return k.makeCurrent(old)
	}
	if err := k.eraseLeftovers(ctx); err != nil {
		return err
	}
	if err := k.checkLeavable(ctx, old, store{Use: use, Key: key}); err != nil {
		return err
	}
	return k.replace(ctx, old, k.backend(store{Use: use, Key: key}), passphrase)
}

// lockAndCheckLeavable returns why the store in use cannot be left for another one. It is called before a person is
// asked anything.
func (k *Keystore) lockAndCheckLeavable(ctx context.Context, to store) error {
	release, err := k.lockChoice(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.checkLeavable(ctx, k.current.Load(), to)
}

// resolveKey returns the key that use has, the default where none was named, or why it cannot be used.
func (k *Keystore) resolveKey(use, key string) (string, error) {
	if use == Sealed && key == "" {
		key = k.defaultKey()
	}
	if !valid(use, key) {
		return "", fmt.Errorf("%w: there is no keystore %q with key %q", keystore.ErrConflict, use, key)
	}
	if env := k.options.Env; env != Auto && env != use {
		return "", &keystore.VariableError{Said: fmt.Sprintf("GROAT_KEYSTORE is %q in groatd's environment, which "+
			"forbids %q", env, use)}
	}
	return key, nil
}

// replace puts b in the place of old, which is nil or empty.
func (k *Keystore) replace(ctx context.Context, old, b *backend, passphrase keystore.Secret) error {
	// One path, two keys: the old file goes first. If the new one then cannot be made, the old choice begins with none.
	if old != nil && old.sealed != nil && b.sealed != nil {
		if err := k.closeAndRemove(old); err != nil {
			return err
		}
		old = k.backend(old.store)
		k.current.Store(old)
	}
	err := k.unlock(ctx, b, passphrase)
	if err == nil {
		err = b.Probe(ctx)
	}
	if err == nil {
		err = k.makeCurrent(b)
	}
	if err != nil {
		return errors.Join(err, b.close())
	}
	if old != nil {
		old.close()
	}
	k.removeLeftoverFiles() // what cannot be removed now is removed at the next start
	return nil
}

// makeCurrent remembers b as the choice of a person, which outlives the process even where what is stored does not.
func (k *Keystore) makeCurrent(b *backend) error {
	next := *k.remembered.Load()
	if next.store != b.store {
		if old := k.current.Load(); old != b {
			next.Profiles, next.Sealed = nil, nil // checkLeavable found none of them
			if old != nil && old.sealed != nil && b.sealed == nil {
				next.Left = &left{store: old.store}
			}
		}
		next.store = b.store
		if err := save(k.options.StateDir, next); err != nil {
			return fmt.Errorf("%w: the choice of keystore cannot be written down: %w", keystore.ErrUnavailable, err)
		}
	}
	k.remembered.Store(&next)
	k.current.Store(b)
	return nil
}

// checkLeavable makes sure that nothing is lost by leaving b, which is nil while nothing is chosen, for another.
func (k *Keystore) checkLeavable(ctx context.Context, b *backend, to store) error {
	if b == nil {
		return nil
	}
	if k.storing.Load() > 0 {
		return fmt.Errorf("%w: a credential is just being stored: try again", keystore.ErrConflict)
	}
	names, get := k.remembered.Load().names(), b.Get
	switch {
	case b.sealed == nil:
	case b.sealed.Removed() && b.hybrid == nil:
		return nil // never made, or removed to give up what it held
	case b.sealed.Removed():
		get = b.hybrid.keychain.Get
	default:
		more, err := b.sealed.Profiles(ctx)
		if err != nil {
			return fmt.Errorf("%w: whether %s holds credentials cannot be seen (%v): "+
				"unlock it, or remove that file to give up what it holds",
				keystore.ErrConflict, k.sealedPath(b), err)
		}
		names = append(names, more...)
	}
	for _, name := range names {
		item, err := get(ctx, name)
		if errors.Is(err, keystore.ErrNotFound) {
			continue
		}
		item.Wipe()
		if err != nil && !errors.Is(err, keystore.ErrCorrupt) {
			return fmt.Errorf("%w: whether the credential of profile %q is still in %q cannot be seen: %v",
				keystore.ErrConflict, name, b.Use, err)
		}
		return &keystore.LeftBehind{Profile: name, In: b.Use, Move: to.moveCommand()}
	}
	return nil
}

// moveCommand is the command that carries credentials to a store; empty for memory, which is no place to carry any to.
func (s store) moveCommand() string {
	switch {
	case s.Use == Memory:
		return ""
	case s.Key == KeyPassphrase:
		return "groat keystore move sealed --passphrase"
	case s.Key == KeyFile:
		return "groat keystore move sealed --key-file"
	}
	return "groat keystore move " + s.Use
}

// closeAndRemove closes a store that holds nothing and removes its files: a sealed file is bound to a key that a later
// choice may not have.
func (k *Keystore) closeAndRemove(b *backend) error {
	return errors.Join(b.close(), k.removeFiles(b.store))
}

// Unlock opens what is locked: the keychain asks the person itself, a sealed file wants its passphrase, which stays the
// caller's. While nothing is chosen it opens the keychain, which the first login would choose.
func (k *Keystore) Unlock(ctx context.Context, passphrase keystore.Secret) error {
	b := k.current.Load()
	if b == nil {
		if !passphrase.IsZero() {
			return keystore.ErrUndecided
		}
		if err := new(keychain.Store).Unlock(ctx); err != nil {
			return undecided(err)
		}
		return nil
	}
	k.forgetHealth()
	if err := b.missing(); err != nil {
		return err
	}
	if err := k.unlock(ctx, b, passphrase); err != nil {
		return err
	}
	if c := k.remembered.Load(); c.Next != nil || c.Left != nil {
		if release, err := k.lockChoice(ctx); err == nil {
			k.eraseLeftovers(ctx) // where this fails Status says so
			release()
		}
	}
	if b.Key == KeyPassphrase && k.options.files(b.file()).Passphrase(passphrase).Weak() {
		// The parameters are weaker than those of a new file. A failure is tried again at the next unlock.
		k.relocate(ctx, b.store, passphrase)
	}
	return nil
}

// missing returns an error where a file with a key of its own is not there, and held something. A new file opened in
// its place would look as if it had been found.
func (b *backend) missing() error {
	if b.sealed == nil || b.hybrid != nil {
		return nil
	}
	return b.sealed.Missing()
}

// unlock opens the store; a sealed file that is not there is made.
func (k *Keystore) unlock(ctx context.Context, b *backend, passphrase keystore.Secret) error {
	if b.hybrid != nil || (b.sealed != nil && b.Key == KeyKeychain) {
		if err := new(keychain.Store).Unlock(ctx); err != nil {
			return err
		}
	}
	if b.sealed == nil || (b.hybrid != nil && b.sealed.Absent()) {
		return nil
	}
	return b.sealed.Unlock(ctx, k.options.keySource(b.store, passphrase))
}
