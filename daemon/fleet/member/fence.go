package member

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
)

// The fence is the entry m/epoch: the id of the newest epoch's key. The change that begins an epoch writes it, so that
// its revision is that of the beginning, until someone writes it again. A member that finds it changed puts the id back
// and, sealed, the revision with which the epoch did begin: a machine that was removed cannot move that.

// kindFence is what the revision in the fence is sealed as.
const kindFence = "fence"

// fenceID returns the id in the fence.
func fenceID(value []byte) string {
	id, _, _ := bytes.Cut(value, []byte(" "))
	return string(id)
}

// beginning returns the revision with which an epoch began, as the fence says it.
func (m *Member) beginning(epoch uint32, fence engine.Entry) int64 {
	_, sealed, _ := bytes.Cut(fence.Value, []byte(" "))
	plain, of, err := m.keys.Open(fence.Key, kindFence, sealed)
	if err != nil || of != epoch || plain.Len() != 8 {
		return fence.Revision
	}
	return int64(binary.BigEndian.Uint64(plain.AppendTo(nil)))
}

// begins takes in that an epoch began with a revision. The earliest that was seen stands. m.mu is held.
func (m *Member) begins(epoch uint32, revision int64) {
	if was, known := m.began[epoch]; !known || revision < was {
		m.began[epoch] = revision
	}
}

// isCurrent reports whether no epoch has begun after the newest one of a log: the fence is as this machine has seen it
// last, and a beginning changes it. What names a later epoch is then of no member. Where someone has written the fence
// again this cannot be told, and no entry is taken for junk.
func (m *Member) isCurrent(now log, fence engine.Entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fence.Revision == m.fence.Revision && fenceID(fence.Value) == now.keyID() && now.epoch == m.keys.Epoch()
}

// mendFence writes the fence again where it is not as a member has written it.
func (m *Member) mendFence(ctx context.Context, entries []engine.Entry) error {
	m.mu.Lock()
	want, epoch, member := m.log.keyID(), m.log.epoch, m.log.machines[m.self.id()] != nil
	began, known := m.began[epoch]
	m.mu.Unlock()
	is := engine.Entry{Key: m.fence.Key}
	for _, e := range entries {
		if e.Key == is.Key {
			is = e
		}
	}
	right := fenceID(is.Value) == want && (!known || m.beginning(epoch, is) <= began)
	if right || !member {
		return nil
	}
	value := []byte(want)
	if known {
		sealed, err := m.keys.Seal(is.Key, kindFence, binary.BigEndian.AppendUint64(nil, uint64(began)))
		if err != nil {
			return err
		}
		value = append(append(value, ' '), sealed...)
	}
	swapped, state, err := m.Engine.Swap(ctx, []engine.Condition{{Key: is.Key, Revision: is.Revision}},
		[]engine.Change{{Key: is.Key, Value: value}})
	if err == nil && swapped {
		m.mu.Lock()
		m.fence.Revision = state.Revision
		m.begins(epoch, state.Revision)
		m.mu.Unlock()
	}
	return err
}

// Resealed says that nothing in the engine is sealed with the key of an epoch before one any more: what seems to be is
// shown as unreadable from now on.
func (m *Member) Resealed(epoch uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resealed = max(m.resealed, epoch)
}

// fenced is the engine for the fleet's profiles.
type fenced struct {
	engine.Engine
	m *Member
}

// Fenced returns the engine for what is sealed with the fleet's keys. Nothing is written through it once another epoch
// has begun, before this machine has its key, so that a machine that was removed can read nothing new. What is sealed
// with the key of an older epoch but was written after that was over, or with a key that the log does not name, is
// shown with its revision and an empty value, so that it can be replaced: only a removed machine writes so. Once this
// machine is no member every call fails with [ErrRemoved].
func (m *Member) Fenced() engine.Engine { return fenced{m.Engine, m} }

// removed returns ErrRemoved if this machine is no member.
func (f fenced) removed() error {
	if err := f.m.Err(); err == ErrRemoved {
		return err
	}
	return nil
}

// Read implements [engine.Engine].
func (f fenced) Read(ctx context.Context, prefix string) ([]engine.Entry, engine.State, error) {
	if err := f.removed(); err != nil {
		return nil, engine.State{}, err
	}
	entries, state, err := f.Engine.Read(ctx, prefix)
	if err == nil {
		entries = f.genuine(ctx, entries)
	}
	return entries, state, err
}

// Swap implements [engine.Engine].
func (f fenced) Swap(ctx context.Context, conditions []engine.Condition, changes []engine.Change) (
	bool, engine.State, error,
) {
	if err := f.removed(); err != nil {
		return false, engine.State{}, err
	}
	fence := f.m.Fence()
	with := append([]engine.Condition{fence}, conditions...)
	swapped, state, err := f.Engine.Swap(ctx, with, changes)
	if err == nil && !swapped {
		err = f.m.catchUp(ctx, fence)
	}
	return swapped, state, err
}

// catchUp reads the log if the fence is not as it was, so that what is sealed next is sealed with the newest key.
func (m *Member) catchUp(ctx context.Context, was engine.Condition) error {
	entries, _, err := m.Engine.Read(ctx, was.Key)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Key == was.Key && e.Revision == was.Revision {
			return nil
		}
	}
	return m.Sync(ctx)
}

// Watch implements [engine.Engine].
func (f fenced) Watch(ctx context.Context, prefix string, after engine.State,
	each func([]engine.Entry, engine.State)) error {
	if err := f.removed(); err != nil {
		return err
	}
	return f.Engine.Watch(ctx, prefix, after, func(entries []engine.Entry, state engine.State) {
		each(f.genuine(ctx, entries), state)
	})
}

// genuine empties what no member has written to a profile.
func (f fenced) genuine(ctx context.Context, entries []engine.Entry) []engine.Entry {
	if f.m.anyLater(entries) {
		f.m.Sync(ctx) // of what is sealed with a key that the log names by then, the key is there
	}
	kept := entries
	for i, e := range entries {
		if !f.m.isForged(e) {
			continue
		}
		if &kept[0] == &entries[0] {
			kept = slices.Clone(entries)
		}
		kept[i].Value = []byte{}
	}
	return kept
}

// anyLater reports whether one of the profiles' entries names a later epoch than this machine knows.
func (m *Member) anyLater(entries []engine.Entry) bool {
	newest := m.keys.Epoch()
	return slices.ContainsFunc(entries, func(e engine.Entry) bool {
		epoch, ok := keyring.EpochOf(e.Value)
		return ok && epoch > newest && strings.HasPrefix(e.Key, m.key("p/"))
	})
}

// isForged reports whether an entry of a profile is sealed with the key of an epoch that was over when it was written,
// or that has not begun.
func (m *Member) isForged(e engine.Entry) bool {
	epoch, ok := keyring.EpochOf(e.Value)
	if !ok || !strings.HasPrefix(e.Key, m.key("p/")) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch < m.resealed {
		return true
	}
	for later, revision := range m.began {
		if epoch < later && e.Revision > revision {
			return true
		}
	}
	return epoch > max(m.log.epoch, m.keys.Epoch()) && m.failure == nil && m.log.index > 0
}
