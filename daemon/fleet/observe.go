package fleet

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// maxUnasked is after how many failures of a generation it is not renewed any more unless a caller asks.
const maxUnasked = 16

// observe takes in a profile's record as it was read: all that this machine knows of the others comes this way. An
// entry without a Value stands for a record that is not there. f.mu is held; once it is not, f.memory.save follows.
func (f *Fleet) observe(p *profile, e engine.Entry, state engine.State) {
	if e.Value == nil {
		e.Revision = 0
	}
	if p.revision == e.Revision && bytes.Equal(p.sealed, e.Value) && p.bad == nil {
		p.state = state
		return
	}
	var r record
	p.bad = nil
	if e.Value != nil {
		var err error
		if r, err = f.unseal(p, e.Value); err != nil {
			r = record{}
			p.bad = f.unreadable(err)
		}
		r.wipe()
	}
	now := f.now().Boot
	before := p.rec
	p.there, p.rec, p.sealed, p.revision, p.state = e.Value != nil && r.Generation > 0, r, e.Value, e.Revision, state
	if r.Intent != nil && (before.Intent == nil || *before.Intent != *r.Intent) {
		p.intentSeen = now
	}
	if before.Generation != r.Generation || before.Failures != r.Failures || !bytes.Equal(before.Block, r.Block) {
		p.blockSeen = now
	}
	f.compare(p)
	p.due = f.dueAt(p)
	close(p.changed)
	p.changed = make(chan struct{})
	f.rouse()
}

// unreadable says whether what cannot be read keeps this machine from the profile: a key that it does not have yet, or
// a later groat's record. What was sealed by nobody, or with a key that is over, counts as not being there.
func (f *Fleet) unreadable(err error) error {
	if e, ok := errors.AsType[*keyring.EpochError](err); ok && !e.Past {
		return err
	}
	if errors.Is(err, ErrNewer) {
		return err
	}
	return nil
}

// compare compares the record in the engine with the newest that this machine has seen. f.mu is held.
func (f *Fleet) compare(p *profile) {
	newest, ok := f.memory.of(p.id)
	p.flushAt = 0
	switch {
	case p.bad != nil:
	case ok && newest.Generation > p.rec.Generation:
		p.rolledBack = p.late == nil
		p.flushAt = max(f.freeAt(p), 1)
	case p.there:
		p.rolledBack, p.late, p.lateToken = false, nil, nil
		f.memory.keep(p.id, p.rec.Generation, p.sealed)
	}
}

// freeAt is the boot time from which this machine need not wait for another one's request; 0 where none is under way.
func (f *Fleet) freeAt(p *profile) time.Duration {
	if p.rec.Intent == nil || p.rec.Intent.Machine == f.machine || f.rules.noTakeOver {
		return 0
	}
	return p.intentSeen + TakeOver
}

// dueAt is the boot time at which this machine renews although no caller asks for it: another one's request was not
// finished, or was not answered, and the server may forgive that for moments only. f.mu is held.
func (f *Fleet) dueAt(p *profile) time.Duration {
	spread := time.Duration(f.draw() * float64(takeOverSpread))
	switch block := p.rec.block(); {
	case !p.there || p.rec.Failures >= maxUnasked:
		return 0
	case p.rec.Intent != nil && p.nonce == p.rec.Intent.Nonce:
		return 0 // this process's own: the broker sees to it
	case p.rec.Intent != nil:
		return max(f.freeAt(p)+spread, 1)
	case p.rec.Doubt != "" && !block.Disabled:
		return p.blockSeen + block.Wait + spread
	}
	return 0
}

// read reads a profile and takes in its record.
func (f *Fleet) read(ctx context.Context, p *profile) ([]engine.Entry, error) {
	entries, state, err := f.engine.Read(ctx, f.below(p))
	f.reached(err)
	if err != nil {
		return nil, err
	}
	f.heard(state)
	defer f.memory.save()
	f.mu.Lock()
	defer f.mu.Unlock()
	found := engine.Entry{}
	for _, e := range entries {
		if e.Key == f.recordKey(p) {
			found = e
		}
	}
	f.observe(p, found, state)
	return entries, nil
}

// token returns the token in an entry as one of this machine, if it is newer than what is known, serves, and is not the
// one that was refused. f.mu is held.
func (f *Fleet) token(
	p *profile, e engine.Entry, known map[string]had, refused keystore.Secret,
) (t grant.Token, variant string, ok bool) {
	_, kind, variant := f.part(e.Key)
	if kind != kindToken || p.source == nil || f.offset == 0 || p.rec.SignedOut || !p.there || len(e.Value) == 0 {
		return grant.Token{}, "", false
	}
	plain, err := f.open(e.Key, kindToken, e.Value)
	if err != nil {
		return grant.Token{}, "", false
	}
	defer plain.Wipe()
	r, err := f.unseal(p, p.sealed)
	if err != nil {
		return grant.Token{}, "", false
	}
	defer r.wipe()
	item, err := r.credential()
	if err != nil {
		return grant.Token{}, "", false
	}
	defer item.Wipe()
	now := f.now()
	t, generation, err := decodeToken(plain, p.source.Endpoint.DestinationsOf(item), now, f.offset)
	if err != nil {
		return grant.Token{}, "", false
	}
	last, came := known[variant]
	came = came && generation <= last.generation && now.Boot-last.at >= justCame
	if came || generation < p.rec.Since || !serves(t, now) || t.Access.Equal(refused) {
		t.Access.Wipe()
		return grant.Token{}, "", false
	}
	if generation > p.had[variant].generation {
		p.had[variant] = had{generation, now.Boot}
	}
	return t, variant, true
}
