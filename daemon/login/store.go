package login

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// pauseTime is how long a login waits for a request of the broker that is under way with the profile's credential.
const pauseTime = 20 * time.Second

// Stores is where the credentials of profiles are: those of ephemeral profiles in Memory, those of the fleet in Shared,
// all others in Kept.
type Stores struct {
	Kept, Memory, Shared keystore.PendingStore
	Fleet                Fleet // nil only in tests
}

// Fleet is the fleet that this machine may be in.
type Fleet interface {
	// Usable returns why no profile can be the fleet's, or nil.
	Usable() error
	// Store is the store of its profiles as a renewal uses it.
	Store() credential.Store
	// Stage says what the next Set of a profile's credential stores beside it for all machines: the configuration, and
	// the token of the sign-in where it is not nil.
	Stage(p *profile.Profile, t *grant.Token)
	// Share makes a profile's configuration that of all machines.
	Share(ctx context.Context, p *profile.Profile) error
}

// Of returns where a profile's credential is.
func (s *Stores) Of(p *profile.Profile) *keystore.PendingStore {
	switch {
	case p.Ephemeral:
		return &s.Memory
	case p.Fleet:
		return &s.Shared
	}
	return &s.Kept
}

// Source returns a profile's credential as the broker uses it.
func (s *Stores) Source(p *profile.Profile) broker.Source {
	c := &credential.Source{Profile: p.Name, Store: s.Of(p), Endpoint: p.Endpoint}
	if p.Fleet && !p.Ephemeral && s.Fleet != nil {
		c.Store = s.Fleet.Store()
	}
	// a session has the scope and audience of its sign-in, and servers refuse to be asked for them again
	if !p.Kind().Session() {
		c.Scope, c.Audience = p.Scope, p.Audience
	}
	return c
}

// server is the server of the sign-in: that of the profile, with the addresses that only a sign-in needs.
func (l *Login) server() grant.Server { return l.endpoint.Server() }

// store is where the credential of the new profile is kept.
func (l *Login) store() *keystore.PendingStore { return l.logins.Stores.Of(l.profile) }

// storeIfChanged stores an item unless the store has it already: keychains ask a person before an overwrite, and some
// lose the item. In a fleet each sign-in is stored, for it ends what keeps the other machines from the credential. An
// item that cannot be stored is held in memory, and the error says why it could not.
func (l *Login) storeIfChanged(ctx context.Context, item keystore.Item) error {
	if l.profile.Fleet {
		return l.storeOrHold(ctx, item)
	}
	if old, err := l.store().Get(ctx, l.params.Profile); err == nil {
		same := old.Equal(item)
		old.Wipe()
		if same {
			return l.store().Retry(ctx, l.params.Profile) // it may be there, and in memory only
		}
	}
	return l.storeOrHold(ctx, item)
}

// stage tells the fleet what to store beside the credential of one of its profiles.
func (l *Login) stage(t *grant.Token) {
	if l.profile.Fleet && l.logins.Stores.Fleet != nil {
		l.logins.Stores.Fleet.Stage(l.profile, t)
	}
}

// share gives the fleet the configuration of one of its profiles whose credential was proven. A client's credential is
// stored anew, which ends a refusal that the machines share. A session's is not: another machine may be renewing it.
func (l *Login) share(item keystore.Item, t *grant.Token) error {
	fleet := l.logins.Stores.Fleet
	switch {
	case !l.profile.Fleet || fleet == nil:
		return nil
	case l.kind.Session():
		return fleet.Share(l.ctx, l.profile)
	}
	fleet.Stage(l.profile, t)
	if err := l.store().Store.Set(l.ctx, l.params.Profile, item); err != nil {
		return err
	}
	return l.keptByFleet()
}

// checkFleet refuses a profile that cannot be the fleet's.
func (l *Login) checkFleet() error {
	was := l.logins.Profiles.Named(l.params.Profile)
	if !l.params.Fleet {
		if was != nil && was.Fleet && l.params.Ephemeral {
			return protocol.InvalidParams("profile %q is the fleet's, so it cannot be kept in memory only", was.Name)
		}
		return nil
	}
	switch fleet := l.logins.Stores.Fleet; {
	case l.params.Ephemeral:
		return protocol.InvalidParams("--fleet and --ephemeral exclude each other")
	case was != nil && !was.Fleet:
		return protocol.NewError(protocol.Config, fmt.Sprintf("profile %q is this machine's own, and is not replaced "+
			"by one of the fleet: log it out here first, or take another name", was.Name), "groat logout "+was.Name)
	case fleet == nil:
		return protocol.NewError(protocol.Config, "this machine is in no fleet", "groat fleet --help")
	default:
		return fleet.Usable()
	}
}

// storeOrHold stores an item, or holds it in memory and returns why it could not be stored. The refusals that a server
// gave for the credential before are forgotten first.
func (l *Login) storeOrHold(ctx context.Context, item keystore.Item) error {
	l.logins.Refusals.Forget(ctx, l.params.Profile)
	if err := l.store().SetOrHold(ctx, l.params.Profile, item); err != nil {
		return err
	}
	return l.keptByFleet()
}

// keptByFleet returns why a credential of the fleet is on this machine only, or nil.
func (l *Login) keptByFleet() error {
	if !l.profile.Fleet || l.logins.Stores.Fleet == nil {
		return nil
	}
	return l.logins.Stores.Fleet.Store().PendingError(l.params.Profile)
}

// afterwards is how a credential that could not be stored gets where it belongs, and the next command.
func (l *Login) afterwards() (what, hint string) {
	if l.keptByFleet() != nil {
		return "groatd keeps it, also when it is restarted, and writes it when the fleet's engine takes it",
			"groat fleet status"
	}
	return "groatd holds it until it stops, and the next login stores it and asks for nothing",
		"groat login " + l.params.Profile
}

// pauseRenewals keeps the broker from using the profile's credential until resume is called. It waits at most pauseTime
// for a request under way: the new credential must not be lost for it. The late answer of that request is ignored, by
// [keystore.PendingStore.Rotate] and by the broker's own count of credentials.
func (l *Login) pauseRenewals(ctx context.Context) (resume func()) {
	ctx, cancel := context.WithTimeout(ctx, pauseTime)
	defer cancel()
	resume, err := l.logins.Broker.Pause(ctx, l.params.Profile)
	if err != nil {
		l.logins.Log.Warn("a renewal with the old credential is still under way",
			zap.String("profile", l.params.Profile))
	}
	return resume
}

// notStoredError is the error of a sign-in that has succeeded and whose credential is in memory only.
func (l *Login) notStoredError(err error) error {
	e := l.logins.Wire(err, l.params.Profile)
	what, hint := l.afterwards()
	e.Message = fmt.Sprintf("profile %s is signed in, but its credential could not be stored: %s; %s",
		l.params.Profile, e.Message, what)
	e.Data.Hint = hint
	return e
}

// wipe wipes a credential, if there is one.
func wipe(item *keystore.Item) {
	if item != nil {
		item.Wipe()
	}
}

// MoveCredentials runs move, which moves all credentials, while no session is being renewed and nothing is in memory
// only that should be in the keystore.
func (s *Logins) MoveCredentials(ctx context.Context, move func(context.Context) error) error {
	profiles := s.Profiles.Snapshot()
	for p := range profiles.All() {
		if p.Ephemeral || !p.Kind().Session() {
			continue
		}
		short, done := context.WithTimeout(ctx, pauseTime)
		resume, err := s.Broker.Pause(short, p.Name)
		done()
		if err != nil {
			return protocol.NewError(protocol.Temporary,
				fmt.Sprintf("the session of profile %q is being renewed just now", p.Name), "groat status "+p.Name)
		}
		defer resume()
	}
	s.Stores.Kept.RetryAll(ctx, true)
	for p := range profiles.All() {
		if err := s.Stores.Kept.PendingError(p.Name); err != nil {
			return fmt.Errorf("the newest credential of profile %q is in groatd's memory only, "+
				"so nothing was moved: %w", p.Name, err)
		}
	}
	if s.Stores.Kept.HasPending() {
		return fmt.Errorf("%w: a credential is in groatd's memory only, so nothing was moved", keystore.ErrUnavailable)
	}
	err := move(ctx)
	s.Log.Info("the keystore was moved", zap.Bool("done", err == nil))
	return err
}
