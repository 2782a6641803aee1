// Package preset holds what is known about providers, as data: one embedded TOML file each, with the source beside each
// value. The invariant: a provider is never a type or a branch in the code; what differs between two providers is a
// value here. It sends nothing and checks no URL: package grant does both.
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

// Provider is one provider's data. It is a copy: changing it changes nothing for others, but for the slices, which are
// to be left alone.
type Provider struct {
	// Name is the file's name: what people give to --provider.
	Name  string `toml:"-"`
	Title string `toml:"title"`
	// AuthServer is the origin that every path below belongs to; Issuer is what its tokens call it.
	AuthServer string `toml:"auth_server"`
	Issuer     string `toml:"issuer"`
	TokenPath  string `toml:"token_path"`
	// ClientAuth is a token_endpoint_auth_method (RFC 7591 §2).
	ClientAuth string `toml:"client_auth"`
	// PlainBasic: HTTP Basic without the form-encoding of RFC 6749 §2.3.1.
	PlainBasic   bool   `toml:"plain_basic"`
	UserinfoPath string `toml:"userinfo_path"`
	// Resources are the origins that are called with a token; never the token's aud.
	Resources []string `toml:"resources"`
	// ClientsPermanent: whatever client is created stays for ever.
	ClientsPermanent bool `toml:"clients_permanent"`
	// Notes are sentences for people who sign in.
	Notes []string `toml:"notes"`
	// AppCredentials is nil where a password cannot be turned into a client.
	AppCredentials *AppCredentials `toml:"app_credentials"`
}

// AppCredentials is how a person's password becomes a client.
type AppCredentials struct {
	// FirstToken is "basic_get" or "password".
	FirstToken     string `toml:"first_token"`
	FirstTokenPath string `toml:"first_token_path"`
	// ClientsPath takes the POST; its slash at the end matters.
	ClientsPath string `toml:"clients_path"`
}

// At returns the provider on another host: the same paths below authServer, which is its issuer too. An empty authServer
// changes nothing.
func (p Provider) At(authServer string) Provider {
	if authServer != "" {
		p.AuthServer = strings.TrimSuffix(authServer, "/")
		p.Issuer = p.AuthServer
	}
	return p
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

// all parses on first use. A file that cannot be parsed is a mistake of the build that a test finds.
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

// parse refuses a key that it does not know.
func parse(name string, b []byte) (Provider, error) {
	var p Provider
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&p); err != nil {
		return Provider{}, fmt.Errorf("preset %s: %w", name, err)
	}
	p.Name = name
	return p, nil
}
