package importer

import (
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
)

// Ways to sign in and to prove a client, as package grant and RFC 7591 §2 call them.
const (
	byDevice  = "device_code"
	byCode    = "authorization_code"
	byClient  = "client_credentials"
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"
)

// planetTypes are Planet's client types :: client_type → what it is here.
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

// planetEndpoints are addresses that an auth_client.json may override, and a profile here cannot :: name → the provider's own.
var planetEndpoints = map[string]func(preset.Provider) string{
	"authorization_endpoint":        func(p preset.Provider) string { return p.URL(p.AuthorizePath) },
	"device_authorization_endpoint": func(p preset.Provider) string { return p.URL(p.DevicePath) },
	"revocation_endpoint":           func(p preset.Provider) string { return p.URL(p.RevokePath) },
	"userinfo_endpoint":             func(p preset.Provider) string { return p.URL(p.UserinfoPath) },
	"introspection_endpoint":        func(preset.Provider) string { return "" },
	"jwks_endpoint":                 func(preset.Provider) string { return "" },
}

// planetTarget says which server an auth_client.json is about.
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
		return t, flawed("", "its audiences must be a list of at most one, and its scopes a list; Planet's own library refuses the file too")
	}
	known := planetProvider(server, t.Grant, o)
	if how := known.For(t.Grant); known.Name != "" {
		t.Provider = known.Name
		if t.ClientAuth == how.ClientAuth {
			t.ClientAuth = ""
		}
		t.Audience, t.Scope = override(how, audiences, scopes)
	} else {
		// The member "issuer" is only compared by Planet's library; taken for an address it would lead a secret elsewhere.
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
	if printable(t.Audience+t.Scope) != nil {
		return t, flawed("", "its audiences or scopes hold control characters")
	}
	t.Redirect = p.redirect(o)
	p.losses(o, known)
	return t, nil
}

// planetProvider returns the preset that an auth_client.json amounts to, or none.
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

// override returns audience and scope where they are not what the provider's tokens are asked for anyway.
func override(how preset.How, audiences, scopes []string) (audience, scope string) {
	if len(audiences) == 1 && audiences[0] != how.Audience {
		audience = audiences[0]
	}
	usual := append(slices.Clone(how.Scopes), how.SessionScopes...)
	wanted := slices.Clone(scopes)
	slices.Sort(usual)
	slices.Sort(wanted)
	if !slices.Equal(usual, wanted) {
		scope = strings.Join(slices.DeleteFunc(wanted, func(s string) bool { return slices.Contains(how.SessionScopes, s) }), " ")
	}
	return audience, scope
}

// redirect returns the address that the browser comes back to, if that is this machine.
func (p *planetProfile) redirect(o document) string {
	for _, name := range []string{"local_redirect_uri", "redirect_uri"} {
		u, err := url.Parse(o.text(name))
		if err == nil && u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "[::1]", "::1"}, u.Hostname()) {
			return o.text(name)
		}
	}
	return ""
}

// losses notes what an auth_client.json says and a profile cannot.
func (p *planetProfile) losses(o document, known preset.Provider) {
	names := []string{
		"organization", "project_id", "authorization_callback_acknowledgement", "authorization_callback_acknowledgement_file",
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

// checkServer refuses what cannot be the address of a server that is given a credential.
func checkServer(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return flawed("", "it names no auth_server")
	case err != nil || printable(raw) != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return flawed("", "its auth_server is no address of a server")
	case u.Scheme == "https", u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return nil
	}
	return flawed("", "its auth_server does not begin with https://")
}

// sameURL compares addresses but for a slash at the end, as Planet's library does.
func sameURL(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }
