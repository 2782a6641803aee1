package fleet

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

// changeTries is how often a login or a logout is tried anew because the record has changed meanwhile.
const changeTries = 16

// Replace makes a profile's credential and configuration those of a login, on all machines, in the place of what was
// there; or makes it. The item and the configuration stay the caller's. Refusals are forgotten, and so are published
// tokens: that of the login is published where [Fleet.Offer] has offered it before. What the engine does not take is
// kept on this machine, sealed, and tried again until it is written: [Fleet.PendingError] says so. An error is that it
// could not be sealed, or not be written to the disk.
func (f *Fleet) Replace(ctx context.Context, name string, item keystore.Item, config []byte) error {
	if err := f.change(ctx, name, &item, config); err != nil {
		if err := f.keepSignIn(name, item, config, err); err != nil {
			return err
		}
		return f.memory.unsaved()
	}
	return nil
}

// Delete signs a profile out on all machines. A profile that is not there is no error.
func (f *Fleet) Delete(ctx context.Context, name string) error { return f.change(ctx, name, nil, nil) }

// change writes the next generation whatever is under way: the answer to a request with an older one is dropped.
func (f *Fleet) change(ctx context.Context, name string, item *keystore.Item, config []byte) error {
	f.mu.Lock()
	p := f.profile(name)
	f.mu.Unlock()
	for range changeTries {
		entries, err := f.read(ctx, p)
		if err != nil {
			return err
		}
		swapped, err := f.tryChange(ctx, p, item, config, entries)
		if swapped {
			f.endSignIn(p)
		}
		if swapped || err != nil {
			return err
		}
	}
	return credential.ErrOtherTurn
}

func (f *Fleet) tryChange(
	ctx context.Context, p *profile, item *keystore.Item, config []byte, entries []engine.Entry,
) (bool, error) {
	f.mu.Lock()
	newest, _ := f.memory.of(p.id)
	revision := p.revision
	next := record{Version: format, Profile: p.name, Generation: max(p.rec.Generation, newest.Generation) + 1,
		By: f.machine, At: f.engineTime(), SignedOut: item == nil}
	next.Since = next.Generation
	bad := p.bad
	f.mu.Unlock()
	defer next.wipe()
	if bad != nil {
		return false, bad
	}
	if item == nil && newest.Generation == 0 && len(entries) == 0 {
		return true, nil
	}
	if err := next.setItem(item); err != nil {
		return false, err
	}
	sealed, err := f.seal(p, &next)
	if err != nil {
		return false, err
	}
	changes := []engine.Change{{Key: f.recordKey(p), Value: sealed}}
	if config != nil {
		text, err := f.sealConfig(p, configuration{Since: next.Since, Config: config})
		if err != nil {
			return false, err
		}
		changes = append(changes, engine.Change{Key: f.configKey(p), Value: text})
	}
	token := f.offered(p, next.Generation)
	if item == nil {
		token = nil
	}
	if token != nil {
		changes = append(changes, *token)
	}
	for _, e := range entries {
		_, kind, _ := f.part(e.Key)
		if token != nil && e.Key == token.Key {
			continue
		}
		if kind == kindToken || kind == kindConfig && item == nil {
			changes = append(changes, engine.Change{Key: e.Key})
		}
	}
	changes = changes[:min(len(changes), engine.MaxChanges)]
	conditions := []engine.Condition{{Key: f.recordKey(p), Revision: revision}}
	swapped, state, err := f.engine.Swap(ctx, conditions, changes)
	f.reached(err)
	if errors.Is(err, engine.ErrUnknown) {
		swapped, state, err = f.wasWritten(ctx, p, sealed)
	}
	if err != nil || !swapped {
		return false, err
	}
	f.heard(state)
	defer f.memory.save()
	f.mu.Lock()
	defer f.mu.Unlock()
	p.turn, p.offer, p.late, p.lateToken = nil, nil, nil, nil
	f.observe(p, engine.Entry{Key: f.recordKey(p), Value: sealed, Revision: state.Revision}, state)
	return true, nil
}

// Reseal seals everything of the fleet's profiles anew that is sealed with the key of an earlier epoch, so that a
// machine without the newest one can read nothing of it. When it returns nil, and only then, [keyring.Keyring.Retire]
// may forget the older keys. What cannot be read is left, and read by nobody.
func (f *Fleet) Reseal(ctx context.Context) error {
	for range changeTries {
		entries, state, err := f.engine.Read(ctx, f.root())
		f.reached(err)
		if err != nil {
			return err
		}
		f.heard(state)
		done, err := f.resealAll(ctx, entries)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if err := f.memory.reseal(f.root(), f.keys); err != nil {
			return err
		}
		if err := f.memory.save(); err != nil {
			return err
		}
		return f.readAll(ctx)
	}
	return credential.ErrOtherTurn
}

// readAll takes in every record as it is in the engine now.
func (f *Fleet) readAll(ctx context.Context) error {
	f.mu.Lock()
	all := slices.Collect(maps.Values(f.profiles))
	f.mu.Unlock()
	for _, p := range all {
		if _, err := f.read(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

const (
	// resealBatch is how many entries are written at once: each has a condition too, and one is for the epoch.
	resealBatch = engine.MaxChanges / 2
	// resealBytes bounds their values: etcd takes 1.5 MiB a request unless --max-request-bytes says otherwise
	// (https://etcd.io/docs/v3.6/dev-guide/limit/), and JSON makes 4 bytes of 3.
	resealBytes = 512 << 10
)

// resealAll seals entries anew, many at once. It reports false where some have changed meanwhile.
func (f *Fleet) resealAll(ctx context.Context, entries []engine.Entry) (done bool, err error) {
	done = true
	var conditions []engine.Condition
	var changes []engine.Change
	size := 0
	write := func() error {
		if len(changes) == 0 {
			return nil
		}
		swapped, _, err := f.engine.Swap(ctx, conditions, changes)
		f.reached(err)
		done = done && swapped
		conditions, changes, size = nil, nil, 0
		if errors.Is(err, engine.ErrUnknown) {
			return nil // it is read again
		}
		return err
	}
	for _, e := range entries {
		_, kind, _ := f.part(e.Key)
		sealed, err := sealedAnew(e.Key, kind, e.Value, f.keys)
		if err != nil {
			return false, err
		}
		if bytes.Equal(sealed, e.Value) {
			continue
		}
		if len(changes) == resealBatch || size+len(sealed) > resealBytes {
			if err := write(); err != nil {
				return false, err
			}
		}
		conditions = append(conditions, engine.Condition{Key: e.Key, Revision: e.Revision})
		changes = append(changes, engine.Change{Key: e.Key, Value: sealed})
		size += len(sealed)
	}
	err = write()
	return done, err
}

// reseal is Reseal for what this machine remembers.
func (m *memory) reseal(root string, keys *keyring.Keyring) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.resealConfigs(root, keys); err != nil {
		return err
	}
	for id, r := range m.newest {
		key := root + id + "/" + kindRecord
		sealed, err := sealedAnew(key, kindRecord, r.Sealed, keys)
		if err != nil {
			return err
		}
		r.Sealed = sealed
		m.newest[id] = r
	}
	if err := m.resealSignIns(root, keys); err != nil {
		return err
	}
	m.changed = true
	return nil
}
