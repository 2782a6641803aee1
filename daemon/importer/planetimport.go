package importer

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// planetImport makes a row of a profile. The error is a [*flaw].
func (s *search) planetImport(p *planetProfile) error {
	if p.tokenErr != nil && !errors.Is(p.tokenErr, fs.ErrNotExist) && !p.unattended() {
		return p.tokenErr
	}
	if p.client.object == nil {
		return s.planetTokens(p)
	}
	kind := p.client.text("client_type")
	if err := planetRefused(kind); err != nil {
		return err
	}
	if kind == "static_apikey" || kind == "planet_legacy" {
		return s.planetKey(p, kind)
	}
	target, err := p.planetTarget(p.client)
	if err != nil {
		return err
	}
	id := p.client.text("client_id")
	if id == "" || !visible([]byte(id)) {
		return flawed("", "auth_client.json has no client_id")
	}
	f := Found{System: "Planet", What: "session", Name: planetName(p.name), Target: target}
	f.Item.ClientID = id
	if err := s.planetSecrets(p, &f); err != nil {
		f.Wipe()
		return err
	}
	if target.Grant != byClient {
		f.Item.Grant = target.Grant
		if err := p.session(&f); err != nil {
			f.Wipe()
			return err
		}
	} else {
		f.What = "machine account"
		if p.token.object != nil { // what it signed in with last; it signs in again by itself
			p.token.at.Holds = []string{"access token"}
			f.Copies = append(f.Copies, p.token.at)
		}
	}
	s.planetAdd(p, f)
	return nil
}

// unattended reports whether the profile can do without its tokens.
func (p *planetProfile) unattended() bool {
	return planetTypes[p.client.text("client_type")].grant == byClient || p.client.has("api_key")
}

func (s *search) planetAdd(p *planetProfile, f Found) {
	f.Copies = append(f.Copies, p.twins...)
	f.Warnings, f.Lost = union(f.Warnings, p.warnings), union(f.Lost, p.lost)
	f.says = append(p.client.hear(), p.token.hear()...)
	s.add(f)
}

// planetSecrets takes what proves the client: a secret or a private key, by what its type says.
func (s *search) planetSecrets(p *planetProfile, f *Found) error {
	o, kind := p.client, p.client.text("client_type")
	at := o.at
	switch {
	case strings.HasSuffix(kind, "_secret"):
		secret, ok := o.secret("client_secret")
		if !ok || secret.IsZero() {
			return flawed("", "auth_client.json needs both client_id and client_secret, as text that is not empty")
		}
		f.Item.ClientSecret, at.Holds = secret, []string{"client secret"}
	case strings.HasSuffix(kind, "_pubkey"):
		password, ok := o.secret("client_privkey_password")
		if f.Item.PrivateKeyPassword = password; !ok {
			return flawed("", "its client_privkey_password is no text")
		}
		if !password.IsZero() {
			at.Holds = append(at.Holds, "password of the private key")
		}
		if o.has("client_privkey") && o.text("client_privkey") != "" {
			f.Item.PrivateKey, at.Holds = o.pem("client_privkey"), append(at.Holds, "private key")
			if err := checkPEM(f.Item.PrivateKey); err != nil {
				return err
			}
			break
		}
		path := o.text("client_privkey_file")
		if path == "" {
			return flawed("", "auth_client.json names no private key")
		}
		key, keyAt, err := s.readKey(path)
		if err != nil {
			return err
		}
		keyAt.Readers = readersPlanet
		f.Item.PrivateKey, f.Copies = key, append(f.Copies, keyAt)
	}
	if at.Holds != nil {
		f.Copies = append([]Copy{at}, f.Copies...)
	}
	return nil
}

// session takes the refresh token beside an auth_client.json whose client needs a person to sign in.
func (p *planetProfile) session(f *Found) error {
	fresh := signIn(f.Target, f.Item.ClientID)
	if p.token.object == nil {
		return flawed(fresh, "nobody is signed in: there is no token.json")
	}
	refresh, access, ok := p.token.tokens(f)
	defer access.Wipe()
	if !ok || refresh.IsZero() {
		refresh.Wipe()
		return flawed(fresh, "%s", noSession(p.token, "token.json"))
	}
	// Directories are lower-cased client ids, so two clients can share one, and then the tokens are the last one's.
	if owner := claims(access).issuedTo(); owner != "" && owner != f.Item.ClientID {
		refresh.Wipe()
		return flawed(fresh, "the tokens were issued to another client than the one in auth_client.json")
	}
	p.token.at.Holds = []string{"refresh token", "access token"}
	f.Item.RefreshToken = refresh
	f.Copies = append(f.Copies, p.token.at)
	f.share(fresh)
	return nil
}

// share says that another program has the same session.
func (f *Found) share(fresh string) {
	f.Shared, f.Fresh = true, fresh
	f.Warnings = append(f.Warnings, "the refresh token stays with the other program too: if the server replaces it at each use, "+
		"whichever of the two renews second ends the session for both, and so does a logout or revocation there; a sign-in of groat's own avoids that")
}

// noSession says what is wrong with a token file without a refresh token.
func noSession(d document, name string) string {
	switch {
	case d.isComplaint():
		return "an error message of the server was saved in the place of tokens"
	case d.has("access_token"):
		return name + " holds an access token that nothing can renew: there is no refresh token"
	}
	return name + " holds no tokens"
}

// tokens takes what RFC 6749 §5.1 calls so, and the times beside it. The access token is only read, and wiped by the caller.
func (o object) tokens(f *Found) (refresh, access keystore.Secret, ok bool) {
	refresh, okRefresh := o.secret("refresh_token")
	access, okAccess := o.secret("access_token")
	said := claims(access)
	for _, source := range []struct {
		o               object
		issued, expires string
	}{{said, "iat", "exp"}, {o, "_iat", "_exp"}, {o, "issued_at", "expires_at"}} {
		if f.Issued.IsZero() {
			f.Issued = source.o.time(source.issued)
		}
		if f.Expires.IsZero() {
			f.Expires = source.o.time(source.expires)
		}
	}
	return refresh, access, okRefresh && okAccess
}

// planetTokens takes a token.json without an auth_client.json: a built-in profile's, or one whose client is only in its JWT.
func (s *search) planetTokens(p *planetProfile) error {
	o := p.token
	if o.has("key") || o.has("api_key") {
		return s.planetKey(p, "")
	}
	var f Found
	refresh, access, ok := o.tokens(&f)
	defer access.Wipe()
	said := claims(access)
	fresh := "groat login " + namePlace + " --provider planet-user"
	if !ok || refresh.IsZero() {
		refresh.Wipe()
		if strings.HasPrefix(strings.ToLower(p.name), "planet-m2m") {
			return flawed("groat login "+namePlace+" --provider planet-m2m --client-id …", "it is the access token of a machine account, whose client id and secret are not kept here")
		}
		return flawed(fresh, "%s", noSession(o, "token.json"))
	}
	provider, _ := preset.Lookup("planet-user")
	id := said.issuedTo()
	if issuer := said.text("iss"); issuer != "" && !sameURL(issuer, provider.Issuer) {
		refresh.Wipe()
		return flawed("", "the tokens are from another server than Planet's for people, and no auth_client.json says which client they belong to")
	}
	if strings.ToLower(p.name) == "planet-user" && id == "" {
		id = provider.For(byDevice).ClientID
	}
	if id == "" {
		refresh.Wipe()
		return flawed(fresh, "there is no auth_client.json, and the tokens do not say which client they were issued to")
	}
	o.at.Holds = []string{"refresh token", "access token"}
	f.System, f.What, f.Name, f.Copies = "Planet", "session", planetName(p.name), []Copy{o.at}
	f.Target = Target{Provider: "planet-user", Grant: byDevice}
	f.Item.ClientID, f.Item.Grant, f.Item.RefreshToken = id, byDevice, refresh
	f.share(signIn(f.Target, id))
	s.planetAdd(p, f)
	return nil
}
