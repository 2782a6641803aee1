// Package keychain keeps items in the operating system's keychain (the Secret Service on Linux, Keychain on macOS),
// service "groat", one item a profile.
//
// The invariant: no call takes longer than [Limit], whatever the keychain does, no call asks a person anything (only
// [Store.Unlock] may; some keychains ask before they change an item), and a write counts only after it was read back.
// What it is not: protection from other programs of the same user, which can read what groat can; and no place for what
// changes often or is long.
package keychain

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/groat-dev/groat/keystore"
)

const (
	service = "groat"
	// A profile's name has no colon, so no profile has these names.
	keyUser     = "sealed:key"
	probePrefix = "probe:"

	// MaxItem is the greatest encoded item in bytes; macOS takes no command line over 4,096 with the item in Base64.
	MaxItem = 2457

	keySize = 32
)

// Store is the keychain. All Stores of a process share its one outstanding call, as they share the library's one
// connection. The zero value is ready to use.
type Store struct{}

// Get returns a profile's item, whose secret the caller owns.
func (*Store) Get(ctx context.Context, profile string) (keystore.Item, error) {
	return call(ctx, func(s operation) (keystore.Item, error) {
		b, err := get(s, profile)
		if err != nil {
			return keystore.Item{}, err
		}
		defer b.Wipe()
		return keystore.DecodeItem(b)
	})
}

// Set writes an item and reads it back, unless it is there already. It is ErrDeclined where the keychain acknowledges
// the write and has something else, as after a dialog that was dismissed, and where it does not acknowledge it in time;
// in that case it may still carry it out.
func (*Store) Set(ctx context.Context, profile string, item keystore.Item) error {
	b, err := keystore.EncodeItem(item)
	if err != nil {
		return err
	}
	if n := b.Len(); n > MaxItem {
		b.Wipe()
		return fmt.Errorf("%w: it takes %d bytes of at most %d", keystore.ErrTooBig, n, MaxItem)
	}
	_, err = call(ctx, func(s operation) (struct{}, error) { return struct{}{}, set(s, profile, b) }, b)
	return err
}

// Delete removes an item and makes sure that it is gone.
func (*Store) Delete(ctx context.Context, profile string) error {
	_, err := call(ctx, func(s operation) (struct{}, error) { return struct{}{}, remove(s, profile) })
	return err
}

// Probe writes, reads and deletes an item of its own.
func (*Store) Probe(ctx context.Context) error {
	_, err := call(ctx, func(s operation) (struct{}, error) {
		// A name of its own each time: some keychains ask before one connection overwrites what another has made.
		user := probePrefix + rand.Text()
		err := set(s, user, keystore.SecretString(rand.Text()))
		// Also after the caller has left: what a probe wrote must not stay.
		if late := remove(s.withoutCancel(), user); err == nil {
			err = late
		}
		return struct{}{}, err
	})
	return err
}

// Ready returns nil if the keychain answers and is unlocked. It writes nothing.
func (*Store) Ready(ctx context.Context) error {
	_, err := call(ctx, func(s operation) (struct{}, error) {
		if err := checkItemsUnlocked(s); err != nil {
			return struct{}{}, err
		}
		_, err := get(s, probePrefix)
		if errors.Is(err, keystore.ErrNotFound) {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

// UnlockLimit is how long [Store.Unlock] waits for a person.
const UnlockLimit = 30 * time.Second

// Unlock makes the keychain ask the person for its password, and waits until it is unlocked: ErrLocked when the person
// closes the dialog, after UnlockLimit, or at the end of ctx. Other calls get ErrLocked meanwhile, at once.
func (s *Store) Unlock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, UnlockLimit)
	defer cancel()
	dismissed, err := guarded(ctx, func(s operation) (<-chan struct{}, error) { return prompt(s, ctx) })
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Ready(ctx)
		switch {
		case errors.Is(err, keystore.ErrLocked):
		case err != nil && ctx.Err() != nil:
			return keystore.ErrLocked // the dialog is open, and ctx ended while the keychain was asked
		default:
			return err
		}
		select {
		case <-tick.C:
		case <-dismissed:
			return fmt.Errorf("%w: its dialog was closed", err)
		case <-ctx.Done():
			return err
		}
	}
}

// Key returns the 32-byte data key of the sealed store, which the caller owns. With create a missing one is made;
// without, it is ErrNotFound, for a file that exists can be opened by no other key.
func (*Store) Key(ctx context.Context, create bool) (keystore.Secret, error) {
	return call(ctx, func(s operation) (keystore.Secret, error) {
		text, err := get(s, keyUser)
		if create && errors.Is(err, keystore.ErrNotFound) {
			key := make([]byte, keySize)
			rand.Read(key)
			text = keystore.NewSecret(base64.StdEncoding.AppendEncode(nil, key))
			clear(key)
			err = set(s, keyUser, text)
		}
		if err != nil {
			return keystore.Secret{}, err
		}
		defer text.Wipe()
		raw := text.AppendTo(nil)
		defer clear(raw)
		key, err := base64.StdEncoding.Strict().AppendDecode(make([]byte, 0, len(raw)), raw)
		if err != nil || len(key) != keySize {
			return keystore.Secret{}, fmt.Errorf("%w: the data key in the keychain is not %d bytes of Base64",
				keystore.ErrCorrupt, keySize)
		}
		return keystore.NewSecret(key), nil
	})
}

// get, set and remove run inside a call, one library call at a time.

func get(s operation, user string) (keystore.Secret, error) {
	if err := s.checkContext(); err != nil {
		return keystore.Secret{}, err
	}
	// Of a locked item the library makes a dialog, and of several it takes whichever comes first.
	if err := checkUnambiguous(s, user); err != nil {
		return keystore.Secret{}, err
	}
	value, err := readFirst(s, user)
	if err != nil {
		return keystore.Secret{}, classify(err)
	}
	return value, nil
}

func set(s operation, user string, value keystore.Secret) error {
	switch old, err := get(s, user); {
	case err == nil:
		same := old.Equal(value)
		old.Wipe()
		if same { // some keychains ask a person before one connection overwrites what another has written
			return nil
		}
	case !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt):
		return err
	}
	if err := s.checkContext(); err != nil {
		return err
	}
	err := s.runChange(func() error { return writeItem(s, user, value) })
	if err == nil {
		err = deleteOthers(s, user, value)
	}
	if err != nil {
		return err
	}
	// A dismissed dialog and a command that was cut both end without an error.
	back, err := get(s, user)
	switch {
	case errors.Is(err, keystore.ErrNotFound):
		return fmt.Errorf("%w: the keychain did not keep what was written", keystore.ErrDeclined)
	case err != nil:
		return fmt.Errorf("reading back what was written: %w", err)
	}
	defer back.Wipe()
	if !back.Equal(value) {
		return fmt.Errorf("%w: the keychain does not return what was written", keystore.ErrDeclined)
	}
	return nil
}

// remove deletes every item of the name, one by one.
func remove(s operation, user string) error {
	for left := math.MaxInt; ; {
		if err := s.checkContext(); err != nil {
			return err
		}
		n, err := countItems(s, user)
		switch {
		case err != nil || n == 0:
			return err
		case n >= left:
			return fmt.Errorf("%w: the keychain still holds what was deleted", keystore.ErrDeclined)
		}
		left = n
		err = s.runChange(func() error { return deleteFirst(s, user) })
		if err != nil && !errors.Is(err, keystore.ErrNotFound) {
			return err
		}
	}
}
