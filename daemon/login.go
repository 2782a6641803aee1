package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
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
	if l.profile, err = l.d.resolve(p); err != nil {
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
	case stored != nil && !l.params.NewClient && (l.params.ClientID == "" || l.params.ClientID == stored.ClientID && l.usesApps()):
		return l.prove(*stored)
	case l.params.Username != "":
		return l.createClient(stored)
	case l.params.ClientID != "":
		return l.enterSecret()
	}
	if l.usesApps() {
		return protocol.LoginResult{}, l.missing("name yourself with --username, or a client you have with --client-id", "--username YOU")
	}
	return protocol.LoginResult{}, l.missing("name the client with --client-id", "--client-id ID")
}

func (l *login) missing(message, flag string) error {
	e := protocol.InvalidParams("%s", message)
	e.Data = &protocol.ErrorData{Hint: "groat login " + l.params.Profile + " " + flag}
	return e
}

func (l *login) server() grant.Server { return l.profile.endpoint.Server() }
func (l *login) usesApps() bool       { return l.server().Apps != nil }

// configure turns the parameters into the profile's configuration. A profile that exists keeps what was not said anew.
func (l *login) configure() (config.Profile, error) {
	q := l.params
	p := config.Profile{
		Name: q.Profile, Provider: q.Provider, AuthServer: q.AuthServer, ClientAuth: q.ClientAuth,
		Scope: q.Scope, Audience: q.Audience, Resources: q.Resources,
	}
	named := 0
	for _, s := range []string{q.Provider, q.Issuer, q.TokenURL} {
		if s != "" {
			named++
		}
	}
	switch was := l.d.profiles.Load().byName[q.Profile]; {
	case named > 1:
		return p, protocol.InvalidParams("name one of a provider, an issuer and a token URL")
	case named == 0 && was == nil:
		return p, l.missing("a new profile needs a provider, an issuer or a token URL", "--provider …")
	case named == 0:
		return merged(was.Profile, p), nil
	case q.Issuer != "":
		return l.discover(p)
	case q.TokenURL != "":
		return l.byTokenURL(p)
	}
	return p, nil
}

// merged is a profile as it was with what a new login says of it.
func merged(was, now config.Profile) config.Profile {
	for _, f := range []struct{ old, new *string }{
		{&was.AuthServer, &now.AuthServer}, {&was.ClientAuth, &now.ClientAuth}, {&was.Scope, &now.Scope}, {&was.Audience, &now.Audience},
	} {
		if *f.new != "" {
			*f.old = *f.new
		}
	}
	if now.Resources != nil {
		was.Resources = now.Resources
	}
	return was
}

func (l *login) discover(p config.Profile) (config.Profile, error) {
	server, err := grant.Discover(l.ctx, l.d.HTTP, l.params.Issuer, grant.Method(l.params.ClientAuth))
	if err != nil {
		return p, err
	}
	if server.OtherOrigin != "" {
		l.tell(fmt.Sprintf("%s says that its tokens come from %s: the client secret will be used there", server.Issuer, server.OtherOrigin))
	}
	p.Issuer, p.TokenEndpoint, p.ClientAuth = server.Issuer, server.TokenEndpoint, string(server.ClientAuth)
	p.UserinfoEndpoint = server.Userinfo
	return p, nil
}

func (l *login) byTokenURL(p config.Profile) (config.Profile, error) {
	if err := grant.CheckURL(l.params.TokenURL, "the token URL"); err != nil {
		return p, protocol.InvalidParams("%s", err)
	}
	u, err := url.Parse(l.params.TokenURL)
	if err != nil {
		return p, protocol.InvalidParams("the token URL cannot be read")
	}
	p.TokenEndpoint, p.Issuer = l.params.TokenURL, u.Scheme+"://"+u.Host
	if p.ClientAuth == "" {
		p.ClientAuth = string(grant.ClientSecretBasic) // RFC 6749 §2.3.1: the one that every server must support
	}
	return p, nil
}

// stored returns the credential that this profile has for this server, or nil: none, one for another server, or one that
// cannot be read any more.
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
	if s := l.server(); item.TokenEndpoint != s.TokenEndpoint || item.Issuer != s.Issuer {
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

// adopt makes the configuration what was proven, and hands the first token out from now on.
func (l *login) adopt(t grant.Token) error {
	if err := l.save(); err != nil {
		return err
	}
	if p := l.d.profiles.Load().byName[l.params.Profile]; p != nil {
		l.d.broker.Install(p.Name, l.d.source(p), t)
	}
	return nil
}

// savable makes sure, before a person types anything, that the outcome could be kept.
func (l *login) savable() error {
	was := l.d.profiles.Load().byName[l.params.Profile]
	if was != nil && same(was.Profile, l.profile.Profile) {
		return nil
	}
	if was != nil && !l.d.Config.Wrote(was.Profile) {
		return &config.Error{File: was.File, Line: was.Line, Hint: "change it there, then: groat login " + was.Name,
			Message: fmt.Sprintf("profile %q is described here, in a file that groat never writes", was.Name)}
	}
	return l.d.Config.Writable()
}

// save writes the profile's configuration, if it has changed, and loads it.
func (l *login) save() error {
	l.d.loading.Lock()
	defer l.d.loading.Unlock()
	was := l.d.profiles.Load().byName[l.params.Profile]
	if was != nil && same(was.Profile, l.profile.Profile) {
		return nil
	}
	if err := l.d.Config.Save(l.profile.Profile); err != nil {
		return err
	}
	return l.d.reload(l.profile)
}

// tell shows a sentence.
func (l *login) tell(text string) {
	l.c.notify(protocol.NotePrompt, protocol.Prompt{LoginID: l.id, Kind: protocol.PromptNotice, Text: text})
}

// ask shows a prompt and waits for what is typed. The caller wipes it.
func (l *login) ask(text string) (keystore.Secret, error) {
	l.c.notify(protocol.NotePrompt, protocol.Prompt{LoginID: l.id, Kind: protocol.PromptSecret, Text: text})
	select {
	case secret := <-l.answer:
		if secret.IsZero() {
			return secret, protocol.InvalidParams("nothing was typed")
		}
		return secret, nil
	case <-l.ctx.Done():
		return keystore.Secret{}, protocol.NewError(protocol.Temporary, "the login was given up", "groat login "+l.params.Profile)
	}
}

// loginInput answers "login_input".
func loginInput(c *conn, params []byte) (any, error) {
	var p struct {
		LoginID string `json:"login_id"`
	}
	if err := protocol.DecodeParams(params, &p); err != nil {
		return nil, err
	}
	secret, err := secretParam(params, "value")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	l := c.logins[p.LoginID]
	c.mu.Unlock()
	if l != nil {
		select {
		case l.answer <- secret:
			return struct{}{}, nil
		case <-l.ctx.Done():
		case <-time.After(protocol.WriteTimeout):
		}
	}
	secret.Wipe()
	return nil, protocol.InvalidParams("no login of this connection waits for an answer")
}

// endLogins gives the connection's logins up: there is nobody left to type.
func (c *conn) endLogins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.logins {
		l.cancel()
	}
}
