package login

import (
	"context"
	"fmt"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// prove shows that the stored credential works, and creates nothing.
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
		return protocol.LoginResult{}, l.unproven(err, item.ClientID)
	}
	resume, err := l.reseal(&item, &t)
	if err != nil {
		return protocol.LoginResult{}, err
	}
	defer resume()
	return l.adopt(item, t, protocol.AlreadySignedIn) // the keystore has it already, and perhaps a newer one by now
}

// proveAlone uses a session that has no owner, or one that must not: it is paused meanwhile, for a refresh token is good once.
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

// sameEndpoint reports whether the profile, as it is configured now, uses the credential where the sign-in does: of an edited
// one the owner would be refused it.
func (l *Login) sameEndpoint() bool {
	was := l.logins.Profiles.Named(l.params.Profile)
	if was == nil {
		return false
	}
	a, b := was.Endpoint.Server(), l.profile.Endpoint.Server()
	return a.Issuer == b.Issuer && a.TokenEndpoint == b.TokenEndpoint && a.ClientAuth == b.ClientAuth
}

// unproven explains a refusal of a stored credential.
func (l *Login) unproven(err error, clientID string) error {
	if !broker.NeedsLogin(err) || l.kind.Session() {
		return err
	}
	e := l.logins.Wire(err, l.params.Profile)
	e.Message = fmt.Sprintf("the stored client %s does not work any more: %s", visible.Name(clientID), e.Message)
	e.Data.Hint = "groat login " + l.params.Profile + " --client-id ID"
	if l.kind == grant.ByAppCredentials {
		e.Data.Hint = "groat login " + l.params.Profile + " --username YOU --new-client"
	}
	return e
}

// firstToken is the proof of a credential that is no session. A refusal is final at once: a person waits.
func (l *Login) firstToken(ctx context.Context, item keystore.Item) (grant.Token, error) {
	t, _, err := l.profile.Endpoint.Renew(ctx, item, l.logins.Stores.Source(l.profile).Request("", ""))
	return t, err
}
