package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/groat-dev/groat/daemon/fleet/keyring"
	"github.com/groat-dev/groat/keystore"
)

// keptSignIn is a sign-in that the engine did not take. It is void once another sign-in or a logout came after the
// generation that was the newest then: unlike a successor, it does not end with a renewal of what was before it.
type keptSignIn struct {
	After  int64  `json:"after"`
	Record []byte `json:"record"` // sealed, as is
	Config []byte `json:"config"`
}

// errKeptSignIn is why a sign-in of an earlier process is on this machine only.
var errKeptSignIn = errors.New("the fleet's engine has not taken it yet")

// keepSignIn remembers a sign-in that the engine did not take.
func (f *Fleet) keepSignIn(name string, item keystore.Item, config []byte, why error) error {
	defer f.memory.save() // where the disk does not take it, it is in memory
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.profile(name)
	newest, _ := f.memory.of(p.id)
	after := max(p.rec.Generation, newest.Generation)
	r := record{Version: format, Profile: p.name, Generation: after + 1, Since: after + 1, By: f.machine}
	defer r.wipe()
	err := r.setItem(&item)
	kept := keptSignIn{After: after}
	if err == nil {
		kept.Record, err = f.seal(p, &r)
	}
	if err == nil {
		kept.Config, err = f.sealConfig(p, configuration{Since: after + 1, Config: config})
	}
	if err != nil {
		return err
	}
	f.memory.keepSignIn(p.id, kept)
	p.signIn, p.signInAt = why, f.now().Boot+flushEvery
	f.rouse()
	return nil
}

// resumeSignIns takes up the sign-ins that were kept by an earlier process.
func (f *Fleet) resumeSignIns() {
	for id, kept := range f.memory.allSignIns() {
		c, err := f.openConfig(id, kept.Config)
		if err != nil || f.keys.Name("profile", c.Profile) != id {
			continue // by a key that is over
		}
		p := f.profile(c.Profile)
		p.signIn, p.signInAt = errKeptSignIn, 1
	}
}

// flushSignIn writes a sign-in that was kept, unless another one or a logout came since.
func (f *Fleet) flushSignIn(ctx context.Context, p *profile) {
	kept, ok := f.memory.signIn(p.id)
	if !ok {
		f.endSignIn(p)
		return
	}
	over, err := f.tryAgain(ctx, p, kept)
	if over {
		f.endSignIn(p)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.signInAt = f.now().Boot + flushEvery
	if err != nil {
		p.signIn = err
	}
}

// tryAgain reports whether a sign-in that was kept is written or void.
func (f *Fleet) tryAgain(ctx context.Context, p *profile, kept keptSignIn) (over bool, err error) {
	entries, err := f.read(ctx, p)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	since := p.rec.Since
	f.mu.Unlock()
	if since > kept.After {
		return true, nil
	}
	c, err := f.openConfig(p.id, kept.Config)
	if err != nil {
		return false, err
	}
	r, err := f.unseal(p, kept.Record)
	if err != nil {
		return false, err
	}
	defer r.wipe()
	item, err := r.credential()
	if err != nil {
		return false, err
	}
	defer item.Wipe()
	return f.tryChange(ctx, p, &item, c.Config, entries)
}

// endSignIn forgets a sign-in that was kept.
func (f *Fleet) endSignIn(p *profile) {
	defer f.memory.save()
	f.memory.dropSignIn(p.id)
	f.mu.Lock()
	defer f.mu.Unlock()
	p.signIn, p.signInAt = nil, 0
}

// pendingSignIn is why a sign-in is on this machine only, or nil. f.mu is held.
func (p *profile) pendingSignIn() error {
	if p.signIn == nil {
		return nil
	}
	return fmt.Errorf("the newest sign-in is on this machine only, and is written as soon as that can be: %w",
		p.signIn)
}

func (m *memory) keepSignIn(id string, kept keptSignIn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signIns[id], m.changed = kept, true
}

func (m *memory) dropSignIn(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.signIns[id]; ok {
		delete(m.signIns, id)
		m.changed = true
	}
}

func (m *memory) signIn(id string) (keptSignIn, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept, ok := m.signIns[id]
	return kept, ok
}

func (m *memory) allSignIns() map[string]keptSignIn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.signIns)
}

// resealSignIns seals what is kept with the newest key. m.mu is held.
func (m *memory) resealSignIns(root string, keys *keyring.Keyring) error {
	for id, kept := range m.signIns {
		for kind, value := range map[string]*[]byte{kindRecord: &kept.Record, kindConfig: &kept.Config} {
			sealed, err := sealedAnew(root+id+"/"+kind, kind, *value, keys)
			if err != nil {
				return err
			}
			*value = sealed
		}
		m.signIns[id] = kept
	}
	return nil
}

// sealedAnew returns a value sealed with the newest key; as it was where it is already, or cannot be opened: what is
// sealed with a later key needs no other one, and what is sealed with none is nobody's.
func sealedAnew(key, kind string, value []byte, keys *keyring.Keyring) ([]byte, error) {
	plain, epoch, err := keys.Open(key, kind, value)
	defer plain.Wipe()
	if err != nil || epoch == keys.Epoch() {
		return value, nil
	}
	text := plain.AppendTo(nil)
	defer clear(text)
	return keys.Seal(key, kind, text)
}
