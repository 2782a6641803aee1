package login

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/privatekey"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// byClient signs in with a client that a person has: proven first, then stored.
func (l *Login) byClient() (keystore.Item, grant.Token, error) {
	item, err := l.newClientItem()
	if err == nil {
		var t grant.Token
		if t, err = l.firstToken(l.ctx, item); err == nil {
			l.sealForBody(&item)
			return item, t, nil
		}
	}
	item.Wipe()
	return keystore.Item{}, grant.Token{}, l.refusedError(err)
}

// refusedError is a refusal of what a person has just typed: typing it again is what helps.
func (l *Login) refusedError(err error) error {
	if ended := l.ctx.Err(); ended != nil && errors.Is(err, ended) {
		return l.givenUpError()
	}
	if !broker.NeedsLogin(err) {
		return err
	}
	e := l.logins.Wire(err, l.params.Profile)
	switch {
	case l.params.Username != "":
		e.Data.Hint = l.tryAgain("--username " + visible.Word(l.params.Username))
	case !l.kind.Interactive() && l.params.ClientID != "":
		e.Data.Hint = l.tryAgain("--client-id " + visible.Word(l.params.ClientID))
		if l.mayPost && !l.triedBody {
			e.Message += "; where the server wants the secret in the request's body, sign in with --client-auth " +
				string(grant.ClientSecretPost)
		}
	}
	return e
}

// addClientCredential gives an item what its client authenticates with: a secret that is asked for, a key or
// certificate from a file.
func (l *Login) addClientCredential(item *keystore.Item) (err error) {
	if b := l.reused; b != nil && b.ClientID == item.ClientID {
		kept := b.Clone()
		item.ClientSecret, item.Certificate = kept.ClientSecret, kept.Certificate
		item.PrivateKey, item.PrivateKeyPassword = kept.PrivateKey, kept.PrivateKeyPassword
		item.KeyID, item.KeyAlg, item.Subject = kept.KeyID, kept.KeyAlg, kept.Subject
		return l.amend(item)
	}
	if l.server().AssertionFile != "" {
		return nil
	}
	switch l.server().ClientAuth {
	case grant.None:
		return nil
	case grant.ClientSecretJWT, grant.PrivateKeyJWT:
		if err := l.prepareAssertion(item); err != nil || l.server().ClientAuth == grant.PrivateKeyJWT {
			return err
		}
	case grant.TLSClientAuth, grant.SelfSignedTLSClientAuth:
		if err := l.readKey(item); err != nil {
			return err
		}
		chain, err := privatekey.ReadCertificate(l.params.Certificate) // often in one file with the key
		item.Certificate = chain.Reveal()
		return err
	}
	item.ClientSecret, err = l.ask("Client secret of " + inPrompt(l.params.ClientID) + ", for " + l.clientHosts())
	return err
}

// amend changes what is named anew of a credential that is kept.
func (l *Login) amend(item *keystore.Item) error {
	q := l.params
	item.KeyID, item.Subject = cmp.Or(q.KeyID, item.KeyID), cmp.Or(q.Subject, item.Subject)
	if q.Certificate != "" {
		chain, err := privatekey.ReadCertificate(q.Certificate)
		if err != nil {
			return err
		}
		item.Certificate = chain.Reveal()
	}
	if q.KeyAlg == "" {
		return nil
	}
	item.KeyAlg = q.KeyAlg
	if l.kind == grant.ByJWTBearer {
		return nil
	}
	var err error
	if item.KeyAlg, err = l.server().ChooseAlg(*item); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	return nil
}

// prepareAssertion decides which algorithm signs a client's assertions, and stores it with the key: a renewal does not
// read the server's list of algorithms.
func (l *Login) prepareAssertion(item *keystore.Item) (err error) {
	item.KeyAlg, item.KeyID = l.params.KeyAlg, l.params.KeyID
	if l.server().ClientAuth == grant.PrivateKeyJWT {
		if err := l.readKey(item); err != nil {
			return err
		}
	}
	if item.KeyAlg, err = l.server().ChooseAlg(*item); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	return nil
}

// readKey reads the private key, and asks for its password where it has one.
func (l *Login) readKey(item *keystore.Item) (err error) {
	if l.params.Key == "" {
		return l.missingError("name the private key's file with --key", "--key FILE")
	}
	if item.PrivateKey, err = privatekey.ReadFile(l.params.Key); err != nil {
		return err
	}
	_, err = privatekey.DefaultAlg(item.PrivateKey, keystore.Secret{})
	if errors.Is(err, privatekey.ErrPassword) {
		key := inPrompt(l.params.Key)
		item.PrivateKeyPassword, err = l.ask("Password of " + key + ", the key for " + l.clientHosts())
		if err != nil {
			return err
		}
		_, err = privatekey.DefaultAlg(item.PrivateKey, item.PrivateKeyPassword)
	}
	if err != nil {
		return protocol.NewError(protocol.Config, fmt.Sprintf("%s: %s", l.params.Key, err),
			"groat login "+l.params.Profile+" --key FILE")
	}
	return nil
}

// byKeyFile is RFC 7523 §2.1: a service account's key file, or a private key and the client it belongs to.
func (l *Login) byKeyFile() (item keystore.Item, t grant.Token, err error) {
	switch {
	case l.reused != nil:
		item = l.reused.Clone()
		err = l.amend(&item)
	case l.server().AssertionFile != "":
		item = l.newItem(l.params.ClientID)
	case l.params.ClientID == "":
		var file keystore.Secret
		if file, err = privatekey.ReadFile(l.params.Key); err != nil {
			return item, t, err
		}
		defer file.Wipe()
		if item, err = l.server().ServiceAccount(file); err != nil {
			return item, t, l.keyFileError(err)
		}
		err = l.amend(&item)
	default:
		item = l.newItem(l.params.ClientID)
		if err = l.readKey(&item); err == nil {
			err = l.amend(&item)
		}
	}
	if err != nil {
		item.Wipe()
		return keystore.Item{}, t, err
	}
	if t, err = l.firstToken(l.ctx, item); err != nil {
		item.Wipe()
		return keystore.Item{}, t, l.grantAudienceHint(err)
	}
	return item, t, nil
}

// byPassword is RFC 6749 §4.3, where a person or a preset asks for it.
func (l *Login) byPassword() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.newClientItem(); err != nil {
		return item, s, err
	}
	if l.profile.Provider == "" {
		l.notice("A password grant shows a person's password to this program, where no second factor protects it " +
			"(RFC 9700 §2.4): sign in with a browser where the server has a page for that.")
	}
	password, err := l.askPassword()
	if err != nil {
		return item, s, err
	}
	defer password.Wipe()
	code, err := l.askSecondFactor()
	if err != nil {
		return item, s, err
	}
	defer code.Wipe()
	item.Username = l.params.Username
	err = l.inEitherForm(item, false, func() (err error) {
		s, err = l.endpoint.Password(l.ctx, item, l.params.Username, password, code, l.request())
		return err
	})
	if l.server().SecondFactor != "" && code.IsZero() && broker.NeedsLogin(err) {
		l.notice("No one-time code was given: an account with two-factor authentication is refused without it, " +
			"as with a wrong password.")
	}
	return item, s, err
}

// askSecondFactor asks for the one-time code that the server takes beside the password. It is zero where there is none.
func (l *Login) askSecondFactor() (keystore.Secret, error) {
	if l.server().SecondFactor == "" {
		return keystore.Secret{}, nil
	}
	return l.askSecret(protocol.Prompt{Optional: true},
		fmt.Sprintf("One-time code of %s, for %s (empty without two-factor authentication)",
			inPrompt(l.params.Username), host(l.server().TokenEndpoint)))
}

func (l *Login) askPassword() (keystore.Secret, error) {
	s := l.server()
	to := s.TokenEndpoint
	switch {
	case l.kind == grant.ByKeyLogin:
		to = s.KeyLogin
	case l.kind == grant.ByAppCredentials && s.Apps != nil:
		to = s.Apps.FirstTokenEndpoint
	}
	further := l.kind == grant.ByPassword && s.SecondFactor != ""
	return l.askSecret(protocol.Prompt{Further: further},
		fmt.Sprintf("Password of %s, for %s", inPrompt(l.params.Username), host(to)))
}

// byExchange is RFC 8693: another server's token, which is not kept.
func (l *Login) byExchange() (item keystore.Item, s grant.Session, err error) {
	if item, err = l.newClientItem(); err != nil {
		return item, s, err
	}
	subject, err := l.ask("Token to exchange, for " + host(l.server().TokenEndpoint))
	if err != nil {
		return item, s, err
	}
	defer subject.Wipe()
	err = l.inEitherForm(item, false, func() (err error) {
		s, err = l.endpoint.TokenExchange(l.ctx, item, grant.Presentation{Subject: subject}, l.request())
		return err
	})
	return item, s, err
}

// clientHosts names the hosts that the client's secret, or what it signs, is sent to.
func (l *Login) clientHosts() string {
	if len(l.clientTo) == 0 {
		return host(l.server().TokenEndpoint)
	}
	return strings.Join(l.clientTo, ", ")
}

// keyHosts names the hosts that an API key is sent to.
func (l *Login) keyHosts() string {
	hosts := []string{host(l.server().Issuer)}
	for _, o := range slices.Concat(l.apis, l.server().PresetAPIs) {
		hosts = union(hosts, host(origin.WithoutPort(o)))
	}
	if at := l.profile.Endpoint.Server().Userinfo; at != "" {
		hosts = union(hosts, host(at))
	}
	return strings.Join(hosts, ", ")
}

// byAPIKey keeps a key as it is; there is nothing to prove it with.
func (l *Login) byAPIKey() (item keystore.Item, t grant.Token, err error) {
	item = l.newItem("")
	if item.APIKey, err = l.ask("API key, for " + l.keyHosts()); err != nil {
		return item, t, err
	}
	if err = grant.CheckAPIKey(item.APIKey); err != nil {
		return item, t, protocol.InvalidParams("%s", err)
	}
	ends := grant.KeyEnd(item.APIKey)
	if latest := l.server().LatestEnd(item.APIKey, l.logins.Now().Wall); ends.IsZero() && !latest.IsZero() {
		ends = latest
		l.notice("The token does not say when it ends: what is said of that is the latest that it can be.")
	}
	if !ends.IsZero() {
		item.KeyEnds = ends.Format(time.RFC3339)
	}
	t, err = l.endpoint.APIKey(item)
	if ended, ok := errors.AsType[*grant.KeyEndedError](err); ok {
		err = protocol.InvalidParams("%s", ended)
	}
	return item, t, err
}

// byKeyLogin turns a password into an API key.
func (l *Login) byKeyLogin() (item keystore.Item, t grant.Token, err error) {
	password, err := l.askPassword()
	if err != nil {
		return item, t, err
	}
	defer password.Wipe()
	soon := false
	if l.server().UserTokens != nil {
		item, soon, err = l.endpoint.UserToken(l.ctx, l.params.Username, password)
	} else {
		item, err = l.endpoint.KeyLogin(l.ctx, l.params.Username, password)
	}
	if err != nil {
		return item, t, l.refusedError(err)
	}
	if soon {
		l.notice(fmt.Sprintf("%s gave no token that lasts longer, and keeps few for a person: delete one at %s, and "+
			"sign in again.", l.server().Issuer, l.server().UserTokens.Page))
	}
	item.Username = l.params.Username
	t, err = l.endpoint.APIKey(item)
	return item, t, err
}

// sessionItem is a grant that brings a session: the item and its first token.
func (l *Login) sessionItem(item keystore.Item, s grant.Session, err error) (keystore.Item, grant.Token, error) {
	if err != nil {
		hinted := l.otherFormHint(item, err)
		item.Wipe()
		return keystore.Item{}, grant.Token{}, hinted(l.refusedError(err))
	}
	item.RefreshToken = s.Refresh
	if id := s.Token.ID; id != nil && id.Flaw == "" {
		item.IDSubject, item.Account = id.Subject, id.Account
	}
	switch {
	case l.endpoint.Keep(&item, s):
		kept, err := l.endpoint.KeptToken(item, grant.Request{})
		if err != nil {
			item.Wipe()
			return keystore.Item{}, grant.Token{}, err
		}
		kept.Scope = s.Token.Scope
		return item, kept, nil
	case s.Refresh.IsZero():
		s.Token.Last = true
		l.notice(fmt.Sprintf("%s gave no refresh token: this sign-in ends with its access token.%s",
			l.server().Issuer, l.longer()))
	}
	return item, s.Token, nil
}

// longer is the command for a sign-in that a server which describes itself may give a refresh token for (OpenID
// Connect Core §11), where the scope for that was not asked for.
func (l *Login) longer() string {
	scope := l.endpoint.Server().Default(l.request(), true).Scope
	if l.profile.Provider != "" || slices.Contains(scope, offlineAccess) {
		return ""
	}
	scope = append(slices.Clip(scope), offlineAccess)
	return " Some servers give one for the scope " + offlineAccess + ": " +
		l.tryAgain("--scope "+visible.Word(strings.Join(scope, " ")))
}

const offlineAccess = "offline_access"

// newClientItem is the client that a person signs in through: a public one, or one with a secret, which is asked for.
func (l *Login) newClientItem() (keystore.Item, error) {
	item := l.newItem(l.params.ClientID)
	// The profile's configuration knows less of a discovered server than the sign-in does; the item is the profile's.
	item.RevocationEndpoint = l.profile.Endpoint.Server().RevocationEndpoint
	return item, l.addClientCredential(&item)
}

// request is what the profile's tokens are asked with.
func (l *Login) request() grant.Request {
	return grant.Request{Scope: strings.Fields(l.profile.Scope), Audience: l.profile.Audience}
}
