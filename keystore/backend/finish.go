package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/keystore/ownfile"
)

// removeLeftoverFiles removes the files of a move that did not end, without asking the keychain anything: the copies of
// one that did not get as far as to be used, and what one that did has left. What it cannot do now is left to
// eraseLeftovers.
func (k *Keystore) removeLeftoverFiles() {
	next := *k.remembered.Load()
	if next.Next == nil && next.Left == nil {
		return
	}
	if next.Next != nil && k.removeFiles(*next.Next) == nil && next.Next.Use != Keychain {
		next.Next = nil
	}
	if next.Left != nil && k.removeFiles(next.Left.store) == nil && len(next.Left.Profiles) == 0 {
		next.Left = nil
	}
	k.saveChoice(next)
}

// removeFiles removes a store's files.
func (k *Keystore) removeFiles(s store) error {
	if s.Use == Memory {
		return nil
	}
	return ownfile.IgnoreNotExist(k.options.files(s.file()).Remove())
}

// isCopy reports whether what the keychain has of a profile is what is in use too. The error is that one of the two
// cannot be read.
func (k *Keystore) isCopy(ctx context.Context, profile string) (bool, error) {
	item, err := k.current.Load().Get(ctx, profile)
	if err == nil {
		defer item.Wipe()
		var there keystore.Item
		if there, err = new(keychain.Store).Get(ctx, profile); err == nil {
			defer there.Wipe()
			return there.Equal(item), nil
		}
	}
	if errors.Is(err, keystore.ErrNotFound) || errors.Is(err, keystore.ErrCorrupt) {
		err = nil
	}
	return false, err
}

// eraseLeftovers does what removeLeftoverFiles does, and erases what is in the keychain. The caller holds
// choiceLock.
func (k *Keystore) eraseLeftovers(ctx context.Context) error {
	next := *k.remembered.Load()
	if next.Next == nil && next.Left == nil {
		return nil
	}
	erase := map[string]bool{}
	if next.Next != nil {
		if err := k.removeFiles(*next.Next); err != nil {
			return err
		}
		afterStep("removed the copies")
		if next.Next.Use == Keychain {
			for _, name := range next.names() {
				copied, err := k.isCopy(ctx, name)
				if err != nil {
					return fmt.Errorf("what a move copied to the keychain cannot be erased (profile %q): %w", name, err)
				}
				erase[name] = erase[name] || copied
			}
		}
	}
	if next.Left != nil {
		if err := k.removeFiles(next.Left.store); err != nil {
			return err
		}
		afterStep("removed the old files")
		for _, name := range next.Left.Profiles {
			erase[name] = true
		}
	}
	var chain keychain.Store
	for _, name := range slices.Sorted(maps.Keys(erase)) {
		if !erase[name] {
			continue
		}
		if err := chain.Delete(ctx, name); err != nil {
			return fmt.Errorf("what a move left in the keychain cannot be erased (profile %q): %w", name, err)
		}
		afterStep("erased " + name)
	}
	next.Next, next.Left = nil, nil
	return k.saveChoice(next)
}
