package login

import (
	"context"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/credential"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"go.uber.org/zap"
)

// pauseTime is how long a request of the profile's owner that is under way may keep a login waiting.
const pauseTime = 20 * time.Second

// Stores is where the credentials of profiles are: those of ephemeral ones in memory, all others in the keystore.
type Stores struct {
	Kept, Memory keystore.PendingStore
}

// Of returns where a profile's credential is.
func (s *Stores) Of(p *profile.Profile) *keystore.PendingStore {
	if p.Ephemeral {
		return &s.Memory
	}
	return &s.Kept
}

// Source returns a profile's credential as the broker uses it.
func (s *Stores) Source(p *profile.Profile) broker.Source {
	c := &credential.Source{Profile: p.Name, Store: s.Of(p), Endpoint: p.Endpoint}
	if !p.Kind().Session() { // a session's tokens are what was signed in for; servers refuse to hear it again
		c.Scope, c.Audience = p.Scope, p.Audience
	}
	return c
}

// server is the login's, with what only a sign-in needs.
func (l *Login) server() grant.Server { return l.endpoint.Server() }

// store is where the profile's credential is kept.
func (l *Login) store() *keystore.PendingStore { return l.logins.Stores.Of(l.profile) }

// storeIfChanged stores the item where it is not already there; keychains ask a person before an overwrite, and some
// lose it. Where it cannot be stored it is held, and put returns why.
func (l *Login) storeIfChanged(ctx context.Context, item keystore.Item) error {
	if old, err := l.store().Get(ctx, l.params.Profile); err == nil {
		same := old.Equal(item)
		old.Wipe()
		if same {
			return l.store().Retry(ctx, l.params.Profile) // it may be there, and in memory only
		}
	}
	return l.storeOrHold(ctx, item)
}

// storeOrHold stores what a person has just obtained, or holds it and returns why it could not be stored. What a server
// has said of the credential before does not outlive it.
func (l *Login) storeOrHold(ctx context.Context, item keystore.Item) error {
	l.logins.Refusals.Forget(ctx, l.params.Profile)
	return l.store().SetOrHold(ctx, l.params.Profile, item)
}

// pauseRenewals keeps the profile's owner from using the credential until resume is called. A request under way that
// takes longer than anybody should wait is no reason to lose what a person has just obtained: its answer is void when
// it comes, by [keystore.PendingStore.Rotate] and the broker's own count of credentials.
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

// notStoredError says that a sign-in has succeeded and that what came of it is in memory only.
func (l *Login) notStoredError(err error) error {
	e := l.logins.Wire(err, l.params.Profile)
	e.Message = fmt.Sprintf("profile %s is signed in, but its credential could not be stored: %s; groatd holds it until it stops", l.params.Profile, e.Message)
	e.Data.Hint = "groat login " + l.params.Profile + " (stores it, and asks for nothing)"
	return e
}

// wipe wipes a credential, if there is one.
func wipe(item *keystore.Item) {
	if item != nil {
		item.Wipe()
	}
}
