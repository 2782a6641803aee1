package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

var _ credential.Shared = (*Fleet)(nil)

// errNoTurn is an error of the program.
var errNoTurn = errors.New("a renewal that has not begun")

// Turn implements [credential.Shared]: steps 1 and 2 of FLEET.md.
func (f *Fleet) Turn(ctx context.Context, name string, r grant.Request) (t grant.Token, ok bool, err error) {
	variant := f.variant(name, r)
	began := f.now().Boot
	f.mu.Lock()
	p := f.profile(name)
	known := maps.Clone(p.had)
	if p.turn != nil && p.turn.again {
		known = p.turn.had
	}
	p.turn = nil
	f.mu.Unlock()
	for {
		entries, err := f.read(ctx, p)
		if err != nil {
			return grant.Token{}, false, err
		}
		if t, ok := f.published(p, variant, entries, known, r.Refused); ok {
			return t, true, nil
		}
		until, changed, err := f.begin(p, known)
		switch {
		case err != nil:
			return grant.Token{}, false, err
		case until == 0:
			return grant.Token{}, false, nil
		case until <= f.now().Boot:
			f.flush(ctx, p)
		}
		for free := until; free > f.now().Boot; free, changed = f.busy(p) {
			if f.now().Boot >= began+turnLimit {
				return grant.Token{}, false, credential.ErrOtherTurn
			}
			f.wait(ctx, changed, min(free, began+turnLimit))
			if err := ctx.Err(); err != nil {
				return grant.Token{}, false, err
			}
			if t, ok := f.brought(p, variant, known, r.Refused); ok {
				return t, true, nil
			}
		}
	}
}

// busy returns until when another machine's request may be under way, as far as was seen.
func (f *Fleet) busy(p *profile) (until time.Duration, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.watching {
		return 0, p.changed // only reading shows it
	}
	return f.freeAt(p), p.changed
}

// brought returns the token of a variant that the watch has brought, if this machine had not had it.
func (f *Fleet) brought(
	p *profile, variant string, known map[string]had, refused keystore.Secret,
) (grant.Token, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, _, ok := f.token(p, p.tokens[variant], known, refused)
	return t, ok
}

// published returns the token of a variant among the entries, if this machine has not had it.
func (f *Fleet) published(
	p *profile, variant string, entries []engine.Entry, known map[string]had, refused keystore.Secret,
) (grant.Token, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		if e.Key == f.tokenKey(p, variant) {
			t, _, ok := f.token(p, e, known, refused)
			return t, ok
		}
	}
	return grant.Token{}, false
}

// begin begins a renewal and returns 0; or it returns until when to wait for another machine, a time that is past where
// the newest record is to be written back first, or why nothing may be sent.
func (f *Fleet) begin(p *profile, known map[string]had) (until time.Duration, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now().Boot
	if free := f.freeAt(p); free > now {
		return free, p.changed, nil
	}
	switch {
	case p.bad != nil:
		return 0, nil, p.bad
	case p.flushAt != 0:
		return p.flushAt, p.changed, nil
	case !p.there || p.rec.SignedOut:
		return 0, nil, keystore.ErrNotFound
	}
	if err := f.blocked(p, now); err != nil {
		return 0, nil, err
	}
	p.turn = &turn{rec: p.rec, sealed: p.sealed, revision: p.revision, had: known}
	return 0, nil, nil
}

// blocked returns why no machine sends, as this one's own request would have failed; or nil. f.mu is held.
func (f *Fleet) blocked(p *profile, now time.Duration) error {
	if f.rules.noRefusal {
		return nil
	}
	b := p.rec.block()
	left := p.blockSeen + b.Wait - now
	switch refusal, ok := errors.AsType[*grant.Error](b.Err); {
	case !ok || !b.Disabled && left <= 0:
		return nil
	case !b.Disabled:
		waiting := *refusal
		waiting.RetryAfter = left
		return &waiting
	}
	return b.Err
}

// current returns the renewal that is under way.
func (f *Fleet) current(name string) (*profile, *turn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.profile(name)
	if p.turn == nil {
		return p, nil, errNoTurn
	}
	return p, p.turn, nil
}

// Get implements [credential.Store]: the credential of the renewal that is under way, else the newest that was seen.
func (f *Fleet) Get(ctx context.Context, name string) (keystore.Item, error) {
	f.mu.Lock()
	p := f.profile(name)
	sealed := p.sealed
	if p.turn != nil {
		sealed = p.turn.sealed
	}
	there := p.there
	f.mu.Unlock()
	if !there {
		_, err := f.read(ctx, p)
		if err != nil {
			return keystore.Item{}, err
		}
		f.mu.Lock()
		sealed, there = p.sealed, p.there
		f.mu.Unlock()
		if !there {
			return keystore.Item{}, keystore.ErrNotFound
		}
	}
	r, err := f.unseal(p, sealed)
	if err != nil {
		return keystore.Item{}, err
	}
	defer r.wipe()
	return r.credential()
}

// Since returns the generation of the profile's login as the engine has it now, or 0 where there is no record.
func (f *Fleet) Since(ctx context.Context, name string) (int64, error) {
	f.mu.Lock()
	p := f.profile(name)
	f.mu.Unlock()
	if _, err := f.read(ctx, p); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.rec.Since, nil
}

// MarkSent implements [credential.Store]: it writes the intent, step 3.
func (f *Fleet) MarkSent(ctx context.Context, name string) (doubt, err error) {
	p, t, err := f.current(name)
	if err != nil {
		return nil, err
	}
	t.sendBy = f.now().Boot + SendWindow
	f.mu.Lock()
	p.offer = nil
	f.mu.Unlock()
	if f.rules.noIntent {
		return nil, nil
	}
	next, err := f.unseal(p, t.sealed)
	if err != nil {
		return nil, err
	}
	defer next.wipe()
	if next.Intent != nil && !f.rules.noDoubt {
		next.Doubt = unanswered
	}
	if f.isRolledBack(p) {
		next.Doubt = rolledBack
	}
	next.Intent, next.Block = &intent{Machine: f.machine, Nonce: f.nonce()}, nil
	f.mu.Lock()
	p.nonce = next.Intent.Nonce
	f.mu.Unlock()
	swapped, err := f.replace(ctx, p, t, &next, nil, f.rules.blindIntent)
	switch {
	case err != nil:
		return nil, err
	case !swapped:
		f.mu.Lock()
		t.again = true
		f.mu.Unlock()
		return nil, credential.ErrOtherTurn
	}
	return next.doubt(), nil
}

func (f *Fleet) isRolledBack(p *profile) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.rolledBack
}

// SendBy implements [credential.Shared].
func (f *Fleet) SendBy(name string) time.Duration {
	_, t, err := f.current(name)
	if err != nil {
		return 0
	}
	if f.rules.noDeadline {
		return t.sendBy + 1000*time.Hour
	}
	return t.sendBy
}

// replace writes a record in the place of the one that the renewal knows, if that is still there, and a token with it.
// The error says that this is not known, or that the engine does not answer.
func (f *Fleet) replace(
	ctx context.Context, p *profile, t *turn, next *record, token *engine.Change, blind bool,
) (bool, error) {
	sealed, err := f.seal(p, next)
	if err != nil {
		return false, err
	}
	key := f.recordKey(p)
	conditions := []engine.Condition{{Key: key, Revision: t.revision}}
	if blind {
		conditions = nil
	}
	changes := []engine.Change{{Key: key, Value: sealed}}
	if token != nil && !f.rules.apart {
		changes = append(changes, *token)
	}
	swapped, state, err := f.engine.Swap(ctx, conditions, changes)
	if token != nil && f.rules.apart && swapped {
		f.engine.Swap(ctx, nil, []engine.Change{*token})
	}
	f.reached(err)
	if errors.Is(err, engine.ErrUnknown) {
		swapped, state, err = f.wasWritten(ctx, p, sealed)
	}
	if err != nil || !swapped {
		return false, err
	}
	f.heard(state)
	kept := *next
	kept.item = nil
	defer f.memory.save()
	f.mu.Lock()
	defer f.mu.Unlock()
	t.rec, t.sealed, t.revision = kept, sealed, state.Revision
	f.observe(p, engine.Entry{Key: key, Value: sealed, Revision: state.Revision}, state)
	return true, nil
}

// wasWritten finds out what became of a change that was not answered. The state has the revision of the record.
func (f *Fleet) wasWritten(ctx context.Context, p *profile, sealed []byte) (bool, engine.State, error) {
	_, err := f.read(ctx, p)
	if err != nil {
		return false, engine.State{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	state := p.state
	state.Revision = p.revision
	return bytes.Equal(p.sealed, sealed), state, nil
}

// Rotate implements [credential.Store]: it writes the credential that replaces the one that was sent, step 5. What the
// engine does not take is remembered here, and written as soon as that cannot disturb another machine.
func (f *Fleet) Rotate(ctx context.Context, name string, _ keystore.Secret, item keystore.Item) error {
	p, t, err := f.current(name)
	if err != nil {
		return err
	}
	defer f.end(p)
	return f.answered(ctx, p, t, item, true)
}

// end ends a renewal.
func (f *Fleet) end(p *profile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.turn, p.offer = nil, nil
}

// answered writes the next generation.
func (f *Fleet) answered(ctx context.Context, p *profile, t *turn, item keystore.Item, rotated bool) error {
	generation := t.rec.Generation + 1
	if newest, ok := f.memory.of(p.id); ok && f.isRolledBack(p) {
		generation = max(generation, newest.Generation+1)
	}
	next, err := t.rec.answered(item, generation)
	if err != nil {
		return err
	}
	defer next.wipe()
	f.mu.Lock()
	next.By, next.At = f.machine, f.engineTime()
	f.mu.Unlock()
	token := f.offered(p, generation)
	swapped, err := f.replace(ctx, p, t, &next, token, f.rules.blindResult)
	if swapped {
		return nil
	}
	if err == nil {
		err = credential.ErrOtherTurn
	}
	if rotated && !f.rules.noSuccessor {
		f.keepLate(p, &next, token, err)
	}
	return err
}

// PendingError implements [credential.Store].
func (f *Fleet) PendingError(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.profiles[name]
	switch {
	case p == nil:
	case p.signIn != nil:
		return p.pendingSignIn()
	case p.late != nil:
		return fmt.Errorf("the newest credential is on this machine only: %w", p.late)
	}
	return nil
}

// MarkAnswered implements [credential.Store].
func (f *Fleet) MarkAnswered(ctx context.Context, name string) error { return f.Settle(ctx, name, nil) }

// Settle implements [credential.Shared]: step 5 of a request that has replaced no refresh token.
func (f *Fleet) Settle(ctx context.Context, name string, failed error) error {
	p, t, err := f.current(name)
	if err != nil || f.rules.noIntent && failed != nil {
		return err
	}
	defer f.end(p)
	r, err := f.unseal(p, t.sealed)
	if err != nil {
		return err
	}
	defer r.wipe()
	if failed == nil {
		item, err := r.credential()
		if err != nil {
			return err
		}
		defer item.Wipe()
		return f.answered(ctx, p, t, item, false)
	}
	settle(&r, failed)
	swapped, err := f.replace(ctx, p, t, &r, nil, f.rules.blindResult)
	if err == nil && !swapped {
		err = credential.ErrOtherTurn
	}
	return err
}

// Offer implements [credential.Shared]. Before [Fleet.Replace] it offers the token of the login.
func (f *Fleet) Offer(name string, r grant.Request, t grant.Token) {
	if t.Static || t.Kept {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.profile(name).offer = &offer{f.variant(name, r), t}
}

// offered returns the change that publishes the token that was offered, with the record of its generation; nil where
// there is none.
func (f *Fleet) offered(p *profile, generation int64) *engine.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := p.offer
	if o == nil || f.offset == 0 {
		return nil
	}
	text, err := encodeToken(o.token, generation, f.offset)
	if err != nil {
		return nil
	}
	defer clear(text)
	key := f.tokenKey(p, o.variant)
	sealed, err := f.keys.Seal(key, kindToken, text)
	if err != nil || len(sealed) > engine.MaxValue { // each machine obtains its own then
		return nil
	}
	p.had[o.variant] = had{generation, f.now().Boot}
	return &engine.Change{Key: key, Value: sealed}
}
