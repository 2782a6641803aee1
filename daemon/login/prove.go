package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// prove shows that the stored credential works, and creates nothing. It wipes item.
func (l *Login) prove(item keystore.Item) (protocol.LoginResult, error) {
	defer func() { item.Wipe() }()
	var t grant.Token
	var err error
	switch _, owned := l.logins.Broker.Status(l.params.Profile); {
	case !l.kind.Session():
		t, err = l.firstToken(l.ctx, item)
	case owned && l.sameEndpoint():
		t, err = l.logins.Broker.Verify(l.ctx, l.params.Profile) // by its owner: a refresh token must not be used twice
	default: // a session that the configuration has lost: what it is replaced by is stored in the same order
		t, err = l.proveAlone()
	}
	if l.kind.Session() { // it may have been rotated
		if now, getting := l.store().Get(l.ctx, l.params.Profile); getting == nil {
			item.Wipe()
			item = now
		}
	}
	if err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.agreeOnChars(t); err != nil {
		return protocol.LoginResult{}, err
	}
	resume, err := l.reseal(&item, &t)
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer resume()
	if err := l.share(item, &t); err != nil {
		return protocol.LoginResult{}, err
	}
	return l.finish(item, t, protocol.AlreadySignedIn) // the keystore has it already, and perhaps a newer one by now
}

// proveAlone proves a session that the broker does not have, or must not use. The broker is paused meanwhile: a refresh
// token may be used once.
func (l *Login) proveAlone() (grant.Token, error) {
	ctx, cancel := context.WithTimeout(l.ctx, pauseTime)
	defer cancel()
	resume, err := l.logins.Broker.Pause(ctx, l.params.Profile)
	defer resume()
	if err != nil {
		return grant.Token{}, err
	}
	source := l.logins.Stores.Source(l.profile)
	return source.Obtain(l.ctx, source.Request("", ""), broker.Now)
}

// sameEndpoint reports whether the profile as it is configured now uses the credential where the sign-in does. Where
// its file was edited, the broker would be refused the credential.
func (l *Login) sameEndpoint() bool {
	was := l.logins.Profiles.Named(l.params.Profile)
	if was == nil {
		return false
	}
	a, b := was.Endpoint.Server(), l.profile.Endpoint.Server()
	return a.Issuer == b.Issuer && a.TokenEndpoint == b.TokenEndpoint && a.ClientAuth == b.ClientAuth
}

// provingError explains why the stored credential was refused.
func (l *Login) provingError(err error, stored *keystore.Item) error {
	refusal, ok := errors.AsType[*grant.Error](err)
	if l.kind.Session() || !broker.NeedsLogin(err) && !(ok && unproven(err, refusal)) {
		return err
	}
	e := l.logins.Wire(err, l.params.Profile)
	e.Message = fmt.Sprintf("the stored client %s does not work any more: %s", visible.Name(stored.ClientID), e.Message)
	e.Data.Hint = "groat login " + l.params.Profile + " --client-id " + visible.Word(stored.ClientID)
	if l.kind == grant.ByAppCredentials {
		e.Data.Hint = "groat login " + l.params.Profile + " --username " +
			visible.Word(cmp.Or(stored.Username, "YOU")) + " --new-client"
	}
	return e
}

// matching returns item if it is for the server, grant and client authentication of the new profile, else nil.
func (l *Login) matching(item *keystore.Item) *keystore.Item {
	if item == nil || l.otherStore || l.anotherProvider() {
		return nil
	}
	// What the profile will be is compared, not what the sign-in uses: of a discovered server it knows less.
	want := l.profile.Endpoint.Server().NewItem("", l.kind)
	if item.TokenEndpoint != want.TokenEndpoint || item.Issuer != want.Issuer || item.ClientAuth != want.ClientAuth ||
		item.Grant != want.Grant || item.AssertionFile != want.AssertionFile ||
		item.RefreshAuth != want.RefreshAuth || item.AssertionAudience != want.AssertionAudience {
		return nil
	}
	return item
}

// canProve reports whether the stored credential answers the request: the request names nothing that the credential
// does not have.
func (l *Login) canProve(stored *keystore.Item) bool {
	q := l.params
	adds := len(q.Resources)+len(q.Trust) > 0 // to a key that is there, and that no request proves
	return !q.NewClient && !q.Secret && !q.Replace && q.ClientID == "" && q.Key == "" && q.Certificate == "" &&
		q.KeyAlg == "" && q.KeyID == "" && q.Subject == "" && (q.Username == "" || q.Username == stored.Username) &&
		(stored.APIKey.IsZero() || adds && q.Username == "") && !l.namesAnotherSession() && (adds || !l.endsSoon())
}

// endsSoon reports whether the session ends soon whatever is renewed, so that a person who has been warned of that
// signs in anew; it tells them. A program, which nobody can ask, is told that the session works.
func (l *Login) endsSoon() bool {
	if !l.kind.Session() || !l.params.Confirm {
		return false
	}
	now, ok := l.logins.Broker.Status(l.params.Profile)
	left := now.Session.Absolute.Sub(l.logins.Now().Wall)
	if !ok || !now.Session.Soon || left <= 0 {
		return false
	}
	l.notice(fmt.Sprintf("The sign-in of profile %s ends in %s, whatever is renewed: sign in again.", l.params.Profile,
		words(left)))
	return true
}

// words is a duration as people read it: in seconds below a minute, else in minutes.
func words(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// namesAnotherSession reports whether the request names another scope, audience or redirect for a session. A refresh
// token has the scope that the person agreed to (RFC 6749 §6), so that another one needs another sign-in.
func (l *Login) namesAnotherSession() bool {
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
		{l.params.Set[sessionScope], before.SessionScope, l.profile.SessionScope},
		{l.params.ResourceIndicator, before.ResourceIndicator, l.profile.ResourceIndicator},
	} {
		if f.named != "" && f.old != f.new {
			return true
		}
	}
	return false
}

// reuseClient decides what is used of the matching credential. Where the request names nothing new for the client, the
// client goes on authenticating with what is stored. A secret without a user name is the stored client's, not a
// person's password.
func (l *Login) reuseClient(stored *keystore.Item) {
	if stored == nil {
		return
	}
	q := l.params
	if l.kind == grant.ByAppCredentials && q.Secret && q.Username == "" && !q.NewClient {
		l.kind = grant.ByClientCredentials
	}
	if q.ClientID == "" && q.Key == "" && !q.Secret && !q.Replace && !l.kind.StaticKey() {
		l.reused = stored
	}
}

// existingCredential returns the credential that is stored under the profile's name, for any server and grant. It is
// nil where there is none, or one that cannot be read any more. It sets otherStore where the credential is not in the
// store that this sign-in writes to. The caller wipes it.
func (l *Login) existingCredential() (*keystore.Item, error) {
	stores := []*keystore.PendingStore{l.store()}
	if was := l.logins.Profiles.Named(l.params.Profile); was != nil && l.logins.Stores.Of(was) != stores[0] {
		stores = append(stores, l.logins.Stores.Of(was))
	}
	for i, store := range stores {
		item, err := store.Get(l.ctx, l.params.Profile)
		switch {
		case err == nil:
			l.otherStore = i > 0
			return &item, nil
		case !keystore.Absent(err):
			return nil, err
		}
	}
	return nil, nil
}
