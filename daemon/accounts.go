package daemon

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol/visible"
)

// accounts remembers, for the listings, whose the credentials are that have passed through a store, and no secret of
// them. It is the store, so that it misses no write. It is safe for concurrent use.
type accounts struct {
	keystore.Store

	mu    sync.Mutex
	known map[string]account // :: profile → whose it is; zero where there is no credential
	pause time.Time          // until then the store is not asked for the listings' sake
}

// account is whose a credential is.
type account struct {
	name string // "" where it has none
	user string // the user name that a person has signed in with
}

func newAccounts(store keystore.Store) *accounts {
	return &accounts{Store: store, known: map[string]account{}}
}

// Get implements [keystore.Store].
func (a *accounts) Get(ctx context.Context, profile string) (keystore.Item, error) {
	item, err := a.Store.Get(ctx, profile)
	if err == nil || errors.Is(err, keystore.ErrNotFound) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if _, known := a.known[profile]; !known { // else by a write, which may be later than what was read
			a.known[profile] = accountOf(item)
		}
	}
	return item, err
}

// Set implements [keystore.Store]. What could not be stored is the profile's credential all the same: it is pending.
func (a *accounts) Set(ctx context.Context, profile string, item keystore.Item) error {
	err := a.Store.Set(ctx, profile, item)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[profile] = accountOf(item)
	return err
}

// Delete implements [keystore.Store].
func (a *accounts) Delete(ctx context.Context, profile string) error {
	err := a.Store.Delete(ctx, profile)
	a.forget(profile)
	return err
}

// opened ends the pause after a read that failed: the store can be read again.
func (a *accounts) opened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pause = time.Time{}
}

// forget drops what is known of profiles.
func (a *accounts) forget(profiles ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range profiles {
		delete(a.known, name)
	}
}

// user returns the user name that a person has signed in with, as far as it is known without reading.
func (a *accounts) user(profile string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[profile].user
}

// accountOf names the account of a credential as a person calls it: theirs, or else the client's. The client of a
// session is the program's, and says nothing.
func accountOf(item keystore.Item) account {
	client := ""
	if !grant.Kind(item.Grant).Session() && item.APIKey.IsZero() {
		client = item.ClientID
	}
	name := visible.Line(cmp.Or(item.Username, item.Account, item.Subject, client), maxAccount)
	return account{name, item.Username}
}

// maxAccount is how much of a name a listing has, in characters.
const maxAccount = 256

// Bounds of a listing's own reads: of a store of this machine they take a millisecond each, and the listing of ten
// thousand profiles is not to wait for all of them.
const (
	accountReads = 16
	accountTime  = 200 * time.Millisecond
	accountPause = 10 * time.Second // after a read that failed
)

// accountLookup answers for the profiles of one page. Where groatd has not used a credential yet, it is read.
type accountLookup struct {
	d     *Daemon
	ctx   context.Context
	reads int
}

// accounts returns a lookup; the caller calls done.
func (d *Daemon) accounts() (l *accountLookup, done func()) {
	ctx, cancel := context.WithTimeout(context.Background(), accountTime)
	return &accountLookup{d: d, ctx: ctx}, cancel
}

// of returns the account of a profile's credential, or "" where that is not known.
func (l *accountLookup) of(p *profile.Profile) string {
	store := l.d.stores.Of(p)
	a := store.Store.(*accounts)
	a.mu.Lock()
	is, known := a.known[p.Name]
	pause := time.Now().Before(a.pause)
	a.mu.Unlock()
	if known || pause || l.reads == accountReads || l.ctx.Err() != nil {
		return is.name
	}
	l.reads++
	item, err := store.Get(l.ctx, p.Name)
	defer item.Wipe()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		a.pause = time.Now().Add(accountPause)
	}
	return a.known[p.Name].name
}
