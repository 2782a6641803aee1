package backend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/groat-dev/groat/keystore"
)

// location says where a profile's item may be: both, while it moves.
type location uint8

const (
	inStore  location = 1 << iota // in the store that is chosen; where that is the keychain, in the keychain itself
	inSealed                      // in the sealed file beside the keychain
)

// list returns the names of the profiles that may have an item at p, which is one location.
func (c *choice) list(p location) *[]string {
	if p == inSealed {
		return &c.Sealed
	}
	return &c.Profiles
}

// locations returns on which lists a profile is.
func (c *choice) locations(profile string) (at location) {
	for _, p := range []location{inStore, inSealed} {
		if _, found := slices.BinarySearch(*c.list(p), profile); found {
			at |= p
		}
	}
	return at
}

// names are all of them, in a slice of their own.
func (c *choice) names() []string { return slices.Concat(c.Profiles, c.Sealed) }

// choiceLockLimit is how long a call waits for a decision that another call is making.
const choiceLockLimit = 10 * time.Second

func (k *Keystore) lockChoice(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, choiceLockLimit)
	defer cancel()
	select {
	case k.choiceLock <- struct{}{}:
		return func() { <-k.choiceLock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: another caller is still choosing a keystore", keystore.ErrUnavailable)
	}
}

// remember writes the choice down, unless it ends with the process. The caller holds choiceLock.
func (k *Keystore) remember(next choice) error {
	if b := k.current.Load(); next.Use != "" && (b == nil || b.Use != Memory) {
		if err := save(k.options.StateDir, next); err != nil {
			return fmt.Errorf("%w: the choice of keystore cannot be written down: %w", keystore.ErrUnavailable, err)
		}
	}
	k.remembered.Store(&next)
	return nil
}

// beginSet writes down where the profile's item will be, before anything is stored there, and keeps the choice from
// changing until storing is lowered.
func (k *Keystore) beginSet(ctx context.Context, profile string, item keystore.Item) (*backend, error) {
	release, err := k.lockChoice(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	b, p := k.current.Load(), inStore
	if b.hybrid != nil {
		p = locationOf(item)
	}
	next := *k.remembered.Load()
	if next.locations(profile)&p == 0 {
		names := next.list(p)
		at, _ := slices.BinarySearch(*names, profile)
		*names = slices.Insert(slices.Clone(*names), at, profile)
		if err := k.remember(next); err != nil {
			return nil, err
		}
	}
	k.storing.Add(1)
	return b, nil
}

// unlist forgets that the profile's item was at p. It may fail: a name too many does no harm, since a reader that needs
// the item finds none.
func (k *Keystore) unlist(ctx context.Context, profile string, p location) {
	if k.remembered.Load().locations(profile)&p == 0 {
		return
	}
	release, err := k.lockChoice(ctx)
	if err != nil {
		return
	}
	defer release()
	next := *k.remembered.Load()
	for _, one := range []location{inStore, inSealed} {
		if p&one != 0 {
			names := next.list(one)
			*names = slices.DeleteFunc(slices.Clone(*names), func(n string) bool { return n == profile })
		}
	}
	k.remember(next)
}
