package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// loginTime bounds a login with everything a person takes for it.
const loginTime = 15 * time.Minute

// login is one login under way. It runs in a handler's goroutine; reads and renewals of all profiles go on meanwhile.
type login struct {
	d      *Daemon
	c      *conn
	id     string
	params protocol.LoginParams
	answer chan keystore.Secret // what a person types
	ctx    context.Context
	cancel context.CancelFunc

	profile *profile // what the profile will be
	created bool     // a client was created at the provider
}

// startLogin answers "login".
func startLogin(c *conn, params []byte) (any, error) {
	l := &login{d: c.d, c: c, id: rand.Text(), answer: make(chan keystore.Secret)}
	if err := protocol.DecodeParams(params, &l.params); err != nil {
		return nil, err
	}
	if !config.ValidName(l.params.Profile) {
		return nil, protocol.InvalidParams("a profile's name is made of a-z, 0-9, '.', '_' and '-', 64 at most")
	}
	if broken := c.d.profiles.Load().broken; broken != nil {
		return nil, broken
	}
	l.ctx, l.cancel = context.WithTimeout(c.ctx, loginTime)
	defer l.cancel()
	if err := l.begin(); err != nil {
		return nil, err
	}
	defer l.end()
	result, err := l.run()
	if err != nil {
		e := c.d.wire(err, l.params.Profile)
		c.d.Log.Info("a login failed", zap.String("profile", l.params.Profile), zap.String("kind", string(e.Kind())))
		return nil, e
	}
	c.d.Log.Info("a login succeeded", zap.String("profile", result.Profile), zap.String("outcome", result.Outcome))
	return result, nil
}

// begin makes this the one login of its profile.
func (l *login) begin() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.d.logins[l.params.Profile] != nil {
		return protocol.NewError(protocol.Temporary, fmt.Sprintf("another login of profile %q is under way", l.params.Profile), "groat status "+l.params.Profile)
	}
	l.d.logins[l.params.Profile] = l
	l.c.mu.Lock()
	l.c.logins[l.id] = l
	l.c.mu.Unlock()
	return nil
}

func (l *login) end() {
	l.d.mu.Lock()
	delete(l.d.logins, l.params.Profile)
	l.d.mu.Unlock()
	l.c.mu.Lock()
	delete(l.c.logins, l.id)
	l.c.mu.Unlock()
}

// run is the way of every login: what the profile will be, whether it could be kept, whether there is a credential
// already, and if not, how to come by one.
func (l *login) run() (protocol.LoginResult, error) {
	p, err := l.configure()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	if was := l.d.profiles.Load().byName[p.Name]; was != nil && same(was.Profile, p) {
		l.profile = was
	} else if l.profile, err = l.d.resolve(p); err != nil {
		return protocol.LoginResult{}, protocol.InvalidParams("%s", err)
	}
	if err := l.savable(); err != nil {
		return protocol.LoginResult{}, err
	}
	stored, err := l.stored()
	if err != nil {
		return protocol.LoginResult{}, err
	}
	switch {
	case stored != nil && !l.params.NewClient && l.params.ClientID == "":
		return l.prove(*stored)
	case l.params.ClientID == "" && l.params.Username == "" && l.usesApps():
		return protocol.LoginResult{}, l.missing("name yourself with --username, or a client you have with --client-id", "--username YOU")
	case l.params.ClientID == "" && !l.usesApps():
		return protocol.LoginResult{}, l.missing("name the client with --client-id", "--client-id ID")
	}
	// Before anybody types a secret: could it be kept?
	if err := l.d.Keystore.Probe(l.ctx); err != nil {
		return protocol.LoginResult{}, err
	}
	if l.params.ClientID != "" {
		return l.enterSecret()
	}
	return l.createClient(stored)
}

func (l *login) missing(message, flag string) error {
	e := protocol.InvalidParams("%s", message)
	e.Data = &protocol.ErrorData{Hint: "groat login " + l.params.Profile + " " + flag}
	return e
}

func (l *login) server() grant.Server { return l.profile.endpoint.Server() }
func (l *login) usesApps() bool       { return l.server().Apps != nil }

// stored returns the credential that this profile has for this server, or nil: none, one for another server or another
// client authentication, or one that cannot be read any more.
func (l *login) stored() (*keystore.Item, error) {
	l.d.mu.Lock()
	item, unstored := l.d.unstored[l.params.Profile]
	l.d.mu.Unlock()
	if !unstored {
		var err error
		item, err = l.d.Keystore.Get(l.ctx, l.params.Profile)
		switch {
		case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt), errors.Is(err, keystore.ErrUndecided):
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	if s := l.server(); item.TokenEndpoint != s.TokenEndpoint || item.Issuer != s.Issuer || item.ClientAuth != string(s.ClientAuth) {
		return nil, nil
	}
	return &item, nil
}

// prove shows that the stored credential works, and creates nothing.
func (l *login) prove(item keystore.Item) (protocol.LoginResult, error) {
	t, err := l.firstToken(item)
	if err != nil {
		return protocol.LoginResult{}, l.unproven(err, item.ClientID)
	}
	return l.keep(item, t, protocol.AlreadySignedIn)
}

// unproven explains a refusal of a stored credential.
func (l *login) unproven(err error, clientID string) error {
	e := l.d.wire(err, l.params.Profile)
	if e.Kind() != protocol.LoginRequired {
		return e
	}
	e.Message = fmt.Sprintf("the stored client %s does not work any more: %s", clientID, e.Message)
	e.Data.Hint = "groat login " + l.params.Profile + " --client-id ID"
	if l.usesApps() {
		e.Data.Hint = "groat login " + l.params.Profile + " --username YOU --new-client"
	}
	return e
}

// enterSecret signs in with a client that a person has: proven first, then stored.
func (l *login) enterSecret() (protocol.LoginResult, error) {
	secret, err := l.ask("Client secret of " + l.params.ClientID)
	if err != nil {
		return protocol.LoginResult{}, err
	}
	s := l.server()
	item := keystore.Item{
		Issuer: s.Issuer, TokenEndpoint: s.TokenEndpoint, ClientAuth: string(s.ClientAuth), ClientID: l.params.ClientID, ClientSecret: secret,
	}
	t, err := l.firstToken(item)
	if err != nil {
		return protocol.LoginResult{}, l.refusedClient(err)
	}
	return l.keep(item, t, protocol.SignedIn)
}

// refusedClient is a refusal of what a person has just typed: typing it again is what helps.
func (l *login) refusedClient(err error) error {
	e := l.d.wire(err, l.params.Profile)
	if e.Kind() == protocol.LoginRequired {
		e.Data.Hint = "groat login " + l.params.Profile + " --client-id " + l.params.ClientID
	}
	return e
}

// firstToken is the proof of every login. A refusal is final at once: a person waits.
func (l *login) firstToken(item keystore.Item) (grant.Token, error) {
	source := l.d.source(l.profile)
	return l.profile.endpoint.ClientCredentials(l.ctx, item, source.Request("", ""))
}

// keep stores a proven credential and makes it the profile's. What was there before is replaced only now.
func (l *login) keep(item keystore.Item, t grant.Token, outcome string) (protocol.LoginResult, error) {
	if err := l.store(item); err != nil {
		return protocol.LoginResult{}, err
	}
	if err := l.adopt(t); err != nil {
		return protocol.LoginResult{}, err
	}
	now := l.d.Now()
	left := t.Remaining(now)
	return protocol.LoginResult{
		Profile: l.params.Profile, Outcome: outcome, ClientID: item.ClientID, Created: l.created,
		Provider: l.profile.Provider, Issuer: l.server().Issuer, Keystore: l.d.keystoreStatus().Use,
		ExpiresAt: now.Wall.Add(left).Unix(), ExpiresIn: seconds(left),
	}, nil
}

// store writes the item where it is not already there; keychains ask a person before an overwrite, and some lose it.
func (l *login) store(item keystore.Item) error {
	if old, err := l.d.Keystore.Get(l.ctx, l.params.Profile); err == nil {
		same := old.Equal(item)
		old.ClientSecret.Wipe()
		if same {
			return nil
		}
	}
	if err := l.d.Keystore.Set(context.WithoutCancel(l.ctx), l.params.Profile, item); err != nil {
		return err
	}
	l.d.mu.Lock()
	delete(l.d.unstored, l.params.Profile)
	l.d.mu.Unlock()
	return nil
}
