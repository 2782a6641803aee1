// Package preset holds the known providers as data: one embedded TOML file each, with the source beside each value. The
// invariant: a provider is never a type or a branch in the code; a difference between two providers is a value here.
// The package sends nothing and checks no URL: package grant does both.
package preset

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// Provider is one provider's data. It is a copy, except for its slices and maps, which must not be changed.
type Provider struct {
	// Name is the file's name, which people give to --provider.
	Name  string `toml:"-"`
	Title string `toml:"title"`
	// Deprecated says, in a sentence, what the provider's owner wants people to use instead; empty where nothing. A
	// deprecated provider still works.
	Deprecated string `toml:"deprecated"`
	// Unconfirmed are the keys of values for which there is no source that holds for everybody who signs in there.
	Unconfirmed []string `toml:"unconfirmed"`

	// Backend is "openeo" where a back end that a person names says where its people sign in; all that follows but
	// Grants is empty then.
	Backend string `toml:"backend"`

	// AuthServer is the origin that every path below belongs to; a path may be a whole URL where it is on another host.
	// Issuer is what the server's tokens call it.
	AuthServer    string `toml:"auth_server"`
	Issuer        string `toml:"issuer"`
	TokenPath     string `toml:"token_path"`
	DevicePath    string `toml:"device_path"`
	AuthorizePath string `toml:"authorize_path"`
	PARPath       string `toml:"par_path"`
	RevokePath    string `toml:"revoke_path"`
	UserinfoPath  string `toml:"userinfo_path"`
	// KeyLoginPath takes a person's email and password as JSON and answers with an API key.
	KeyLoginPath string `toml:"key_login_path"`

	// Grants are the ways to sign in that the provider offers, the default first; package grant has the list.
	Grants []string `toml:"grants"`
	// How holds the values for every grant; Grant :: kind of grant → the values that differ for it.
	How
	Grant map[string]How `toml:"grant"`

	// PlainBasic means HTTP Basic without the form-encoding of RFC 6749 §2.3.1.
	PlainBasic bool `toml:"plain_basic"`
	// AssertionAudience is "called", "issuer" or a URI, or empty for the token endpoint; AssertionLife is in seconds, 0
	// for groat's own; AssertionNotBefore adds nbf.
	AssertionAudience  string `toml:"assertion_audience"`
	AssertionLife      int    `toml:"assertion_life"`
	AssertionNotBefore bool   `toml:"assertion_not_before"`
	// ScopeInAssertion means that the scope is a claim of an assertion grant (Google).
	ScopeInAssertion bool `toml:"scope_in_assertion"`
	// WiderScope means that the server grants scopes that were not asked for, or names them differently.
	WiderScope bool `toml:"wider_scope"`
	// SessionIdle and SessionAbsolute are how long a session lives without a renewal, and at all, in seconds; 0 if
	// that is unknown. KeepSession renews an unused session before its idle end.
	SessionIdle     int64 `toml:"session_idle"`
	SessionAbsolute int64 `toml:"session_absolute"`
	KeepSession     bool  `toml:"keep_session"`
	// RefreshEndsTokens says whether a use of the refresh token ends the access tokens before it; left out where nobody
	// has said.
	RefreshEndsTokens *bool `toml:"refresh_ends_tokens"`
	// RefreshNarrows says whether a refresh that asks for less scope narrows the session for good, against RFC 6749 §6;
	// left out where nobody has said.
	RefreshNarrows *bool `toml:"refresh_narrows"`
	// RequirePAR means that authorization requests must be pushed; IssInRedirect that redirects name the issuer (RFC
	// 9207).
	RequirePAR    bool `toml:"require_par"`
	IssInRedirect bool `toml:"iss_in_redirect"`
	// RevokeJSON means that revocation takes a JSON object (Auth0).
	RevokeJSON bool `toml:"revoke_json"`
	// SecondFactor is the form parameter in which the password grant takes a one-time code, empty where it takes none.
	SecondFactor string `toml:"second_factor"`
	// TokensLast means that an access token of a sign-in without a lifetime and without a refresh token does not end.
	TokensLast bool `toml:"tokens_last"`
	// AuthorizeParams are added to an authorization request.
	AuthorizeParams map[string]string `toml:"authorize_params"`

	// Resources are the origins that tokens are sent to; never the tokens' aud. SelfManaged means that people run the
	// service on hosts of their own: there, only the resources on AuthServer come along.
	Resources   []string `toml:"resources"`
	SelfManaged bool     `toml:"self_managed"`
	// Header is nil where a token is sent as "Authorization: Bearer T".
	Header *Header `toml:"header"`
	// ClientsPermanent means that a client, once created, cannot be deleted.
	ClientsPermanent bool `toml:"clients_permanent"`
	// AccountPage is the page at which a person ends a sign-in that groat cannot end; empty where that is not known.
	AccountPage string `toml:"account_page"`
	// Notes are sentences for people who sign in.
	Notes []string `toml:"notes"`
	// UserTokens is nil where KeyLoginPath does not take HTTP Basic and answer with a token that ends.
	UserTokens *UserTokens `toml:"user_tokens"`
	// AppCredentials is nil where a password cannot create a client.
	AppCredentials *AppCredentials `toml:"app_credentials"`
}

// How holds the values that may differ between two grants of one provider.
type How struct {
	// ClientAuth is a token_endpoint_auth_method (RFC 7591 §2); RefreshAuth is the one for refreshing and revoking
	// where that is another.
	ClientAuth  string `toml:"client_auth"`
	RefreshAuth string `toml:"refresh_auth"`
	// ClientID is the public client of the provider's own programs; empty where people need one of their own.
	ClientID string `toml:"client_id"`
	// Scopes and Audience are requested where a person names none; SessionScopes are added to get a refresh token.
	Scopes        []string `toml:"scopes"`
	SessionScopes []string `toml:"session_scopes"`
	Audience      string   `toml:"audience"`
	// Redirect is the loopback redirect URI that the client is registered with.
	Redirect string `toml:"redirect"`
}

// Header is the header that an API reads a credential from: Name: Prefix, a space, the credential. Without a Prefix the
// credential stands alone.
type Header struct {
	Name   string `toml:"name"`
	Prefix string `toml:"prefix"`
}

// For returns the values for one grant: its own where there are any, else those for every grant.
func (p Provider) For(grant string) How {
	h, own := p.How, p.Grant[grant]
	for _, m := range []struct{ to, from *string }{
		{&h.ClientAuth, &own.ClientAuth}, {&h.RefreshAuth, &own.RefreshAuth}, {&h.ClientID, &own.ClientID},
		{&h.Audience, &own.Audience}, {&h.Redirect, &own.Redirect},
	} {
		if *m.from != "" {
			*m.to = *m.from
		}
	}
	if own.Scopes != nil {
		h.Scopes = own.Scopes
	}
	if own.SessionScopes != nil {
		h.SessionScopes = own.SessionScopes
	}
	return h
}

// AppCredentials says how a person's password creates a client.
type AppCredentials struct {
	// FirstToken is "basic_get" or "password".
	FirstToken     string `toml:"first_token"`
	FirstTokenPath string `toml:"first_token_path"`
	// ClientsPath takes the POST; its slash at the end matters.
	ClientsPath string `toml:"clients_path"`
}

// UserTokens says where a person's tokens are, beside KeyLoginPath, which finds one or makes the first.
type UserTokens struct {
	// CreatePath makes one more, ListPath lists them.
	CreatePath string `toml:"create_path"`
	ListPath   string `toml:"list_path"`
	// Page is where a person sees and deletes them.
	Page string `toml:"page"`
	// Lifetime is how long a token lives, in seconds.
	Lifetime int64 `toml:"lifetime"`
}

// At returns the provider on another host: the same paths, and the issuer's, below authServer. The resources that were
// on its host come along, and others stay unless it is [Provider.SelfManaged]. An empty authServer changes nothing.
func (p Provider) At(authServer string) Provider {
	if authServer == "" {
		return p
	}
	was, resources := p.AuthServer, p.Resources
	p.AuthServer, p.Resources = strings.TrimSuffix(authServer, "/"), nil
	for _, r := range resources {
		switch {
		case r == was:
			p.Resources = append(p.Resources, p.AuthServer)
		case !p.SelfManaged:
			p.Resources = append(p.Resources, r)
		}
	}
	p.Issuer = p.AuthServer + path(p.Issuer)
	for _, at := range []*string{
		&p.TokenPath, &p.DevicePath, &p.AuthorizePath, &p.PARPath, &p.RevokePath, &p.UserinfoPath, &p.KeyLoginPath,
	} {
		if strings.Contains(*at, "://") {
			*at = path(*at)
		}
	}
	return p
}

// path returns the part of a URL after its origin.
func path(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

// URL returns the address of one of the provider's paths, or nothing for none.
func (p Provider) URL(path string) string {
	if path == "" || strings.Contains(path, "://") {
		return path
	}
	return p.AuthServer + path
}

// Lookup returns the provider of a name.
func Lookup(name string) (Provider, bool) {
	p, ok := all()[name]
	return p, ok
}

// Names returns every provider's name in order.
func Names() []string {
	var names []string
	for name := range all() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

//go:embed *.toml
var files embed.FS

// all parses the files on first use. A test finds a file that cannot be parsed.
var all = sync.OnceValue(func() map[string]Provider {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err)
	}
	providers := make(map[string]Provider, len(entries)) // :: name → provider
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".toml")
		b, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		if providers[name], err = parse(name, b); err != nil {
			panic(err)
		}
	}
	return providers
})

// parse reads one file. An unknown key is an error.
func parse(name string, b []byte) (Provider, error) {
	var p Provider
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&p); err != nil {
		return Provider{}, fmt.Errorf("preset %s: %w", name, err)
	}
	p.Name = name
	return p, nil
}
