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
// none. The back end's API is named as if by --api, after a question where the person has not named all of it.
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
	client, pkce, err := l.backendClient(&p, provider)
	if err != nil {
		return p, nil, err
	}
	if kind := grant.Kind(p.Grant); p.Scope == "" && (client != "" || kind.Interactive()) {
		p.Scope = strings.Join(provider.Scopes, " ")
	}
	as := client
	if as == "" && l.params.ClientID == "" && l.current != nil {
		as = l.current.ClientID
	}
	if err := l.agreeOnBackend(found.API, p, provider.Issuer, as); err != nil {
		return p, nil, err
	}
	p.TokenPrefix = provider.OpenEOTokenPrefix()
	p, server, err := l.discover(p, provider.Issuer)
	if err != nil {
		return p, nil, err
	}
	server.ClientID, server.DevicePKCE = client, pkce
	return p, server, nil
}

// agreeOnBackend makes sure that a person knows who gains what: a back end chooses the issuer, the client and the
// scope, and its API gets the tokens. Nothing is asked where the stored credential is for that API, or where the person
// named the issuer and the API: by their addresses, or by one that they are below. The API is added to those that are
// named.
func (l *Login) agreeOnBackend(api string, p config.Profile, issuer, client string) error {
	q := l.params
	gets, err := origin.Resource(api)
	if err != nil {
		return protocol.InvalidParams("%s", err)
	}
	named, err := resourcesOf(q.Resources)
	if err != nil {
		return nil // said where the named ones are read
	}
	stored := l.current != nil && l.current.Issuer == issuer
	if below, err := origin.Resource(strings.TrimSuffix(q.Backend, "/")); err == nil && !stored {
		named = append(named, below) // a stored session may be for more than the back end
	}
	l.params.Resources = union(q.Resources, origin.WithoutPort(gets))
	if stored && covered(gets, l.current.APIs) ||
		covered(gets, named) && (stored || q.Issuer != "" || origin.Of(issuer) == origin.Of(api)) {
		return nil
	}
	l.params.Issuer = issuer // agreed to by then
	says := fmt.Sprintf("%s signs people in at %s", host(p.Backend), visible.Name(issuer))
	if client != "" {
		says += " as client " + visible.Name(client)
	}
	if p.Scope != "" {
		says += " for the scope " + visible.Quote(p.Scope)
	}
	says += ", and its API " + visible.Name(origin.WithoutPort(gets)) + " would receive the access tokens"
	hint := l.tryAgain("--issuer " + visible.Word(issuer) + " --api " + visible.Word(origin.WithoutPort(gets)))
	if len(says) > maxQuestion { // a terminal would cut off the host that matters
		return protocol.NewError(protocol.Config, host(p.Backend)+" names an issuer, a client, a scope or an API "+
			"that is too long to be shown; nothing was asked or sent", hint)
	}
	return l.confirm(says+". Go on?", protocol.NewError(protocol.Config, says+"; nothing was asked or sent", hint))
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
