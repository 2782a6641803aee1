package member

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/daemon/fleet/engine"
)

// sealed returns an entry as it stands in the engine, and its text.
func (m *Member) sealed(e entry) (value, text []byte, err error) {
	if text, err = m.self.signEntry(m.keys.Fleet(), e); err != nil {
		return nil, nil, err
	}
	value, err = m.keys.Seal(entryKey(m.keys.Fleet(), e.Index), kindLog, text)
	return value, text, err
}

// append adds the entry that make returns of the log as it is now, and makes the changes that come with it. It tries
// again where another machine was faster. The caller has the turn.
func (m *Member) append(ctx context.Context, make func(log) (entry, []engine.Condition, []engine.Change, error)) error {
	for {
		if err := m.sync(ctx); err != nil {
			return err
		}
		m.mu.Lock()
		now, junk, fence := m.log.clone(), m.junk, m.fence
		m.mu.Unlock()
		if now.index >= maxLog {
			return ErrFull
		}
		e, conditions, changes, err := make(now)
		if err != nil {
			return err
		}
		e.Index, e.Previous, e.By = now.index+1, now.hashes[now.index].bytes(), m.self.id()
		value, text, err := m.sealed(e)
		if err != nil {
			return err
		}
		place := entryKey(m.keys.Fleet(), e.Index)
		conditions = append(conditions, engine.Condition{Key: place, Revision: junk}, fence)
		changes = append(changes, engine.Change{Key: place, Value: value})
		if e.Kind.rotates() {
			changes = append(changes, engine.Change{Key: m.fence.Key, Value: keyID(e.Commit)})
		}
		swapped, _, err := m.Engine.Swap(ctx, conditions, changes)
		if err != nil && !errors.Is(err, engine.ErrUnknown) {
			return err
		}
		failed := m.sync(ctx)
		m.mu.Lock()
		done := m.log.hashes[e.Index] == hashOf(text)
		m.mu.Unlock()
		switch {
		case done || swapped:
			return nil
		case failed != nil:
			return failed
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
