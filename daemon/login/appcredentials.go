package login

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// createClient turns a person's password into App Credentials: temporary token, keystore probe, one POST, store, proof.
// old is the credential that the profile has now, or nil; it is replaced only after the new one has been proven.
func (l *Login) createClient(old *keystore.Item) (protocol.LoginResult, error) {
	provider, _ := preset.Lookup(l.profile.Provider)
	l.showNotes()
	temporary, err := l.temporaryToken()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	// Once begun this is finished, whether or not the person stays: the provider shows the secret this once. A person
	// may have taken ten minutes to type, so the keystore is tried again.
	ctx := context.WithoutCancel(l.ctx)
	if err := l.store().Probe(ctx); err != nil {
		return protocol.LoginResult{}, err
	}
	item, err := l.endpoint.CreateClient(ctx, temporary)
	if err != nil {
		return protocol.LoginResult{}, l.notCreatedError(err, provider.Title)
	}
	l.created = true
	l.logins.Log.Info("App Credentials were created", zap.String("profile", l.params.Profile),
		zap.String("client_id", item.ClientID))
	item.Username = l.params.Username
	defer item.Wipe()
	l.setDestinations(&item)
	return l.storeCreated(ctx, item, old)
}

// showNotes shows what the provider's preset says to people who sign in.
func (l *Login) showNotes() {
	provider, _ := preset.Lookup(l.profile.Provider)
	for _, note := range provider.Notes {
		l.notice(note)
	}
}

// temporaryToken asks for the password, uses it once and forgets it.
func (l *Login) temporaryToken() (grant.Token, error) {
	password, err := l.askPassword()
	if err != nil {
		return grant.Token{}, err
	}
	defer password.Wipe()
	t, err := l.endpoint.FirstToken(l.ctx, l.params.Username, password)
	if err != nil {
		if !broker.NeedsLogin(err) {
			return t, err
		}
		e := l.logins.Wire(err, l.params.Profile)
		e.Data.Hint = l.tryAgain("--username " + visible.Word(l.params.Username))
		return t, e
	}
	return t, nil
}

// notCreatedError explains a failed creation. An ambiguous one is no "try again": every try may leave one more client
// behind.
func (l *Login) notCreatedError(err error, title string) error {
	if _, ok := errors.AsType[*grant.AmbiguousCreateError](err); !ok {
		return err
	}
	return protocol.NewError(protocol.Internal,
		fmt.Sprintf("%s; %s may or may not have created a client whose secret nobody knows; nothing was stored, "+
			"and the request was not repeated; another login creates a client, perhaps a second one", err, title),
		l.tryAgain("--username "+visible.Word(l.params.Username)))
}

// storeCreated stores and proves a new client. The first of a profile is stored before the proof, since nothing is
// there to lose; one that replaces another is proven before. What cannot be stored is held in memory.
func (l *Login) storeCreated(ctx context.Context, item keystore.Item, old *keystore.Item) (protocol.LoginResult,
	error) {
	l.stage(nil)
	if old == nil {
		unstored := l.storeOrHold(ctx, item)
		if err := l.save(); err != nil {
			return protocol.LoginResult{}, err
		}
		if unstored != nil {
			return protocol.LoginResult{}, l.createdNotStoredError(unstored, item.ClientID)
		}
	}
	t, err := l.firstToken(ctx, item)
	if err != nil {
		return protocol.LoginResult{}, l.notProvenError(ctx, err, item, old)
	}
	defer l.pauseRenewals(ctx)()
	if old != nil {
		if err := l.save(); err != nil {
			return protocol.LoginResult{}, l.storeBeside(ctx, err, item)
		}
	}
	l.stage(&t)
	if err := l.storeOrHold(ctx, item); err != nil {
		return protocol.LoginResult{}, l.createdNotStoredError(err, item.ClientID)
	}
	return l.finish(item, t, protocol.SignedIn)
}

// notProvenError explains that a new client could not be used yet. The client that it should replace stays the
// profile's. The new one is given up where the server refuses it, and stored under another name where the server has
// not decided.
func (l *Login) notProvenError(ctx context.Context, err error, item keystore.Item, old *keystore.Item) error {
	if old != nil && isInconclusive(err) {
		return l.storeBeside(ctx, err, item)
	}
	e := l.logins.Wire(err, l.params.Profile)
	e.Message = fmt.Sprintf("the client %s was created, but it could not be used yet: %s", visible.Name(item.ClientID),
		e.Message)
	if old == nil {
		return e
	}
	e.Message += fmt.Sprintf("; profile %s keeps the client %s, and another try creates one more", l.params.Profile,
		visible.Name(old.ClientID))
	e.Data.Hint = "groat login " + l.params.Profile + " --username " + visible.Word(l.params.Username) +
		" --new-client"
	return e
}

// storeBeside stores a new client under a name that no profile has, where it cannot take the place of the profile's
// client: neither of the two can be obtained again. err is the reason.
func (l *Login) storeBeside(ctx context.Context, err error, item keystore.Item) error {
	why := l.logins.Wire(err, l.params.Profile)
	with := protocol.LoginParams{Provider: l.profile.Provider, AuthServer: l.profile.AuthServer}
	for n := 2; n < 100 && with.Profile == ""; n++ {
		name := fmt.Sprintf("%s-%d", l.params.Profile[:min(len(l.params.Profile), 56)], n)
		_, err := l.store().Get(ctx, name)
		if !l.logins.Profiles.Snapshot().Knows(name) && errors.Is(err, keystore.ErrNotFound) {
			with.Profile = name
		}
	}
	made := fmt.Sprintf("the client %s was created, and profile %s keeps the one that it has: %s",
		visible.Name(item.ClientID), l.params.Profile, why.Message)
	if with.Profile == "" {
		why.Message = made + "; no name was free to keep the new one under"
		return why
	}
	why.Message = made + "; the new one is kept under the name " + with.Profile
	if unstored := l.store().SetOrHold(ctx, with.Profile, item); unstored != nil {
		why.Message += ", until groatd stops"
	}
	if !isInconclusive(err) { // what stands in the way is a person's to mend
		why.Data.Hint += " && " + Command(with)
		return why
	}
	why.Data.Hint = Command(with)
	return why
}

func (l *Login) createdNotStoredError(err error, clientID string) error {
	e := l.logins.Wire(err, l.params.Profile)
	cause := e.Message
	e.Message = fmt.Sprintf("the client %s was created, but it could not be stored: %s; "+
		"groatd (pid in `groat status`) holds it until it stops, and the next login stores it and creates nothing",
		visible.Name(clientID), e.Message)
	e.Data.Hint = "groat login " + l.params.Profile
	if l.keptByFleet() != nil {
		what, hint := l.afterwards()
		e.Message = fmt.Sprintf("the client %s was created, but it could not be stored: %s; %s",
			visible.Name(clientID), cause, what)
		e.Data.Hint = hint
	}
	return e
}

// isInconclusive reports whether err leaves open whether the server takes a credential: asking again later may tell.
func isInconclusive(err error) bool {
	e, ok := errors.AsType[*grant.Error](err)
	return ok && e.Class != grant.Refused && e.Class != grant.InvalidClient && e.Class != grant.Misconfigured
}
