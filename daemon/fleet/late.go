package fleet

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/daemon/fleet/engine"
)

// keepLate remembers a record that the engine did not take.
func (f *Fleet) keepLate(p *profile, next *record, token *engine.Change, why error) {
	sealed, err := f.seal(p, next)
	if err != nil {
		return
	}
	f.memory.keep(p.id, next.Generation, sealed)
	defer f.memory.save() // where the disk does not take it, it is in memory
	f.mu.Lock()
	defer f.mu.Unlock()
	p.late, p.lateToken = why, token
	f.compare(p)
	f.rouse()
}

// flush writes the newest record back that the engine does not have.
func (f *Fleet) flush(ctx context.Context, p *profile) {
	newest, ok := f.memory.of(p.id)
	if !ok {
		return
	}
	r, err := f.unseal(p, newest.Sealed)
	f.mu.Lock()
	revision, behind := p.revision, newest.Generation > p.rec.Generation
	if p.presented(f.machine) {
		r.Doubt = unanswered
	}
	p.flushAt = 0
	changes := []engine.Change{{Key: f.recordKey(p)}}
	conditions := []engine.Condition{{Key: f.recordKey(p), Revision: revision}}
	if p.lateToken != nil {
		changes = append(changes, *p.lateToken)
	}
	f.mu.Unlock()
	if err != nil || !behind {
		return // it cannot be read any more: what the engine has is presented, with doubt
	}
	defer r.wipe()
	if changes[0].Value, err = f.seal(p, &r); err != nil {
		return
	}
	_, _, err = f.engine.Swap(ctx, conditions, changes)
	f.reached(err)
	if err == nil || errors.Is(err, engine.ErrUnknown) {
		_, err = f.read(ctx, p)
	}
	if err != nil { // soon again: until it is written another machine may take over
		f.mu.Lock()
		p.flushAt = f.now().Boot + flushEvery
		f.mu.Unlock()
		f.rouse()
	}
}

// presented reports whether another machine may have sent the refresh token of the record in the engine, which ends the
// session at some servers if it was used before.
func (p *profile) presented(by string) bool {
	return p.rec.Doubt != "" || len(p.rec.Block) > 0 || p.rec.Intent != nil && p.rec.Intent.Machine != by
}
