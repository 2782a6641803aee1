package importer

import (
	"errors"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// planetImport adds a candidate for a profile. The error is a [*flaw].
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
	if id == "" || !isPrintableASCII([]byte(id)) {
		return flawed("", "auth_client.json has no client_id")
	}
	f := Candidate{System: "Planet", What: "session", Name: planetName(p.name), Target: target}
	f.Item.ClientID = id
	if err := s.planetClientProof(p, &f); err != nil {
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

// unattended reports whether the profile needs no saved tokens.
func (p *planetProfile) unattended() bool {
	return planetTypes[p.client.text("client_type")].grant == byClient || p.client.has("api_key")
}

func (s *search) planetAdd(p *planetProfile, f Candidate) {
	f.Copies = append(f.Copies, p.twins...)
	f.Warnings, f.Lost = union(f.Warnings, p.warnings), union(f.Lost, p.lost)
	f.servers = append(p.client.namedServers(), p.token.namedServers()...)
	s.add(f)
}

// planetClientProof reads what the client authenticates with: a secret or a private key, depending on its type.
func (s *search) planetClientProof(p *planetProfile, f *Candidate) error {
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

// session reads the refresh token beside an auth_client.json whose client needs a person to sign in.
func (p *planetProfile) session(f *Candidate) error {
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

// share records that another program has the same session.
func (f *Candidate) share(fresh string) {
	f.Shared, f.Fresh = true, fresh
	f.Warnings = append(f.Warnings,
		"the refresh token stays with the other program too: if the server replaces it at each use, "+
			"whichever of the two renews second ends the session for both, and so does a logout or revocation "+
			"there; a sign-in of groat's own avoids that")
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

// tokens returns the members of RFC 6749 §5.1, and sets the times beside them. The caller wipes the access token, which
// is not imported.
func (o object) tokens(f *Candidate) (refresh, access keystore.Secret, ok bool) {
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

// planetTokens reads a token.json without an auth_client.json: that of a built-in profile, or one whose client is named
// in its JWT only.
func (s *search) planetTokens(p *planetProfile) error {
	o := p.token
	if o.has("key") || o.has("api_key") {
		return s.planetKey(p, "")
	}
	var f Candidate
	refresh, access, ok := o.tokens(&f)
	defer access.Wipe()
	said := claims(access)
	fresh := "groat login " + namePlace + " --provider planet-user"
	if !ok || refresh.IsZero() {
		refresh.Wipe()
		if strings.HasPrefix(strings.ToLower(p.name), "planet-m2m") {
			return flawed("groat login "+namePlace+" --provider planet-m2m",
				"it is the access token of a machine account, whose client id and secret are not kept here")
		}
		return flawed(fresh, "%s", noSession(o, "token.json"))
	}
	provider, _ := preset.Lookup("planet-user")
	id := said.issuedTo()
	if issuer := said.text("iss"); issuer != "" && !sameURL(issuer, provider.Issuer) {
		refresh.Wipe()
		return flawed("",
			"the tokens are from another server than Planet's for people, and no auth_client.json says which client "+
				"they belong to")
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

// Grants and methods of client authentication, as package grant and RFC 7591 §2 name them.
const (
	byDevice  = "device_code"
	byCode    = "authorization_code"
	byClient  = "client_credentials"
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"
)

// planetTypes are Planet's client types :: client_type → grant and client authentication here.
var planetTypes = map[string]struct{ grant, auth string }{
	"oidc_auth_code":                 {byCode, authNone},
	"oidc_auth_code_secret":          {byCode, authBasic},
	"oidc_auth_code_pubkey":          {byCode, authKey},
	"oidc_device_code":               {byDevice, authNone},
	"oidc_device_code_secret":        {byDevice, authBasic},
	"oidc_device_code_pubkey":        {byDevice, authKey},
	"oidc_client_credentials_secret": {byClient, authPost}, // to sign in; HTTP Basic for everything after that
	"oidc_client_credentials_pubkey": {byClient, authKey},
	"static_apikey":                  {keyGrant, ""},
	"planet_legacy":                  {keyGrant, ""},
	"oidc_resource_owner":            {}, // these have their own reasons
	"oidc_resource_owner_secret":     {},
	"oidc_resource_owner_pubkey":     {},
	"oidc_client_validator":          {},
	"none":                           {},
}

// planetRefused says why a client type cannot be imported.
func planetRefused(kind string) error {
	switch known, ok := planetTypes[kind]; {
	case !ok:
		return flawed("", "its client_type is none that groat knows")
	case known.grant != "":
		return nil
	case kind == "none" || kind == "oidc_client_validator":
		return flawed("", "a profile of type %s holds no credential", kind)
	}
	return flawed("", "it signs in with a person's password, which groat does not keep")
}

// planetEndpoints are addresses that an auth_client.json may override and a profile here cannot :: name → the
// provider's own.
var planetEndpoints = map[string]func(preset.Provider) string{
	"authorization_endpoint":        func(p preset.Provider) string { return p.URL(p.AuthorizePath) },
	"device_authorization_endpoint": func(p preset.Provider) string { return p.URL(p.DevicePath) },
	"revocation_endpoint":           func(p preset.Provider) string { return p.URL(p.RevokePath) },
	"userinfo_endpoint":             func(p preset.Provider) string { return p.URL(p.UserinfoPath) },
	"introspection_endpoint":        func(preset.Provider) string { return "" },
	"jwks_endpoint":                 func(preset.Provider) string { return "" },
}

// planetTarget returns the server that an auth_client.json describes.
func (p *planetProfile) planetTarget(o document) (Target, error) {
	kind := planetTypes[o.text("client_type")]
	t := Target{Grant: kind.grant, ClientAuth: kind.auth}
	server := o.text("auth_server")
	if err := checkServer(server); err != nil {
		return t, err
	}
	audiences, okAudience := o.list("audiences")
	scopes, okScope := o.list("scopes")
	if !okAudience || !okScope || len(audiences) > 1 {
		return t, flawed("", "its audiences must be a list of at most one, and its scopes a list; Planet's own "+
			"library refuses the file too")
	}
	known := planetProvider(server, t.Grant, o)
	if how := known.For(t.Grant); known.Name != "" {
		t.Provider = known.Name
		if t.ClientAuth == how.ClientAuth {
			t.ClientAuth = ""
		}
		t.Audience, t.Scope = override(how, audiences, scopes)
	} else {
		// The member "issuer" is only compared by Planet's library; taken for an address it would lead a secret
		// elsewhere.
		t.Issuer, t.TokenEndpoint = server, o.text("token_endpoint")
		if t.TokenEndpoint != "" && checkServer(t.TokenEndpoint) != nil {
			return t, flawed("", "its token_endpoint is no address of a server, or does not begin with https://")
		}
		t.Audience, t.Scope = strings.Join(audiences, ""), strings.Join(scopes, " ")
		at := server
		if t.TokenEndpoint != "" {
			at = t.TokenEndpoint
		}
		p.warn("it signs in at " + at + ", which is none of Planet's usual servers")
	}
	if checkPrintable(t.Audience+t.Scope) != nil {
		return t, flawed("", "its audiences or scopes hold control characters")
	}
	t.Redirect = p.redirect(o)
	p.losses(o, known)
	return t, nil
}

// planetProvider returns the preset that an auth_client.json corresponds to, or the zero Provider.
func planetProvider(server, grant string, o document) preset.Provider {
	for _, name := range []string{"planet-user", "planet-m2m"} {
		p, _ := preset.Lookup(name)
		issuer, endpoint := o.text("issuer"), o.text("token_endpoint")
		if sameURL(server, p.Issuer) && slices.Contains(p.Grants, grant) &&
			(issuer == "" || issuer == p.Issuer) && (endpoint == "" || endpoint == p.URL(p.TokenPath)) {
			return p
		}
	}
	return preset.Provider{}
}

// override returns audience and scope where they differ from those that the provider's tokens are requested with.
func override(how preset.How, audiences, scopes []string) (audience, scope string) {
	if len(audiences) == 1 && audiences[0] != how.Audience {
		audience = audiences[0]
	}
	usual := append(slices.Clone(how.Scopes), how.SessionScopes...)
	wanted := slices.Clone(scopes)
	slices.Sort(usual)
	slices.Sort(wanted)
	if !slices.Equal(usual, wanted) {
		ofSession := func(s string) bool { return slices.Contains(how.SessionScopes, s) }
		scope = strings.Join(slices.DeleteFunc(wanted, ofSession), " ")
	}
	return audience, scope
}

// redirect returns the address that the browser returns to, if it is on this machine.
func (p *planetProfile) redirect(o document) string {
	for _, name := range []string{"local_redirect_uri", "redirect_uri"} {
		u, err := url.Parse(o.text(name))
		if err == nil && u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "[::1]", "::1"},
			u.Hostname()) {
			return o.text(name)
		}
	}
	return ""
}

// losses records the settings of an auth_client.json that a profile cannot hold.
func (p *planetProfile) losses(o document, known preset.Provider) {
	names := []string{
		"organization", "project_id", "authorization_callback_acknowledgement",
		"authorization_callback_acknowledgement_file",
	}
	if issuer := o.text("issuer"); known.Name == "" && !sameURL(issuer, o.text("auth_server")) {
		names = append(names, "issuer")
	}
	if u := o.text("redirect_uri"); u != "" && u != p.redirect(o) {
		names = append(names, "redirect_uri")
	}
	for name, of := range planetEndpoints {
		if value := o.text(name); value != "" && value != of(known) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if o.has(name) {
			p.lost = append(p.lost, name)
		}
	}
}

// checkServer refuses an address that cannot be a server's which is sent a credential.
func checkServer(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return flawed("", "it names no auth_server")
	case err != nil || checkPrintable(raw) != nil || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "":
		return flawed("", "its auth_server is no address of a server")
	case u.Scheme == "https", u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"},
		u.Hostname()):
		return nil
	}
	return flawed("", "its auth_server does not begin with https://")
}

// sameURL compares addresses except for a slash at the end, as Planet's library does.
func sameURL(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }
