package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

const (
	// The wait before the engine is tried again, from the first to the longest: of each a random half is left out, so
	// that a thousand machines do not come at once.
	firstWait = time.Second
	mostWait  = 15 * time.Second
	// minderNap is the longest time that passes between two looks at what is due.
	minderNap = time.Minute
)

// Run watches the engine until ctx ends, and renews what other machines have left undone. It returns when nothing of it
// runs any more.
func (f *Fleet) Run(ctx context.Context) {
	var minding sync.WaitGroup
	minding.Go(func() { f.mind(ctx) })
	defer minding.Wait()
	wait := firstWait
	for ctx.Err() == nil {
		if f.follow(ctx) {
			wait = firstWait
		}
		f.pause(ctx, wait)
		wait = min(2*wait, mostWait)
	}
}

// follow reads everything and then watches, until that fails. It reports whether the engine has answered.
func (f *Fleet) follow(whole context.Context) (answered bool) {
	ctx, stop := context.WithCancel(whole)
	defer stop()
	f.mu.Lock()
	f.sealedLater, f.readAnew = false, stop
	f.mu.Unlock()
	entries, state, err := f.engine.Read(ctx, f.root())
	f.reached(err)
	if err != nil {
		return false
	}
	f.heard(state)
	f.take(entries, state, true)
	for wait := firstWait; ; wait = min(2*wait, mostWait) {
		err = f.engine.Watch(ctx, f.root(), state, func(changes []engine.Entry, now engine.State) {
			state, wait = now, firstWait
			f.setWatching(true)
			f.reached(nil)
			f.heard(now)
			if len(changes) > 0 {
				f.take(changes, now, false)
			}
		})
		f.setWatching(false)
		f.reached(err)
		if ctx.Err() != nil || !errors.Is(err, engine.ErrUnavailable) {
			return true
		}
		f.pause(ctx, wait)
	}
}

// Rekeyed says that the keyring has a new key: what could not be read without it is read anew.
func (f *Fleet) Rekeyed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := f.sealedLater
	for _, p := range f.profiles {
		again = again || p.bad != nil
	}
	if again && f.readAnew != nil {
		f.readAnew()
	}
}

func (f *Fleet) setWatching(watching bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watching = watching
}

// pause waits for a part of d.
func (f *Fleet) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d - time.Duration(f.draw()*float64(d)/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take takes in all entries of the fleet's profiles, or changes of some: configurations first, for without one the rest
// of a profile is of nobody.
func (f *Fleet) take(entries []engine.Entry, state engine.State, whole bool) {
	defer f.memory.save()
	var tokens []engine.Entry
	records := map[string]engine.Entry{}
	seen := map[string]bool{}
	for _, e := range entries {
		switch id, kind, _ := f.part(e.Key); kind {
		case kindConfig:
			seen[id] = true
			f.takeConfig(id, e)
		case kindRecord:
			records[id] = e
		case kindToken:
			tokens = append(tokens, e)
		}
	}
	for id, e := range records {
		f.takeRecord(id, e, state, whole)
	}
	if whole {
		f.takeAbsent(seen, records, state)
	}
	for _, e := range tokens {
		f.takeToken(e)
	}
}

// takeRecord takes in a record. One that comes with the watch may be older than one that was read since.
func (f *Fleet) takeRecord(id string, e engine.Entry, state engine.State, whole bool) {
	f.mu.Lock()
	p := f.byID[id]
	if p != nil && (whole || e.Revision > p.revision) {
		f.observe(p, e, state)
	}
	over := p != nil && p.there && p.rec.SignedOut
	f.mu.Unlock()
	if over {
		f.gone(id)
	}
}

// takeAbsent takes in what a whole read has not shown.
func (f *Fleet) takeAbsent(configs map[string]bool, records map[string]engine.Entry, state engine.State) {
	f.mu.Lock()
	var gone []string
	for id, p := range f.byID {
		if _, ok := records[id]; !ok && (p.there || p.bad != nil || p.source != nil) {
			f.observe(p, engine.Entry{}, state)
		}
		if !configs[id] {
			gone = append(gone, id)
		}
	}
	f.mu.Unlock()
	for _, id := range gone {
		f.gone(id)
	}
}

// takeToken gives a token that another machine has published to the broker.
func (f *Fleet) takeToken(e engine.Entry) {
	id, _, variant := f.part(e.Key)
	f.mu.Lock()
	p := f.byID[id]
	if p == nil {
		f.mu.Unlock()
		return
	}
	if p.tokens[variant] = e; e.Value == nil {
		delete(p.tokens, variant)
	}
	before, had := p.had[variant]
	t, _, ok := f.token(p, e, p.hadLongAgo(), keystore.Secret{})
	f.mu.Unlock()
	if !ok {
		return
	}
	match := func(r grant.Request) bool { return f.variant(p.name, r) == variant }
	if f.tell.Came != nil && f.tell.Came(p.name, match, t) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.had[variant] = before; !had { // the broker has no use for it yet
		delete(p.had, variant)
	}
}

// hadLongAgo is what the broker has, without regard to when it came.
func (p *profile) hadLongAgo() map[string]had {
	all := make(map[string]had, len(p.had))
	for variant, h := range p.had {
		all[variant] = had{h.generation, -longest}
	}
	return all
}

// rouse makes the minder look again.
func (f *Fleet) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// mind does what is due: it writes back what the engine does not have, and has profiles renewed that another machine
// has not finished.
func (f *Fleet) mind(ctx context.Context) {
	for ctx.Err() == nil {
		next := min(f.doDue(ctx), f.flushConfigs(ctx))
		timer := time.NewTimer(max(min(next-f.now().Boot, minderNap), time.Millisecond))
		select {
		case <-timer.C:
		case <-f.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// doDue does what is due, and returns the boot time at which something is due next.
func (f *Fleet) doDue(ctx context.Context) (next time.Duration) {
	now := f.now().Boot
	next = now + minderNap
	var flush, renew, signIn []*profile
	f.mu.Lock()
	for _, p := range f.profiles {
		switch {
		case p.flushAt == 0:
		case p.flushAt <= now:
			flush = append(flush, p)
		default:
			next = min(next, p.flushAt)
		}
		switch {
		case p.signInAt == 0:
		case p.signInAt <= now:
			signIn = append(signIn, p)
		default:
			next = min(next, p.signInAt)
		}
		switch {
		case p.due == 0 || p.source == nil:
		case p.due <= now:
			p.due = 0
			renew = append(renew, p)
		default:
			next = min(next, p.due)
		}
	}
	f.mu.Unlock()
	for _, p := range flush {
		f.flush(ctx, p)
	}
	for _, p := range signIn {
		f.flushSignIn(ctx, p)
	}
	for _, p := range renew {
		if f.tell.Renew != nil {
			f.tell.Renew(p.name)
		}
	}
	return next
}
