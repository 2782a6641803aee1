package daemon

import (
	"fmt"
	"net/url"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
)

// configure turns the parameters into the profile's configuration. A profile that exists keeps what was not said anew.
func (l *login) configure() (config.Profile, error) {
	q := l.params
	p := config.Profile{
		Name: q.Profile, Provider: q.Provider, AuthServer: q.AuthServer, ClientAuth: q.ClientAuth,
		Scope: q.Scope, Audience: q.Audience, Resources: q.Resources,
	}
	named := 0
	for _, s := range []string{q.Provider, q.Issuer, q.TokenURL} {
		if s != "" {
			named++
		}
	}
	switch was := l.d.profiles.Load().byName[q.Profile]; {
	case named > 1:
		return p, protocol.InvalidParams("name one of a provider, an issuer and a token URL")
	case named == 0 && was == nil:
		return p, l.missing("a new profile needs a provider, an issuer or a token URL", "--provider …")
	case named == 0:
		return merged(was.Profile, p), nil
	case q.Issuer != "":
		return l.discover(p)
	case q.TokenURL != "":
		return l.byTokenURL(p)
	}
	return p, nil
}

// merged is a profile as it was with what a new login says of it.
func merged(was, now config.Profile) config.Profile {
	for _, f := range []struct{ old, new *string }{
		{&was.AuthServer, &now.AuthServer}, {&was.ClientAuth, &now.ClientAuth}, {&was.Scope, &now.Scope}, {&was.Audience, &now.Audience},
	} {
		if *f.new != "" {
			*f.old = *f.new
		}
	}
	if now.Resources != nil {
		was.Resources = now.Resources
	}
	return was
}

func (l *login) discover(p config.Profile) (config.Profile, error) {
	server, err := grant.Discover(l.ctx, l.d.HTTP, l.params.Issuer, grant.Method(l.params.ClientAuth))
	if err != nil {
		return p, err
	}
	if server.OtherOrigin != "" {
		l.tell(fmt.Sprintf("%s says that its tokens come from %s: the client secret will be used there", server.Issuer, server.OtherOrigin))
	}
	p.Issuer, p.TokenEndpoint, p.ClientAuth = server.Issuer, server.TokenEndpoint, string(server.ClientAuth)
	p.UserinfoEndpoint = server.Userinfo
	return p, nil
}

func (l *login) byTokenURL(p config.Profile) (config.Profile, error) {
	if err := grant.CheckURL(l.params.TokenURL, "the token URL"); err != nil {
		return p, protocol.InvalidParams("%s", err)
	}
	u, err := url.Parse(l.params.TokenURL)
	if err != nil {
		return p, protocol.InvalidParams("the token URL cannot be read")
	}
	p.TokenEndpoint, p.Issuer = l.params.TokenURL, u.Scheme+"://"+u.Host
	if p.ClientAuth == "" {
		p.ClientAuth = string(grant.ClientSecretBasic) // RFC 6749 §2.3.1: the one that every server must support
	}
	return p, nil
}

// adopt makes the configuration what was proven, and hands the first token out from now on.
func (l *login) adopt(t grant.Token) error {
	if err := l.save(); err != nil {
		return err
	}
	if p := l.d.profiles.Load().byName[l.params.Profile]; p != nil {
		l.d.broker.Install(p.Name, l.d.source(p), t)
	}
	return nil
}

// savable makes sure, before a person types anything, that the outcome could be kept.
func (l *login) savable() error {
	was := l.d.profiles.Load().byName[l.params.Profile]
	if was != nil && same(was.Profile, l.profile.Profile) {
		return nil
	}
	if was != nil && !l.d.Config.Wrote(was.Profile) {
		return &config.Error{File: was.File, Line: was.Line, Hint: "change it there, then: groat login " + was.Name,
			Message: fmt.Sprintf("profile %q is described here, in a file that groat never writes", was.Name)}
	}
	return l.d.Config.Writable()
}

// save writes the profile's configuration, if it has changed, and loads it.
func (l *login) save() error {
	l.d.loading.Lock()
	defer l.d.loading.Unlock()
	was := l.d.profiles.Load().byName[l.params.Profile]
	if was != nil && same(was.Profile, l.profile.Profile) {
		return nil
	}
	if err := l.d.Config.Save(l.profile.Profile); err != nil {
		return err
	}
	return l.d.reload(l.profile)
}
