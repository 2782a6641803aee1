package login

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

// configure finds out what the profile will be, how it signs in, and where, by the configuration as it is on the disk
// now.
func (l *Login) configure() error {
	if err := l.logins.Profiles.Reload(); err != nil {
		return err
	}
	if broken := l.logins.Profiles.Broken(l.params.Profile); broken != nil {
		return broken
	}
	if err := l.checkFleet(); err != nil {
		return err
	}
	if err := l.readStored(); err != nil {
		return err
	}
	l.keepEphemeral()
	l.nameProvider()
	p, server, err := l.describeProfile()
	if err != nil {
		return err
	}
	if was := l.logins.Profiles.Named(p.Name); was != nil && was.Fleet {
		p.Fleet = true // also where the sign-in says everything anew
	}
	if l.kind != grant.ByJWTBearer && l.params.TargetAudience == "" {
		p.TargetAudience = "" // of the key that the profile had before
	}
	if err := l.agreeOnHosts(&p, server); err != nil {
		return err
	}
	if err := l.agreeOnAPIs(&p); err != nil {
		return err
	}
	if was := l.logins.Profiles.Named(p.Name); was != nil && profile.Same(was.Profile, p) &&
		was.Ephemeral == l.params.Ephemeral {
		l.profile = was
	} else if l.profile, err = l.logins.Profiles.Resolve(p); err != nil {
		return protocol.InvalidParams("%s", err)
	}
	if l.params.Ephemeral && !l.profile.Ephemeral {
		l.profile.Ephemeral = true
	}
	l.endpoint = l.profile.Endpoint
	if server != nil {
		l.endpoint = l.endpoint.With(*server)
	}
	return nil
}

// nameProvider names the provider that a new profile is named like, where no other server is named.
func (l *Login) nameProvider() {
	q := &l.params
	_, known := preset.Lookup(q.Profile)
	elsewhere := q.Provider + q.Issuer + q.TokenURL + q.Backend
	if known && elsewhere == "" && l.logins.Profiles.Named(q.Profile) == nil {
		q.Provider = q.Profile
	}
}

// keepEphemeral keeps a profile in memory that was there, and tells the person: it becomes one of a file only where its
// server is named anew.
func (l *Login) keepEphemeral() {
	was := l.logins.Profiles.Named(l.params.Profile)
	if was == nil || !was.Ephemeral || l.params.Ephemeral || l.importing != "" {
		return
	}
	if q := l.params; q.Provider == "" && q.Issuer == "" && q.TokenURL == "" && q.Backend == "" {
		l.params.Ephemeral = true
		l.notice(fmt.Sprintf("Profile %s stays in memory only, and is gone when groatd ends.", was.Name))
		return
	}
	l.notice(fmt.Sprintf("Profile %s was in memory only; this sign-in is kept. --ephemeral keeps it in memory.",
		was.Name))
}

// describeProfile turns the parameters into the profile's configuration and the kind of sign-in; server is what a
// discovered one says of itself, else nil. A profile that exists keeps what was not said anew.
func (l *Login) describeProfile() (p config.Profile, server *grant.Server, err error) {
	q := l.params
	p = config.Profile{
		Name: q.Profile, Provider: q.Provider, AuthServer: q.AuthServer, Grant: q.Grant, ClientAuth: q.ClientAuth,
		Scope: strings.Join(strings.Fields(q.Scope), " "), Audience: q.Audience, Header: q.Header, Prefix: q.Prefix,
		Redirect: q.Redirect, AssertionAudience: q.AssertionAudience, Basic: q.Basic,
		AuthorizationEndpoint: q.AuthorizationEndpoint, DeviceEndpoint: q.DeviceEndpoint, PAREndpoint: q.PAREndpoint,
		RevocationEndpoint: q.RevocationEndpoint, UserinfoEndpoint: q.UserinfoEndpoint, PAR: q.PAR,
		AssertionFile: q.AssertionFile, ResourceIndicator: q.ResourceIndicator, TargetAudience: q.TargetAudience,
		WiderScope: q.WiderScope, StrictScope: q.StrictScope, Fleet: q.Fleet,
	}
	if err := l.checkAddresses(); err != nil {
		return p, nil, err
	}
	if known, ok := preset.Lookup(q.Provider); ok && known.Backend != "" || q.Backend != "" {
		return l.atBackend(p)
	}
	if err := checkWords(q); err != nil {
		return p, nil, err
	}
	named := 0
	for _, s := range []string{q.Provider, q.Issuer, q.TokenURL} {
		if s != "" {
			named++
		}
	}
	was := l.logins.Profiles.Named(q.Profile)
	if was != nil {
		p.StrictScope = p.StrictScope || was.StrictScope // no login takes a restriction away
	}
	switch {
	case q.AuthServer != "" && q.Provider == "" && (named > 0 || was == nil || was.Provider == ""):
		return p, nil, protocol.InvalidParams(
			"--auth-server goes with --provider: it is another host with that provider's paths")
	case named > 1:
		return p, nil, protocol.InvalidParams(
			"name one of a provider, an issuer and a token URL (--provider, --issuer, --token-url)")
	case named == 0 && was == nil:
		return p, nil, noServerError()
	case named == 0:
		p = merged(was.Profile, p)
	}
	if err := l.setKeys(&p); err != nil {
		return p, nil, err
	}
	if named > 0 && p.Grant == "" && p.Provider == "" { // an endpoint says which grant it is for
		switch {
		case q.DeviceEndpoint != "" && (q.AuthorizationEndpoint == "" || q.NoBrowser):
			p.Grant = string(grant.ByDeviceCode)
		case q.AuthorizationEndpoint != "":
			p.Grant = string(grant.ByAuthorizationCode)
		}
	}
	if q.AssertionFile != "" && p.ClientAuth == "" && p.Provider == "" {
		p.ClientAuth = string(grant.PrivateKeyJWT)
		if p.Kind() == grant.ByJWTBearer {
			p.ClientAuth = string(grant.None) // RFC 7523 §2.1: the assertion is all there is
		}
	}
	switch {
	case p.Backend != "" && p.Kind().Interactive():
		return l.fromBackend(p)
	case p.Provider != "":
		return l.fromProvider(p)
	case q.Issuer != "":
		return l.discover(p, q.Issuer)
	case q.TokenURL != "":
		return l.fromTokenURL(p)
	case p.Kind().Interactive() && (p.Discovered || !byHand(p)):
		return l.discover(p, p.Issuer) // the configuration does not keep where a person signs in
	}
	l.kind = p.Kind()
	return p, nil, nil
}

// noServerError is the refusal of a profile whose server is not known.
func noServerError() error {
	e := protocol.InvalidParams("a new profile needs a provider, an issuer or a token URL")
	e.Data = &protocol.ErrorData{Hint: "groat login", Missing: []string{"provider", "issuer"}}
	return e
}

// checkWords refuses a parameter whose value is none of its words.
func checkWords(q protocol.LoginParams) error {
	for _, w := range []struct {
		flag, said string
		words      []string
	}{
		{"basic", q.Basic, []string{config.BasicRaw, config.BasicForm}},
		{"par", q.PAR, []string{config.PARAlways, config.PARNever}},
	} {
		if w.said != "" && !slices.Contains(w.words, w.said) {
			return protocol.InvalidParams("--%s is %s", w.flag, strings.Join(w.words, " or "))
		}
	}
	if err := grant.Audience(q.AssertionAudience).Check(); err != nil {
		return protocol.InvalidParams("--assertion-audience: %s", err)
	}
	if q.ResourceIndicator != "" {
		if err := grant.CheckResource(q.ResourceIndicator); err != nil {
			return protocol.InvalidParams("--resource-indicator: %s", err)
		}
	}
	if q.TargetAudience != "" {
		if err := grant.CheckTargetAudience(q.TargetAudience); err != nil {
			return protocol.InvalidParams("--target-audience: %s", err)
		}
	}
	if q.Grant != "" && !slices.Contains(grant.Kinds(), grant.Kind(q.Grant)) {
		return protocol.InvalidParams("there is no grant %q; there are %s", q.Grant, grant.KindNames())
	}
	return nil
}

// byHand reports whether the configuration keeps where a person signs in.
func byHand(p config.Profile) bool {
	return p.Kind() == grant.ByDeviceCode && p.DeviceEndpoint != "" ||
		p.Kind() == grant.ByAuthorizationCode && p.AuthorizationEndpoint != ""
}

// merged is a profile as it was with what a new login says of it.
func merged(was, now config.Profile) config.Profile {
	for _, f := range []struct{ old, new *string }{
		{&was.AuthServer, &now.AuthServer}, {&was.Grant, &now.Grant}, {&was.ClientAuth, &now.ClientAuth},
		{&was.Scope, &now.Scope},
		{&was.Audience, &now.Audience}, {&was.Header, &now.Header}, {&was.Redirect, &now.Redirect},
		{&was.AssertionAudience, &now.AssertionAudience}, {&was.Basic, &now.Basic},
		{&was.AuthorizationEndpoint, &now.AuthorizationEndpoint}, {&was.DeviceEndpoint, &now.DeviceEndpoint},
		{&was.AssertionFile, &now.AssertionFile}, {&was.ResourceIndicator, &now.ResourceIndicator},
		{&was.TargetAudience, &now.TargetAudience},
		{&was.PAREndpoint, &now.PAREndpoint}, {&was.PAR, &now.PAR},
		{&was.RevocationEndpoint, &now.RevocationEndpoint}, {&was.UserinfoEndpoint, &now.UserinfoEndpoint},
	} {
		if *f.new != "" {
			*f.old = *f.new
		}
	}
	was.Fleet = was.Fleet || now.Fleet
	was.WiderScope, was.StrictScope = was.WiderScope || now.WiderScope, was.StrictScope || now.StrictScope
	if now.Prefix != nil {
		was.Prefix = now.Prefix
	}
	return was
}

// fromProvider chooses among the grants that a provider offers.
func (l *Login) fromProvider(p config.Profile) (config.Profile, *grant.Server, error) {
	provider, ok := preset.Lookup(p.Provider)
	if !ok {
		e := protocol.InvalidParams("there is no provider %q; there are %s", p.Provider,
			strings.Join(preset.Names(), ", "))
		e.Data = &protocol.ErrorData{Hint: "groat login", Missing: []string{"provider", "issuer"}}
		if name := config.Nearest(p.Provider, preset.Names()); name != "" {
			e.Message = fmt.Sprintf("there is no provider %q; did you mean %s?", p.Provider, name)
			e.Data.Hint = l.tryAgain("--provider " + visible.Word(name))
		}
		return p, nil, e
	}
	l.kind = l.chooseKind(p, provider)
	if !slices.Contains(provider.Grants, string(l.kind)) {
		return p, nil, protocol.InvalidParams("%s does not offer the grant %s; it has %s", provider.Title, l.kind,
			strings.Join(provider.Grants, ", "))
	}
	p.Grant = string(l.kind)
	if p.Grant == provider.Grants[0] {
		p.Grant = "" // the preset's default need not be written down
	}
	if provider.Deprecated != "" {
		l.notice(provider.Deprecated)
	}
	return p, nil, nil
}

// chooseKind picks the way to sign in from those that a provider offers, by what was named. A client id alone is a
// machine's, unless the provider's people need one of their own too.
func (l *Login) chooseKind(p config.Profile, provider preset.Provider) grant.Kind {
	offered := provider.Grants
	first := func(kinds ...grant.Kind) grant.Kind {
		for _, o := range offered {
			if slices.Contains(kinds, grant.Kind(o)) {
				return grant.Kind(o)
			}
		}
		return ""
	}
	persons := len(offered) > 0 && grant.Kind(offered[0]).Interactive() && provider.For(offered[0]).ClientID == ""
	var k grant.Kind
	switch {
	case p.Grant != "":
		return grant.Kind(p.Grant)
	case l.params.Username != "":
		k = first(grant.ByAppCredentials, grant.ByKeyLogin, grant.ByPassword)
	case l.params.Key != "":
		k = first(grant.ByJWTBearer, grant.ByClientCredentials)
	case l.params.ClientID != "" && l.params.ClientAuth != string(grant.None) && (!persons || l.params.Secret):
		k = first(grant.ByClientCredentials)
	}
	if k == "" && l.params.NoBrowser {
		k = first(grant.ByDeviceCode)
	}
	if k == "" && len(offered) > 0 {
		k = grant.Kind(offered[0])
	}
	return k
}

// discover asks a server what it is. A client with a secret signs in by itself; a public one is a person's.
func (l *Login) discover(p config.Profile, issuer string) (config.Profile, *grant.Server, error) {
	found, err := grant.Discover(l.ctx, l.logins.HTTP, issuer, grant.Method(p.ClientAuth))
	if err != nil {
		return p, nil, err
	}
	l.mayPost = p.ClientAuth == "" && found.MayPost
	switch l.kind = grant.Kind(p.Grant); {
	case l.kind != "":
	case found.ClientAuth == grant.None && l.params.NoBrowser && slices.Contains(found.Grants, grant.ByDeviceCode):
		l.kind = grant.ByDeviceCode
	case found.ClientAuth == grant.None && len(found.Grants) > 0:
		l.kind = found.Grants[0]
	default:
		l.kind = grant.ByClientCredentials
	}
	if l.kind == grant.ByPassword && !slices.Contains(found.Grants, l.kind) { // typed: the list may be incomplete
		found.Grants = append(found.Grants, l.kind)
	}
	p.Issuer, p.TokenEndpoint, p.ClientAuth = found.Issuer, found.TokenEndpoint, string(found.ClientAuth)
	if l.params.Set[introspectionEndpoint] == "" {
		p.IntrospectionEndpoint = ""
	}
	if l.params.UserinfoEndpoint == "" {
		p.UserinfoEndpoint = found.Userinfo
	}
	if l.params.RevocationEndpoint == "" {
		p.RevocationEndpoint = ""
	}
	if l.kind.Session() {
		if l.params.RevocationEndpoint == "" {
			p.RevocationEndpoint = found.RevocationEndpoint
		}
		if p.IntrospectionEndpoint == "" && origin.Of(found.IntrospectionEndpoint) == origin.Of(found.TokenEndpoint) {
			p.IntrospectionEndpoint = found.IntrospectionEndpoint
		}
	}
	if l.kind != grant.ByClientCredentials {
		p.Grant = string(l.kind)
	}
	// A profile from before that says nothing keeps the audience that it had.
	if method := grant.Method(p.ClientAuth); l.params.Issuer != "" || l.params.Backend != "" {
		p.Discovered = method.Signs() || l.kind == grant.ByJWTBearer || byHand(p)
	}
	found.ByIssuer = p.Discovered
	p.Adjust(&found.Server)
	return p, &found.Server, nil
}

// fromTokenURL takes a token endpoint at its word.
func (l *Login) fromTokenURL(p config.Profile) (config.Profile, *grant.Server, error) {
	if err := origin.CheckURL(l.params.TokenURL, "the token URL"); err != nil {
		return p, nil, protocol.InvalidParams("%s", err)
	}
	u, err := url.Parse(l.params.TokenURL)
	if err != nil {
		return p, nil, protocol.InvalidParams("the token URL cannot be read")
	}
	p.TokenEndpoint, p.Issuer = l.params.TokenURL, u.Scheme+"://"+u.Host
	switch {
	case p.ClientAuth != "":
	case p.Kind() == grant.ByJWTBearer:
		p.ClientAuth = string(grant.None) // RFC 7523 §2.1: the assertion is all there is
	default:
		l.mayPost = true
		p.ClientAuth = string(grant.ClientSecretBasic) // RFC 6749 §2.3.1: the one that every server must support
	}
	l.kind = p.Kind()
	return p, nil, nil
}

// save writes the profile's configuration, if it has changed, and loads it.
func (l *Login) save() error {
	was := l.logins.Profiles.Named(l.profile.Name)
	saved, changed, err := l.logins.Profiles.Save(l.profile)
	if saved && err == nil {
		l.saved, l.changed = true, changed
		l.tellShared(was)
	}
	return err
}

// tellShared says that another profile lists an API that this one lists from now on: a request for it does not say any
// more which of them it is for.
func (l *Login) tellShared(was *profile.Profile) {
	for other := range l.logins.Profiles.Snapshot().All() {
		for _, api := range l.profile.APIs {
			if other.Name == l.profile.Name || !slices.Contains(other.APIs, api) ||
				was != nil && slices.Contains(was.APIs, api) {
				continue
			}
			l.notice(fmt.Sprintf("Profile %s lists %s too, so that whoever asks for it must name one of them.",
				other.Name, origin.WithoutPort(api)))
			return
		}
	}
}
