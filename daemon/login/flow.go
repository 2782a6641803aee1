package login

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// run is the way of every login: what the profile will be and whether that can work; whether a stored credential still
// does; if not, whether a new one may replace it and can be stored; the sign-in; and the storing.
func (l *Login) run() (protocol.LoginResult, error) {
	if err := l.check(); err != nil {
		return protocol.LoginResult{}, err
	}
	existing, err := l.existingCredential()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer func() { wipe(existing) }()
	stored := l.matching(existing)
	l.reuseClient(stored)
	if stored != nil && l.canProve(stored) {
		result, err := l.proveStored(stored)
		if err == nil {
			return result, nil
		}
		if !l.goesOn(stored, err) {
			return result, l.provingError(err, stored)
		}
	}
	if err := l.requireParameters(stored); err != nil {
		return protocol.LoginResult{}, err
	}
	if existing, err = l.prepareStore(existing); err != nil {
		return protocol.LoginResult{}, err
	}
	if l.kind == grant.ByAppCredentials {
		return l.createClient(existing)
	}
	item, token, err := l.signIn()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer item.Wipe()
	if err := l.agreeOnChars(token); err != nil {
		return protocol.LoginResult{}, err
	}
	return l.storeSignIn(item, token, existing)
}

// check finds out what the profile will be, and refuses what cannot work. Nothing has been typed then, and nothing of a
// credential sent.
func (l *Login) check() error {
	if err := l.configure(); err != nil {
		return err
	}
	if err := l.refuseImpossible(); err != nil {
		return err
	}
	if err := l.refuseUnused(); err != nil {
		return err
	}
	return l.logins.Profiles.CheckSave(l.profile)
}

// proveStored proves the stored credential, so that no new one is needed.
func (l *Login) proveStored(stored *keystore.Item) (protocol.LoginResult, error) {
	mayPost := l.mayPost
	l.mayPost = false // what is stored says how its client proves itself
	result, err := l.prove(stored.Clone())
	l.mayPost = mayPost
	if err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.store().Retry(l.ctx, l.params.Profile); err != nil { // it may be in memory only
		return protocol.LoginResult{}, l.notStoredError(err)
	}
	return result, nil
}

// prepareStore makes sure that a new credential may replace the existing one and could be stored, before a person types
// a secret. It returns the existing credential: the probe may have chosen a keychain in which another groatd of this
// person keeps one.
func (l *Login) prepareStore(existing *keystore.Item) (*keystore.Item, error) {
	if err := l.confirmReplace(existing); err != nil {
		return existing, err
	}
	if err := l.store().Probe(l.ctx); err != nil || existing != nil {
		return existing, err
	}
	existing, err := l.existingCredential()
	if err == nil {
		err = l.confirmReplace(existing)
	}
	return existing, err
}

// signIn obtains a credential that a first token has proven.
func (l *Login) signIn() (keystore.Item, grant.Token, error) {
	switch l.kind {
	case grant.ByDeviceCode:
		return l.sessionItem(l.byDevice())
	case grant.ByAuthorizationCode:
		return l.sessionItem(l.byBrowser())
	case grant.ByPassword:
		return l.sessionItem(l.byPassword())
	case grant.ByTokenExchange:
		return l.sessionItem(l.byExchange())
	case grant.ByAPIKey:
		return l.byAPIKey()
	case grant.ByKeyLogin:
		return l.byKeyLogin()
	case grant.ByJWTBearer:
		return l.byKeyFile()
	}
	return l.byClient()
}

// storeSignIn stores a new credential and makes the profile use it, also where the person has left meanwhile.
func (l *Login) storeSignIn(item keystore.Item, t grant.Token, existing *keystore.Item) (protocol.LoginResult, error) {
	l.setDestinations(&item)
	ctx := context.WithoutCancel(l.ctx)
	defer l.pauseRenewals(ctx)()
	if existing != nil { // where the configuration cannot be written the existing credential stays as it is
		if err := l.save(); err != nil {
			return protocol.LoginResult{}, err
		}
	}
	l.stage(&t)
	unstored := l.storeIfChanged(ctx, item)
	result, err := l.finish(item, t, protocol.SignedIn)
	if err == nil && unstored != nil {
		return protocol.LoginResult{}, l.notStoredError(unstored)
	}
	return result, err
}

// widerNotice says what a server granted beyond what was asked for.
func widerNotice(issuer string, words []string) string {
	return fmt.Sprintf("%s granted more than was asked for: %s. "+
		"strict_scope = true in the profile's file refuses that.",
		visible.Name(issuer), visible.Quote(strings.Join(words, " ")))
}

// finish writes the profile's configuration, gives the first token to the broker, and returns the login's result. What
// was there before is replaced only now.
func (l *Login) finish(item keystore.Item, t grant.Token, outcome string) (protocol.LoginResult, error) {
	if err := l.save(); err != nil {
		return protocol.LoginResult{}, err
	}
	if outcome == protocol.SignedIn {
		t.Destinations = l.profile.Endpoint.DestinationsOf(item)
	}
	if err := l.profile.Endpoint.Server().CheckToken(t); err != nil {
		return protocol.LoginResult{}, err
	}
	// else the owner has just obtained t itself
	if l.saved || outcome == protocol.SignedIn || !l.kind.Session() || l.resealed {
		l.logins.Broker.Install(l.profile.Name, l.logins.Stores.Source(l.profile), t)
	}
	if len(t.Wider) > 0 {
		l.notice(widerNotice(l.server().Issuer, t.Wider))
	}
	now := l.logins.Now()
	r := protocol.LoginResult{
		Profile: l.params.Profile, Outcome: outcome, Grant: string(l.kind), ClientID: item.ClientID, Created: l.created,
		Provider: l.profile.Provider, Issuer: l.server().Issuer, Keystore: "memory", Changed: l.changed,
		Untried: l.kind == grant.ByAPIKey && outcome == protocol.SignedIn,
	}
	r.Resources, r.Added = l.addedAPIs()
	if !l.profile.Ephemeral {
		r.Keystore = l.logins.Keystore()
	}
	if left := t.Remaining(now); !t.Static {
		r.ExpiresAt, r.ExpiresIn = now.Wall.Add(left).Unix(), int64(left/time.Second)
	}
	return r, nil
}
