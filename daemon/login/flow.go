package login

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// pauseTime is how long a request of the profile's owner that is under way may keep a login waiting.
const pauseTime = 20 * time.Second

// run is the way of every login: what the profile will be, whether it could be kept, whether there is a credential
// already, and if not, how to come by one.
func (l *Login) run() (protocol.LoginResult, error) {
	if err := l.configure(); err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.possible(); err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.given(); err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.logins.Profiles.CheckSave(l.profile); err != nil {
		return protocol.LoginResult{}, err
	}
	held, err := l.held()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	if held != nil {
		defer held.Wipe()
	}
	stored := l.stored(held)
	l.settle(stored)
	if stored != nil && l.mayProve(stored) {
		result, err := l.prove(stored.Clone())
		if err == nil {
			if err := l.store().Retry(l.ctx, l.params.Profile); err != nil {
				return protocol.LoginResult{}, l.notKept(err)
			}
			return result, nil
		}
		if !l.kind.Session() || !broker.NeedsLogin(err) {
			return protocol.LoginResult{}, err
		}
		l.tell(fmt.Sprintf("The session of profile %s has ended: sign in again.", l.params.Profile))
	}
	if err := l.wants(stored); err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.mayReplace(held); err != nil {
		return protocol.LoginResult{}, err
	}
	// Before anybody types a secret: could it be kept?
	if err := l.store().Probe(l.ctx); err != nil {
		return protocol.LoginResult{}, err
	}
	if held == nil {
		// The probe may have chosen a keychain, which another groatd of this person keeps a credential of this name in.
		if held, err = l.held(); err != nil {
			return protocol.LoginResult{}, err
		}
		if held != nil {
			defer held.Wipe()
		}
		if err := l.mayReplace(held); err != nil {
			return protocol.LoginResult{}, err
		}
	}
	if l.kind == grant.ByAppCredentials {
		return l.createClient(held)
	}
	item, t, err := l.signIn()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer item.Wipe()
	l.seal(&item)
	// What was had is kept, whether or not the person stays.
	ctx := context.WithoutCancel(l.ctx)
	defer l.quiet(ctx)()
	if held != nil { // a configuration that cannot be written costs the credential of before nothing
		if err := l.save(); err != nil {
			return protocol.LoginResult{}, err
		}
	}
	unstored := l.put(ctx, item)
	result, err := l.adopt(item, t, protocol.SignedIn)
	if err == nil && unstored != nil {
		return protocol.LoginResult{}, l.notKept(unstored)
	}
	return result, err
}

// notKept says that a sign-in has succeeded and that what came of it is in memory only.
func (l *Login) notKept(err error) error {
	e := l.logins.Wire(err, l.params.Profile)
	e.Message = fmt.Sprintf("profile %s is signed in, but its credential could not be stored: %s; groatd holds it until it stops", l.params.Profile, e.Message)
	e.Data.Hint = "groat login " + l.params.Profile + " (stores it, and asks for nothing)"
	return e
}

// quiet keeps the profile's owner from using the credential until resume is called. A request under way that takes longer
// than anybody should wait is no reason to lose what a person has just obtained: its answer is void when it comes, by
// [keystore.PendingStore.Rotate] and the broker's own count of credentials.
func (l *Login) quiet(ctx context.Context) (resume func()) {
	ctx, cancel := context.WithTimeout(ctx, pauseTime)
	defer cancel()
	resume, err := l.logins.Broker.Pause(ctx, l.params.Profile)
	if err != nil {
		l.logins.Log.Warn("a renewal with the old credential is still under way", zap.String("profile", l.params.Profile))
	}
	return resume
}

// signIn comes by a credential that has been proven by a first token.
func (l *Login) signIn() (keystore.Item, grant.Token, error) {
	switch l.kind {
	case grant.ByDeviceCode:
		return l.session(l.byDevice())
	case grant.ByAuthorizationCode:
		return l.session(l.byBrowser())
	case grant.ByPassword:
		return l.session(l.byPassword())
	case grant.ByTokenExchange:
		return l.session(l.byExchange())
	case grant.ByAPIKey:
		return l.byAPIKey()
	case grant.ByKeyLogin:
		return l.byKeyLogin()
	case grant.ByJWTBearer:
		return l.byKeyFile()
	}
	return l.byClient()
}

// server is the login's, with what only a sign-in needs.
func (l *Login) server() grant.Server { return l.endpoint.Server() }

// store is where the profile's credential is kept.
func (l *Login) store() *keystore.PendingStore { return l.logins.Stores.Of(l.profile) }

// mayProve reports whether a stored credential answers what was asked: nothing was named that it is not made of.
func (l *Login) mayProve(stored *keystore.Item) bool {
	q := l.params
	adds := len(q.Resources)+len(q.Trust) > 0 // to a key that is there
	return !q.NewClient && !q.Secret && !q.Replace && q.ClientID == "" && q.Key == "" && q.Certificate == "" &&
		q.KeyAlg == "" && q.KeyID == "" && q.Subject == "" && (q.Username == "" || q.Username == stored.Username) &&
		(!l.kind.StaticKey() || adds && q.Username == "") && !l.anotherSession()
}

// anotherSession reports whether what a session is signed in with is named anew: a refresh token has the scope and audience
// that a person agreed to (RFC 6749 §6), so that another needs another sign-in.
func (l *Login) anotherSession() bool {
	if !l.kind.Session() {
		return false
	}
	var before config.Profile
	if was := l.logins.Profiles.Named(l.params.Profile); was != nil {
		before = was.Profile
	}
	for _, f := range []struct{ named, old, new string }{
		{l.params.Scope, before.Scope, l.profile.Scope}, {l.params.Audience, before.Audience, l.profile.Audience},
		{l.params.Redirect, before.Redirect, l.profile.Redirect},
	} {
		if f.named != "" && f.old != f.new {
			return true
		}
	}
	return false
}

// settle decides what is used of a stored credential. Where nothing new is named for the client, what it authenticates with
// stays as it is. A secret without a user name is the stored client's, not a person's password.
func (l *Login) settle(stored *keystore.Item) {
	if stored == nil {
		return
	}
	q := l.params
	if l.kind == grant.ByAppCredentials && q.Secret && q.Username == "" && !q.NewClient {
		l.kind = grant.ByClientCredentials
	}
	if q.ClientID == "" && q.Key == "" && !q.Secret && !q.Replace && !l.kind.StaticKey() {
		l.before = stored
	}
}

// wants makes sure that what the grant needs was named, or is known from before.
func (l *Login) wants(stored *keystore.Item) error {
	if l.params.ClientID == "" && stored != nil && l.kind != grant.ByAppCredentials && !l.namesServiceAccount() {
		l.params.ClientID = stored.ClientID
	}
	if l.params.ClientID == "" {
		l.params.ClientID = l.server().ClientID
	}
	if w := l.was; l.params.ClientID == "" && w != nil && l.kind != grant.ByAppCredentials && w.ClientAuth == string(l.server().ClientAuth) {
		l.params.ClientID = w.ClientID // the server has moved
	}
	switch l.kind {
	case grant.ByAppCredentials:
		if l.params.Username == "" {
			return l.missing("name yourself with --username, or a client you have with --client-id", "--username YOU")
		}
	case grant.ByPassword, grant.ByKeyLogin:
		if l.params.Username == "" {
			return l.missing("name yourself with --username", "--username YOU")
		}
	case grant.ByJWTBearer:
		if l.params.Key == "" && l.before == nil {
			return l.missing("name the key file with --key", "--key FILE")
		}
	case grant.ByAPIKey:
	default:
		if l.params.ClientID == "" {
			return l.missing("name the client with --client-id", "--client-id ID")
		}
		if l.server().ClientAuth == grant.TLSClientAuth && l.before == nil {
			switch {
			case l.params.Key == "":
				return l.missing("name the private key's file with --key", "--key FILE")
			case l.params.Certificate == "":
				return l.missing("name the certificate's file with --certificate", "--certificate FILE")
			}
		}
	}
	return nil
}

// stored returns the credential that is held if it is for this server, grant and client authentication, else nil.
func (l *Login) stored(item *keystore.Item) *keystore.Item {
	if item == nil || l.elsewhere || l.anotherProvider() {
		return nil
	}
	// What the profile will be is compared, not what the sign-in uses: of a discovered server it knows less.
	want := l.profile.Endpoint.Server().NewItem("", l.kind)
	if item.TokenEndpoint != want.TokenEndpoint || item.Issuer != want.Issuer || item.ClientAuth != want.ClientAuth || item.Grant != want.Grant {
		return nil
	}
	return item
}

// put stores the item where it is not already there; keychains ask a person before an overwrite, and some lose it. Where it
// cannot be stored it is held, and put returns why.
func (l *Login) put(ctx context.Context, item keystore.Item) error {
	if old, err := l.store().Get(ctx, l.params.Profile); err == nil {
		same := old.Equal(item)
		old.Wipe()
		if same {
			return l.store().Retry(ctx, l.params.Profile) // it may be there, and in memory only
		}
	}
	return l.keep(ctx, item)
}

// keep stores what a person has just obtained, or holds it and returns why it could not be stored. What a server has said of
// the credential before does not outlive it.
func (l *Login) keep(ctx context.Context, item keystore.Item) error {
	l.logins.Refusals.Forget(ctx, l.params.Profile)
	return l.store().SetOrHold(ctx, l.params.Profile, item)
}

// adopt makes the configuration what was proven, hands the first token out from now on, and says what it came to. What
// was there before is replaced only now.
func (l *Login) adopt(item keystore.Item, t grant.Token, outcome string) (protocol.LoginResult, error) {
	if err := l.save(); err != nil {
		return protocol.LoginResult{}, err
	}
	if outcome == protocol.SignedIn {
		t.Destinations = l.profile.Endpoint.DestinationsOf(item)
	}
	if l.saved || outcome == protocol.SignedIn || !l.kind.Session() || l.resealed { // else the owner has just obtained t itself
		l.logins.Broker.Install(l.profile.Name, l.logins.Stores.Source(l.profile), t)
	}
	now := l.logins.Now()
	r := protocol.LoginResult{
		Profile: l.params.Profile, Outcome: outcome, Grant: string(l.kind), ClientID: item.ClientID, Created: l.created,
		Provider: l.profile.Provider, Issuer: l.server().Issuer, Keystore: "memory", Changed: l.changed,
	}
	r.Resources, r.Added = l.added()
	if !l.profile.Ephemeral {
		r.Keystore = l.logins.Keystore()
	}
	if left := t.Remaining(now); !t.Static {
		r.ExpiresAt, r.ExpiresIn = now.Wall.Add(left).Unix(), int64(left/time.Second)
	}
	return r, nil
}

// session is a grant that brings a session: the item and its first token.
func (l *Login) session(item keystore.Item, s grant.Session, err error) (keystore.Item, grant.Token, error) {
	if err != nil {
		item.Wipe()
		return keystore.Item{}, grant.Token{}, l.refused(err)
	}
	item.RefreshToken = s.Refresh
	if s.Refresh.IsZero() {
		l.tell(fmt.Sprintf("%s gave no refresh token: this sign-in ends with its access token.", l.server().Issuer))
	}
	return item, s.Token, nil
}

// client is the client that a person signs in through: a public one, or one with a secret, which is asked for.
func (l *Login) client() (keystore.Item, error) {
	item := l.newItem(l.params.ClientID)
	// The profile's configuration knows less of a discovered server than the sign-in does; the item is the profile's.
	item.RevocationEndpoint = l.profile.Endpoint.Server().RevocationEndpoint
	return item, l.prepare(&item)
}

// request is what the profile's tokens are asked with.
func (l *Login) request() grant.Request {
	return grant.Request{Scope: strings.Fields(l.profile.Scope), Audience: l.profile.Audience}
}
