package member

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/groat-dev/groat/daemon/fleet/engine"
)

// fenced is the engine for the fleet's profiles.
type fenced struct {
	engine.Engine
	m *Member
}

// Fenced returns the engine for what is sealed with the fleet's keys. Nothing is written through it once another epoch
// has begun, before this machine has its key, so that a machine that was removed can read nothing new; and what is
// sealed with the key of an older epoch but was written after that was over is not shown: only a removed machine writes
// so. Once this machine is no member every call fails with [ErrRemoved].
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
		entries = f.genuine(entries)
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
		// It may be for the fence: then what is sealed next is sealed with the new key.
		if err := f.m.Sync(ctx); err != nil {
			return false, state, err
		}
	}
	return swapped, state, err
}

// Watch implements [engine.Engine].
func (f fenced) Watch(ctx context.Context, prefix string, after engine.State,
	each func([]engine.Entry, engine.State)) error {
	if err := f.removed(); err != nil {
		return err
	}
	return f.Engine.Watch(ctx, prefix, after, func(entries []engine.Entry, state engine.State) {
		each(f.genuine(entries), state)
	})
}

// genuine leaves out what was written to a profile with a key whose epoch was over.
func (f fenced) genuine(entries []engine.Entry) []engine.Entry {
	fence, epoch, prefix := f.m.Fence(), f.m.keys.Epoch(), f.m.key("p/")
	forged := func(e engine.Entry) bool {
		return strings.HasPrefix(e.Key, prefix) && e.Revision > fence.Revision && len(e.Value) >= 5 &&
			binary.BigEndian.Uint32(e.Value[1:]) < epoch
	}
	var kept []engine.Entry
	for i, e := range entries {
		switch {
		case forged(e) && kept == nil:
			kept = append(make([]engine.Entry, 0, len(entries)), entries[:i]...)
		case !forged(e) && kept != nil:
			kept = append(kept, e)
		}
	}
	if kept != nil {
		return kept
	}
	return entries
}
