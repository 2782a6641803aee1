package login

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// atBackend is a sign-in at an openEO back end that was named now, or whose preset was.
func (l *Login) atBackend(p config.Profile) (config.Profile, *grant.Server, error) {
	q, was := l.params, l.logins.Profiles.Named(l.params.Profile)
	if q.TokenURL != "" || q.AuthServer != "" {
		return p, nil, protocol.InvalidParams("an openEO back end says itself where to sign in: --backend goes with " +
			"neither --token-url nor --auth-server")
	}
	if q.Provider != "" && q.Provider != openEO {
		return p, nil, protocol.InvalidParams("--backend goes with no provider but %s", openEO)
	}
	p.Provider, p.Backend = "", q.Backend
	if was != nil {
		p.Backend, p.StrictScope = cmp.Or(p.Backend, was.Backend), p.StrictScope || was.StrictScope
		if p.Backend == was.Backend {
			p.Issuer = was.Issuer
		}
	}
	if p.Backend == "" {
		return p, nil, l.missingError("name the openEO back end with --backend", "--backend URL")
	}
	return l.fromBackend(p)
}

// openEO is the name of the preset of all back ends.
const openEO = "openeo"

// fromBackend asks an openEO back end where its people sign in, and discovers the server that it names: the one that a
// person has named or signed in at before, else the first. The back end's public client is used where a person has
// none. The back end's API is named as if by --api, after a question where it is on another host.
func (l *Login) fromBackend(p config.Profile) (config.Profile, *grant.Server, error) {
	found, err := grant.DiscoverOpenEO(l.ctx, l.logins.HTTP, p.Backend)
	if err != nil {
		return p, nil, err
	}
	provider := found.Providers[0]
	switch issuer := cmp.Or(l.params.Issuer, p.Issuer); {
	case issuer != "":
		if provider, err = found.Named(issuer); err != nil {
			e := protocol.InvalidParams("%s", err)
			e.Data = &protocol.ErrorData{Hint: l.tryAgain("--backend " + visible.Word(p.Backend) + " --issuer " +
				visible.Word(found.Providers[0].Issuer))}
			return p, nil, e
		}
	case len(found.Providers) > 1:
		var others []string
		for _, other := range found.Providers[1:] {
			others = append(others, visible.Name(other.Issuer))
		}
		l.notice(fmt.Sprintf("The sign-in is at %s, the first that %s lists. --issuer chooses another: %s.",
			visible.Name(provider.Issuer), host(p.Backend), strings.Join(others, ", ")))
	}
	if err := l.agreeOnBackendAPI(found.API, p.Backend, provider.Issuer); err != nil {
		return p, nil, err
	}
	client, pkce, err := l.backendClient(&p, provider)
	if err != nil {
		return p, nil, err
	}
	if kind := grant.Kind(p.Grant); p.Scope == "" && (client != "" || kind.Interactive()) {
		p.Scope = strings.Join(provider.Scopes, " ")
	}
	p.TokenPrefix = provider.OpenEOTokenPrefix()
	p, server, err := l.discover(p, provider.Issuer)
	if err != nil {
		return p, nil, err
	}
	server.ClientID, server.DevicePKCE = client, pkce
	return p, server, nil
}

// agreeOnBackendAPI makes sure that a person knows the host of a back end's API, which gets the issuer's tokens, and
// adds it to those that are named.
func (l *Login) agreeOnBackendAPI(api, backend, issuer string) error {
	o := origin.Of(api)
	known, err := resourcesOf(l.params.Resources)
	if err != nil {
		return nil // said where the named ones are read
	}
	if l.current != nil && l.current.Issuer == issuer { // what another server's tokens may do was not agreed to
		known = append(known, l.current.APIs...)
	}
	long, err := origin.WithPort(o)
	if err != nil {
		return protocol.InvalidParams("%s", err)
	}
	switch {
	case covered(long, known):
	case o == origin.Of(backend) && l.params.Backend != "":
	default:
		refusal := protocol.NewError(protocol.Config, fmt.Sprintf("%s says that its API is at %s, which would receive "+
			"access tokens; nothing was asked or sent", host(backend), o), l.tryAgain("--api "+visible.Word(o)))
		if err := l.confirm(fmt.Sprintf("%s says that its API is at %s, which would receive access tokens. Go on?",
			host(backend), o), refusal); err != nil {
			return err
		}
	}
	l.params.Resources = union(l.params.Resources, o)
	return nil
}

// backendClient chooses the back end's public client and with it the way to sign in, unless a person has named a
// client, or the profile has one that proves itself. It returns an empty client then.
func (l *Login) backendClient(p *config.Profile, provider grant.OpenEOProvider) (client string, pkce bool, err error) {
	old := l.current
	if l.params.ClientID != "" || old != nil && old.Issuer == provider.Issuer && old.ClientAuth != string(grant.None) {
		return "", false, nil
	}
	kinds := []grant.Kind{grant.ByDeviceCode, grant.ByAuthorizationCode}
	switch {
	case p.Grant != "":
		kinds = []grant.Kind{grant.Kind(p.Grant)}
	case l.params.NoBrowser:
		kinds = kinds[:1]
	}
	for _, kind := range kinds {
		c, pkce, redirect, ok := provider.Client(kind)
		if !ok {
			continue
		}
		p.Grant, p.ClientAuth = string(kind), string(grant.None)
		p.Redirect = cmp.Or(p.Redirect, redirect)
		if old != nil && old.Issuer == provider.Issuer && !slices.ContainsFunc(provider.Clients,
			func(c grant.OpenEOClient) bool { return c.ID == old.ClientID }) {
			l.freshClient = c.ID
		}
		return c.ID, pkce, nil
	}
	return "", false, l.missingError(fmt.Sprintf("%s lists no public client that can sign in by %s: name one of your "+
		"own", host(p.Backend), kinds[0]), "--client-id ID")
}
