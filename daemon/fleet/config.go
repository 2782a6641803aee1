package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/fleet/keyring"
)

// configuration is a profile's as all machines have it. Since and Change tell an older one from a newer.
type configuration struct {
	Version int    `json:"v"`
	Profile string `json:"profile"`
	// Since is the generation of the login that it came with, and Change counts what was changed after that.
	Since  int64  `json:"since"`
	Change int64  `json:"change,omitempty"`
	Config []byte `json:"config"`
}

// keptConfig is the newest configuration that this machine has seen, sealed as it is in the engine.
type keptConfig struct {
	Since  int64  `json:"since"`
	Change int64  `json:"change"`
	Sealed []byte `json:"sealed"`
}

// older reports whether a configuration is from before the one that was kept.
func (k keptConfig) older(c configuration) bool {
	return cmp.Or(cmp.Compare(c.Since, k.Since), cmp.Compare(c.Change, k.Change)) < 0
}

// Configure makes a configuration that of a profile on all machines; its credential stays as it is, and the renewal
// that is under way. The error is the engine's, or [credential.ErrOtherTurn].
func (f *Fleet) Configure(ctx context.Context, name string, config []byte) error {
	f.mu.Lock()
	p := f.profile(name)
	f.mu.Unlock()
	for range changeTries {
		entries, err := f.read(ctx, p)
		if err != nil {
			return err
		}
		was, newest := engine.Condition{Key: f.configKey(p)}, f.memory.config(p.id)
		for _, e := range entries {
			if e.Key != was.Key {
				continue
			}
			was.Revision = e.Revision
			if c, err := f.openConfig(p.id, e.Value); err == nil && !newest.older(c) {
				newest = keptConfig{Since: c.Since, Change: c.Change}
			}
		}
		sealed, err := f.sealConfig(p, configuration{Since: newest.Since, Change: newest.Change + 1, Config: config})
		if err != nil {
			return err
		}
		swapped, _, err := f.engine.Swap(ctx, []engine.Condition{was}, []engine.Change{{Key: was.Key, Value: sealed}})
		f.reached(err)
		if swapped || err != nil {
			return err
		}
	}
	return credential.ErrOtherTurn
}

// sealConfig seals a profile's configuration for its place.
func (f *Fleet) sealConfig(p *profile, c configuration) ([]byte, error) {
	c.Version, c.Profile = format, p.name
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return f.keys.Seal(f.configKey(p), kindConfig, text)
}

// openConfig opens the configuration of the profile that has a name in the engine.
func (f *Fleet) openConfig(id string, sealed []byte) (c configuration, err error) {
	plain, err := f.open(f.root()+id+"/"+kindConfig, kindConfig, sealed)
	if err != nil {
		return configuration{}, err
	}
	defer plain.Wipe()
	text := plain.AppendTo(nil)
	defer clear(text)
	if err := decode(text, &c, &c.Version); err != nil {
		return configuration{}, err
	}
	if f.keys.Name("profile", c.Profile) != id || c.Since < 0 || c.Change < 0 {
		return configuration{}, errRecord
	}
	return c, nil
}

// takeConfig takes in a configuration, or that there is none any more. One that is older than another that this machine
// has seen is not taken: that one is written back.
func (f *Fleet) takeConfig(id string, e engine.Entry) {
	if e.Value == nil {
		f.gone(id)
		return
	}
	c, err := f.openConfig(id, e.Value)
	if missing, ok := errors.AsType[*keyring.EpochError](err); ok && !missing.Past {
		f.mu.Lock()
		f.sealedLater = true
		f.mu.Unlock()
		c, err = f.openConfig(id, e.Value) // the key may have come before that was noted
	}
	if err != nil {
		return
	}
	f.mu.Lock()
	p := f.profile(c.Profile)
	p.configRevision = e.Revision
	if f.memory.config(id).older(c) {
		p.configAt = max(f.now().Boot, 1)
		f.mu.Unlock()
		f.rouse()
		return
	}
	f.memory.keepConfig(id, keptConfig{c.Since, c.Change, e.Value})
	same := p.config != nil && string(p.config) == string(c.Config)
	p.config, p.configAt = c.Config, 0
	f.mu.Unlock()
	if !same && f.tell.Configured != nil {
		f.tell.Configured(c.Profile, c.Config)
	}
}

// gone takes in that a configuration is not there any more. A profile that nobody has signed out stays: the engine was
// put back, and the configuration is written anew.
func (f *Fleet) gone(id string) {
	f.mu.Lock()
	p := f.byID[id]
	if p == nil || p.config == nil {
		f.mu.Unlock()
		return
	}
	p.configRevision = 0
	if _, ok := f.memory.of(id); ok && !f.signedOut(p) {
		p.configAt = max(f.now().Boot, 1)
		f.mu.Unlock()
		f.rouse()
		return
	}
	p.config, p.configAt = nil, 0
	f.mu.Unlock()
	if f.tell.Gone != nil {
		f.tell.Gone(p.name)
	}
}

// signedOut reports whether the newest record that this machine has seen is a logout's. f.mu is held.
func (f *Fleet) signedOut(p *profile) bool {
	newest, ok := f.memory.of(p.id)
	if !ok {
		return p.rec.SignedOut
	}
	r, err := f.unseal(p, newest.Sealed)
	defer r.wipe()
	return err != nil || r.SignedOut
}

// flushConfigs writes the newest configurations back that the engine does not have. It returns the boot time at which
// it is to be called again.
func (f *Fleet) flushConfigs(ctx context.Context) (next time.Duration) {
	now := f.now().Boot
	next = now + minderNap
	var due []*profile
	f.mu.Lock()
	for _, p := range f.profiles {
		switch {
		case p.configAt == 0:
		case p.configAt <= now:
			due = append(due, p)
			p.configAt = now + flushEvery // unless it is taken in until then
			next = min(next, p.configAt)
		default:
			next = min(next, p.configAt)
		}
	}
	f.mu.Unlock()
	for _, p := range due {
		f.flushConfig(ctx, p)
	}
	return next
}

// flushConfig writes the newest configuration back, on condition that neither another one nor a logout has come.
func (f *Fleet) flushConfig(ctx context.Context, p *profile) {
	newest, err := f.openConfig(p.id, f.memory.config(p.id).Sealed)
	f.mu.Lock()
	over := err != nil || f.signedOut(p)
	if over {
		p.configAt = 0
	}
	conditions := []engine.Condition{
		{Key: f.configKey(p), Revision: p.configRevision}, {Key: f.recordKey(p), Revision: p.revision},
	}
	f.mu.Unlock()
	if over {
		return // it cannot be read any more, or is of nobody
	}
	sealed, err := f.sealConfig(p, newest)
	if err != nil {
		return
	}
	_, _, err = f.engine.Swap(ctx, conditions, []engine.Change{{Key: f.configKey(p), Value: sealed}})
	f.reached(err)
	if err != nil && !errors.Is(err, engine.ErrUnknown) {
		return
	}
	entries, err := f.read(ctx, p)
	for _, e := range entries {
		if err == nil && e.Key == f.configKey(p) {
			f.takeConfig(p.id, e)
		}
	}
	f.memory.save()
}

// config returns the newest configuration of a profile.
func (m *memory) config(id string) keptConfig {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.configs[id]
}

// keepConfig remembers a configuration. Until [memory.save] it is in memory only.
func (m *memory) keepConfig(id string, c keptConfig) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.configs[id]
	m.configs[id] = c
	m.changed = m.changed || old.Since != c.Since || old.Change != c.Change
}

// resealConfigs is reseal for configurations. m.mu is held.
func (m *memory) resealConfigs(root string, keys *keyring.Keyring) error {
	for id, c := range m.configs {
		key := root + id + "/" + kindConfig
		plain, epoch, err := keys.Open(key, kindConfig, c.Sealed)
		if err != nil || epoch == keys.Epoch() {
			plain.Wipe()
			continue
		}
		text := plain.AppendTo(nil)
		c.Sealed, err = keys.Seal(key, kindConfig, text)
		clear(text)
		plain.Wipe()
		if err != nil {
			return err
		}
		m.configs[id] = c
	}
	return nil
}
