package daemon

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
)

// sharedStore is the store of the fleet's profiles, whether or not the fleet runs yet.
type sharedStore struct{ f *fleetPart }

var (
	_ credential.Shared = sharedStore{}
	_ keystore.Store    = sharedStore{}
)

// staged is what a login stores beside the credential.
type staged struct {
	config []byte
	since  int64 // the generation of the login before it, as far as was seen
	tried  bool  // it could not be stored, and another machine may have signed in since
}

// Usable implements [login.Fleet].
func (f *fleetPart) Usable() error {
	r, err := f.use()
	if err != nil {
		return err
	}
	return r.member.Err()
}

// Store implements [login.Fleet].
func (f *fleetPart) Store() credential.Store { return sharedStore{f} }

// Stage implements [login.Fleet].
func (f *fleetPart) Stage(p *profile.Profile, t *grant.Token) {
	r := f.now()
	text, err := p.Text()
	if r == nil || err != nil {
		return // Set says so
	}
	f.mu.Lock()
	f.staged[p.Name] = staged{config: []byte(text), since: r.fleet.Status(p.Name).Since}
	f.mu.Unlock()
	source := r.fleet.Source(p.Name, p.Endpoint, scopeOf(p), audienceOf(p))
	if t != nil {
		r.fleet.Offer(p.Name, source.Request("", ""), *t)
	}
}

// Share implements [login.Fleet].
func (f *fleetPart) Share(ctx context.Context, p *profile.Profile) error {
	r, err := f.use()
	if err != nil {
		return err
	}
	text, err := p.Text()
	if err != nil || text == string(r.fleet.Config(p.Name)) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	return r.fleet.Configure(ctx, p.Name, []byte(text))
}

// Turn implements [credential.Shared].
func (s sharedStore) Turn(ctx context.Context, name string, q grant.Request) (t grant.Token, ok bool, err error) {
	r, err := s.f.use()
	if err != nil {
		return grant.Token{}, false, err
	}
	return r.fleet.Turn(ctx, name, q)
}

// SendBy implements [credential.Shared].
func (s sharedStore) SendBy(name string) time.Duration {
	if r := s.f.now(); r != nil {
		return r.fleet.SendBy(name)
	}
	return 1 // long over
}

// Settle implements [credential.Shared].
func (s sharedStore) Settle(ctx context.Context, name string, failed error) error {
	r, err := s.f.use()
	if err != nil {
		return err
	}
	return r.fleet.Settle(ctx, name, failed)
}

// Offer implements [credential.Shared].
func (s sharedStore) Offer(name string, q grant.Request, t grant.Token) {
	if r := s.f.now(); r != nil {
		r.fleet.Offer(name, q, t)
	}
}

// PendingError implements [credential.Store].
func (s sharedStore) PendingError(name string) error {
	if r := s.f.now(); r != nil {
		return r.fleet.PendingError(name)
	}
	return nil
}

// Get implements [keystore.Store].
func (s sharedStore) Get(ctx context.Context, name string) (keystore.Item, error) {
	r, err := s.f.use()
	if err != nil {
		return keystore.Item{}, err
	}
	return r.fleet.Get(ctx, name)
}

// MarkSent implements [keystore.Store].
func (s sharedStore) MarkSent(ctx context.Context, name string) (doubt, err error) {
	r, err := s.f.use()
	if err != nil {
		return nil, err
	}
	return r.fleet.MarkSent(ctx, name)
}

// Rotate implements [credential.Store].
func (s sharedStore) Rotate(ctx context.Context, name string, sent keystore.Secret, item keystore.Item) error {
	r, err := s.f.use()
	if err != nil {
		return err
	}
	return r.fleet.Rotate(ctx, name, sent, item)
}

// MarkAnswered implements [keystore.Store].
func (s sharedStore) MarkAnswered(ctx context.Context, name string) error {
	return s.Settle(ctx, name, nil)
}

// errNotStaged is an error of the program.
var errNotStaged = errors.New("a credential of the fleet without its configuration")

// Set implements [keystore.Store]: it replaces the credential on all machines. One that could not be stored is dropped
// where another machine has signed in since.
func (s sharedStore) Set(ctx context.Context, name string, item keystore.Item) error {
	r, err := s.f.use()
	if err != nil {
		return err
	}
	s.f.mu.Lock()
	login := s.f.staged[name]
	s.f.mu.Unlock()
	if login.tried {
		since, err := r.fleet.Since(ctx, name)
		if err != nil {
			return err
		}
		if since > login.since {
			s.f.d.Log.Info("a sign-in that the fleet's engine could not take is dropped: there is a later one",
				zap.String("profile", name))
			s.f.unstage(name)
			return nil
		}
	}
	text := login.config
	if p := s.f.d.profiles.Named(name); text == nil && p != nil && p.Fleet {
		if plain, err := p.Text(); err == nil {
			text = []byte(plain)
		}
	}
	if text == nil {
		return errNotStaged
	}
	if err := r.fleet.Replace(ctx, name, item, text); err != nil {
		login.config, login.tried = text, true
		s.f.mu.Lock()
		s.f.staged[name] = login
		s.f.mu.Unlock()
		return err
	}
	s.f.unstage(name)
	return nil
}

func (f *fleetPart) unstage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.staged, name)
}

// Delete implements [keystore.Store]: it signs the profile out on all machines.
func (s sharedStore) Delete(ctx context.Context, name string) error {
	r, err := s.f.use()
	if err != nil {
		return err
	}
	return r.fleet.Delete(ctx, name)
}

// Probe implements [keystore.Store].
func (s sharedStore) Probe(ctx context.Context) error {
	r, err := s.f.use()
	if err != nil {
		return err
	}
	return r.member.Sync(ctx)
}

// InDoubt implements [keystore.Store]: the fleet itself sees to what other machines have left undone.
func (s sharedStore) InDoubt(context.Context) ([]string, error) { return nil, nil }
