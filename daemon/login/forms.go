package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// otherForm is a second form in which a client can prove itself, if it is unknown which one the server takes.
type otherForm struct {
	flags  string // of groat login
	change func(*config.Profile)
	takes  string // what the server takes, for a notice
	body   bool   // the credential is another too: it is stored with its client authentication
}

// otherForm returns the second form for an item, or nil. A preset knows the form of its provider.
func (l *Login) otherForm(item keystore.Item) *otherForm {
	p, s := l.profile, l.server()
	switch {
	case p.Provider != "":
	case s.ClientAuth == grant.ClientSecretBasic && p.Basic == "" && grant.BasicFormsDiffer(item):
		return &otherForm{"--basic " + config.BasicRaw, func(p *config.Profile) { p.Basic = config.BasicRaw },
			"id and secret in HTTP Basic as they are", false}
	case s.ClientAuth == grant.ClientSecretBasic && l.mayPost:
		return &otherForm{"--client-auth " + string(grant.ClientSecretPost),
			func(p *config.Profile) { p.ClientAuth = string(grant.ClientSecretPost) },
			"the client's secret in the request's body", true}
	case s.ClientAuth.Signs() && p.AssertionAudience == "" && s.ByIssuer:
		return &otherForm{"--assertion-audience " + string(grant.AudienceEndpoint),
			func(p *config.Profile) { p.AssertionAudience = string(grant.AudienceEndpoint) },
			"assertions for its token endpoint", false}
	}
	return nil
}

// inEitherForm sends a request in which an item's client proves itself. Where the server may not have understood the
// form of that, it sends the request once more in the other form, to the same endpoint, and the profile keeps what
// worked. A login does this once, and only one that a person typed. nothingElse says that the request carries nothing
// beside the client's proof. No request that carries a code, a device code or a refresh token may be sent by it.
func (l *Login) inEitherForm(item keystore.Item, nothingElse bool, send func() error) error {
	err := send()
	if err == nil || l.alone || l.reformed || l.ctx.Err() != nil || !grant.DoubtsClient(err, nothingElse) {
		return err
	}
	other := l.otherForm(item)
	if other == nil || other.body && l.kind != grant.ByClientCredentials {
		return err
	}
	was, endpoint := l.profile, l.endpoint
	if !l.reform(other) {
		return err
	}
	again := send()
	if again != nil && (grant.DoubtsClient(again, nothingElse) || unanswered(again) || l.ctx.Err() != nil) {
		l.profile, l.endpoint, l.posts = was, endpoint, false
		return err
	}
	if again == nil {
		l.notice(fmt.Sprintf("%s takes %s (%s).", l.server().Issuer, other.takes, other.flags))
	}
	return again
}

// unanswered reports whether a server has not said what it makes of a request: the answer to the first form is then the
// one that counts. Some fail over the second form.
func unanswered(err error) bool {
	e, ok := errors.AsType[*grant.Error](err)
	if !ok {
		return false
	}
	switch e.Class {
	case grant.Transient, grant.TransientSlow, grant.Malformed, grant.Ambiguous:
		return true
	}
	return false
}

// reform makes the profile one that uses the other form. It reports whether that could be stored.
func (l *Login) reform(other *otherForm) bool {
	l.reformed, l.triedBody = true, other.body
	p := &profile.Profile{Profile: l.profile.Profile, APIs: l.profile.APIs, Ephemeral: l.profile.Ephemeral}
	other.change(&p.Profile)
	server, _, err := p.Server()
	if err != nil {
		return false
	}
	p.Endpoint = l.profile.Endpoint.With(server)
	if l.logins.Profiles.CheckSave(p) != nil {
		return false
	}
	at := l.server()
	p.Adjust(&at)
	at.ClientAuth = server.ClientAuth
	l.profile, l.endpoint, l.posts = p, l.endpoint.With(at), other.body
	return true
}

// otherFormHint names the other form in the hint of a refusal that came where nothing may be sent twice.
func (l *Login) otherFormHint(item keystore.Item, cause error) func(error) error {
	other := l.otherForm(item)
	if other == nil || l.reformed || !grant.DoubtsClient(cause, false) {
		return func(err error) error { return err }
	}
	return func(err error) error {
		if e, ok := errors.AsType[*protocol.Error](err); ok && e.Data != nil {
			e.Data.Hint = l.tryAgain(other.flags)
		}
		return err
	}
}

// grantAudienceHint is refusedError for an assertion that is a grant. Where the server may have refused it for its aud,
// which by default is the token endpoint (RFC 7523 §3), the hint names the issuer.
func (l *Login) grantAudienceHint(cause error) error {
	if !l.server().ByIssuer {
		return l.refusedError(cause)
	}
	return l.audienceHint(cause, grant.AudienceIssuer, "wants to be called by its issuer")
}

// besideHint is for the refusal of an endpoint beside the token endpoint. Where it may have refused an assertion for
// its aud, which is the issuer or the token endpoint (RFC 9126 §2), the hint names the endpoint itself.
func (l *Login) besideHint(cause error) error {
	if !l.server().ClientAuth.Signs() {
		return cause
	}
	return l.audienceHint(cause, grant.AudienceCalled, "wants assertions for the address that is called")
}

// audienceHint is refusedError, with a hint that names another aud where the server may have refused an assertion for
// the one that nobody has chosen.
func (l *Login) audienceHint(cause error, audience grant.Audience, where string) error {
	err := l.refusedError(cause)
	if p := l.profile; p.Provider != "" || p.AssertionAudience != "" || !grant.DoubtsClient(cause, true) {
		return err
	}
	flags := "--assertion-audience " + visible.Word(string(audience))
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		e.Message += "; perhaps the server " + where
		e.Data.Hint = l.tryAgain(flags)
		return e
	}
	e := l.logins.Wire(cause, l.params.Profile)
	e.Data.Hint = l.tryAgain(flags)
	return e
}

// sealForBody makes a new credential one whose secret goes into the request's body, where only that was taken.
func (l *Login) sealForBody(item *keystore.Item) {
	if l.posts {
		item.ClientAuth = string(grant.ClientSecretPost)
	}
}

// firstToken proves a credential that is no session by obtaining a token. A refusal is final: a person waits.
func (l *Login) firstToken(ctx context.Context, item keystore.Item) (t grant.Token, err error) {
	err = l.inEitherForm(item, l.kind != grant.ByJWTBearer, func() (err error) {
		l.sealForBody(&item)
		t, _, err = l.profile.Endpoint.Renew(ctx, item, l.logins.Stores.Source(l.profile).Request("", ""))
		return err
	})
	return t, err
}
