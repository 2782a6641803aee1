package grant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
)

// FromPreset returns the server of a provider for one grant; an empty kind is the provider's default. authServer, if
// not empty, is another host with the same paths (staging, a sandbox) and must be an origin: scheme, host and port. A
// kind that the provider does not offer is an error that wraps [ErrNotOffered].
func FromPreset(p preset.Provider, authServer string, kind Kind) (Server, error) {
	if err := origin.Check(authServer, "the authorization server"); authServer != "" && err != nil {
		return Server{}, err
	}
	if kind == "" && len(p.Grants) > 0 {
		kind = Kind(p.Grants[0])
	}
	if kind != "" && !slices.Contains(p.Grants, string(kind)) {
		return Server{}, fmt.Errorf("%w: %s has %s", ErrNotOffered, p.Title, strings.Join(p.Grants, ", "))
	}
	p = p.At(authServer)
	how := p.For(string(kind))
	s := Server{
		Issuer:        p.Issuer,
		TokenEndpoint: p.URL(p.TokenPath),
		ClientAuth:    Method(how.ClientAuth),
		RefreshAuth:   Method(how.RefreshAuth),

		PresetRefreshAuth: Method(how.RefreshAuth),

		PlainBasic: p.PlainBasic,

		AssertionAudience:  Audience(p.AssertionAudience),
		AssertionLife:      time.Duration(p.AssertionLife) * time.Second,
		AssertionNotBefore: p.AssertionNotBefore,
		ScopeInAssertion:   p.ScopeInAssertion,
		WiderScope:         p.WiderScope,

		ClientID: how.ClientID, Scope: how.Scopes, Audience: how.Audience, SessionScope: how.SessionScopes,
		DeviceEndpoint:     p.URL(p.DevicePath),
		AuthorizeEndpoint:  p.URL(p.AuthorizePath),
		PAREndpoint:        p.URL(p.PARPath),
		RevocationEndpoint: p.URL(p.RevokePath),
		RequirePAR:         p.RequirePAR, IssInRedirect: p.IssInRedirect, RevokeJSON: p.RevokeJSON,
		AuthorizeParams: p.AuthorizeParams, Redirect: how.Redirect,
		Userinfo: p.URL(p.UserinfoPath), KeyLogin: p.URL(p.KeyLoginPath),
	}
	if kind == ByPassword {
		s.SecondFactor = p.SecondFactor
	}
	if kind.Session() {
		s.TokensLast = p.TokensLast
		s.RefreshEndsTokens, s.KeepSession = p.RefreshEndsTokens, p.KeepSession
		s.SessionIdle = time.Duration(p.SessionIdle) * time.Second
		s.SessionAbsolute = time.Duration(p.SessionAbsolute) * time.Second
	}
	for _, g := range p.Grants {
		s.Grants = append(s.Grants, Kind(g))
	}
	if p.Header != nil {
		s.Header = &Header{Name: p.Header.Name, Prefix: p.Header.Prefix}
	}
	if apps := p.AppCredentials; apps != nil {
		s.Apps = &AppCredentials{
			FirstToken:         FirstTokenMethod(apps.FirstToken),
			FirstTokenEndpoint: p.AuthServer + apps.FirstTokenPath,
			ClientsEndpoint:    p.AuthServer + apps.ClientsPath,
		}
	}
	if u := p.UserTokens; u != nil {
		s.UserTokens = &UserTokens{Create: p.URL(u.CreatePath), List: p.URL(u.ListPath), Page: u.Page,
			Lifetime: time.Duration(u.Lifetime) * time.Second}
	}
	if authServer == "" {
		for _, a := range s.addresses()[1:] { // the issuer is a name
			if o := origin.Of(a.url); o != "" && !slices.Contains(s.PresetOrigins, o) {
				s.PresetOrigins = append(s.PresetOrigins, o)
			}
		}
	}
	return s, s.Check()
}
