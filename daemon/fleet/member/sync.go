package member

import (
	"context"
	"errors"
	"fmt"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
)

// Sync reads the fleet's log from the engine. The error is [Member.Err]'s.
func (m *Member) Sync(ctx context.Context) error {
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return m.sync(ctx)
}

// sync is Sync for a caller that has the turn.
func (m *Member) sync(ctx context.Context) error {
	entries, state, err := m.Engine.Read(ctx, m.key("m/"))
	if err == nil {
		err = m.learn(ctx, entries)
	}
	for range healTries {
		if !errors.Is(err, ErrOlder) {
			break
		}
		if err = m.heal(ctx, entries); err != nil {
			break
		}
		if entries, state, err = m.Engine.Read(ctx, m.key("m/")); err == nil {
			err = m.learn(ctx, entries)
		}
	}
	if err == nil {
		err = m.mendFence(ctx, entries)
	}
	m.mu.Lock()
	m.failure = err
	if err == nil {
		m.at = state
	}
	m.mu.Unlock()
	if err == nil {
		err = m.Err()
	}
	return err
}

// learn takes over what the engine shows of the log. The caller has the turn.
func (m *Member) learn(ctx context.Context, entries []engine.Entry) error {
	m.mu.Lock()
	now := m.log.clone()
	junk := m.junk
	m.mu.Unlock()
	fence := engine.Entry{Key: m.fence.Key}
	ring := m.keys
	defer func() {
		if ring != m.keys {
			ring.Wipe()
		}
	}()
	for _, e := range entries {
		if e.Key == fence.Key {
			fence = e
		}
	}
	newest := fenceID(fence.Value)
	for _, e := range entries {
		if e.Key != entryKey(m.keys.Fleet(), now.index+1) || e.Value == nil {
			continue
		}
		text, _, err := ring.Open(e.Key, kindLog, e.Value)
		if errors.Is(err, keyring.ErrEpoch) && ring == m.keys && newest != "" && !m.isCurrent(now, fence) {
			fetched, failed := m.fetchKeys(ctx, newest)
			if failed != nil {
				return m.orRemoved(ctx, now, failed)
			}
			ring = fetched
			var epoch uint32
			if text, epoch, err = ring.Open(e.Key, kindLog, e.Value); err != nil && epoch > m.keys.Epoch() {
				return fmt.Errorf("%w: what it shows is another key", ErrWithheld)
			}
		}
		if err == nil {
			err = now.add(text.AppendTo(nil))
		}
		if err != nil { // in the place of an entry stands what is none
			if junk != e.Revision {
				m.Warn(fmt.Errorf("the fleet's engine shows an entry that no member has written: %w", err))
			}
			junk = e.Revision
			break
		}
		junk = 0
	}
	if err := m.checkHistory(now, entries, ring); err != nil {
		return err
	}
	if now.machines[m.self.id()] != nil && now.epoch > m.keys.Epoch() {
		if ring == m.keys {
			fetched, err := m.fetchKeys(ctx, now.keyID())
			if err != nil {
				return m.orRemoved(ctx, now, err)
			}
			ring = fetched
		}
		if err := m.takeKeys(now, ring); err != nil {
			return err
		}
	}
	return m.adopt(ctx, now, junk, fence)
}

// checkHistory refuses a log that is shorter than, or other than, what this machine has seen.
func (m *Member) checkHistory(now log, entries []engine.Entry, ring *keyring.Keyring) error {
	if hash, known := now.hashes[m.pinned.Index]; known && hash != m.pinned.Hash {
		return ErrOtherFleet
	}
	if now.index < m.pinned.Index {
		return ErrOlder
	}
	first, last := entryKey(m.keys.Fleet(), 1), entryKey(m.keys.Fleet(), now.index)
	count, same := int64(0), false
	for _, e := range entries {
		if e.Value != nil && first <= e.Key && e.Key <= last {
			count++
		}
		if e.Key == last && e.Value != nil {
			text, _, err := ring.Open(e.Key, kindLog, e.Value)
			past, epoch := errors.AsType[*keyring.EpochError](err)
			same = epoch && !past.Past || err == nil && hashOf(text.AppendTo(nil)) == now.hashes[now.index]
		}
	}
	if count < now.index || !same {
		return ErrOlder
	}
	return nil
}

// adopt makes a log that was checked the member's. Its keys are there already.
func (m *Member) adopt(ctx context.Context, now log, junk int64, fence engine.Entry) error {
	m.mu.Lock()
	changed, rotated := now.index != m.log.index, now.epoch != m.log.epoch
	m.log, m.junk = now, junk
	if fenceID(fence.Value) == now.keyID() {
		m.fence.Revision = fence.Revision
		m.begins(now.epoch, m.beginning(now.epoch, fence))
	}
	m.mu.Unlock()
	if !changed {
		return nil
	}
	defer m.Changed()
	err := m.persist(ctx)
	if err != nil && rotated {
		return err
	}
	m.keepLog()
	return nil
}

// takeKeys adds the keys of the epochs that have begun, each only if the log names its digest.
func (m *Member) takeKeys(now log, ring *keyring.Keyring) error {
	for epoch := m.keys.Epoch() + 1; epoch <= now.epoch; epoch++ {
		key, err := ring.Key(epoch)
		if past, ok := errors.AsType[*keyring.EpochError](err); ok && past.Past {
			continue // nothing is sealed with it any more
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		if string(commitOf(m.keys.Fleet(), epoch, key)) == string(now.commits[epoch]) {
			if err = m.keys.Add(epoch, key); errors.Is(err, keyring.ErrFull) {
				m.keys.Retire(ring.Oldest()) // nothing is sealed with those before it, or it would have them too
				err = m.keys.Add(epoch, key)
			}
		} else {
			err = fmt.Errorf("%w: what it shows is another key", ErrWithheld)
		}
		key.Wipe()
		if err != nil {
			return err
		}
	}
	if m.keys.Epoch() != now.epoch {
		return ErrWithheld
	}
	return nil
}

// fetchKeys returns the keys that are sealed to this machine under an epoch's key id. They are not checked yet.
func (m *Member) fetchKeys(ctx context.Context, id string) (*keyring.Keyring, error) {
	name := m.key("k/" + id + "/" + m.self.id())
	entries, _, err := m.Engine.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Key != name {
			continue
		}
		text, err := m.self.open(m.keys.Fleet(), id, e.Value)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		defer text.Wipe()
		ring, err := keyring.Decode(text)
		if err == nil && ring.Fleet() != m.keys.Fleet() {
			err = keyring.ErrEncoding
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrWithheld, err)
		}
		return ring, nil
	}
	return nil, ErrWithheld
}

// orRemoved returns ErrRemoved, in the place of failed, where a member has left word for this machine that it was
// removed: the entry that says so is sealed with a key that this machine does not get.
func (m *Member) orRemoved(ctx context.Context, now log, failed error) error {
	name := m.key("g/" + m.self.id())
	entries, _, err := m.Engine.Read(ctx, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := m.self.open(m.keys.Fleet(), farewell, e.Value)
		if err != nil || !now.saysRemoved(text.AppendTo(nil), m.self.id()) {
			continue
		}
		return ErrRemoved
	}
	return failed
}

// farewell stands for a key id where a removed machine is told of it.
const farewell = "farewell"
