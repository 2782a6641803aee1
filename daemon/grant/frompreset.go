package grant

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
)

// Check says why the server cannot be used: an address that [CheckURL] refuses, or a method that is not supported.
func (s Server) Check() error {
	for _, u := range s.addresses() {
		if err := CheckURL(u.url, u.what); err != nil {
			return err
		}
	}
	switch s.ClientAuth {
	case ClientSecretBasic, ClientSecretPost, ClientSecretJWT:
	default:
		return fmt.Errorf("client authentication %q is not one of %s, %s, %s", s.ClientAuth, ClientSecretBasic, ClientSecretPost, ClientSecretJWT)
	}
	if s.Apps != nil && s.Apps.FirstToken != BasicGET && s.Apps.FirstToken != PasswordGrant {
		return fmt.Errorf("first token %q is not one of %s, %s", s.Apps.FirstToken, BasicGET, PasswordGrant)
	}
	return nil
}

type address struct{ url, what string }

func (s Server) addresses() []address {
	all := []address{{s.Issuer, "the issuer"}, {s.TokenEndpoint, "the token endpoint"}}
	if s.Userinfo != "" {
		all = append(all, address{s.Userinfo, "the userinfo endpoint"})
	}
	if s.Apps != nil {
		all = append(all, address{s.Apps.FirstTokenEndpoint, "the endpoint for the first token"}, address{s.Apps.ClientsEndpoint, "the endpoint for App Credentials"})
	}
	return all
}

// FromPreset resolves a provider to a server; authServer, if not empty, is another host with the same paths (staging, a
// sandbox) and must be an origin: scheme, host and port.
func FromPreset(p preset.Provider, authServer string) (Server, error) {
	if err := checkOrigin(authServer, "the authorization server"); authServer != "" && err != nil {
		return Server{}, err
	}
	p = p.At(authServer)
	s := Server{
		Issuer:        p.Issuer,
		TokenEndpoint: p.AuthServer + p.TokenPath,
		ClientAuth:    Method(p.ClientAuth),
		PlainBasic:    p.PlainBasic,
	}
	if p.UserinfoPath != "" {
		s.Userinfo = p.AuthServer + p.UserinfoPath
	}
	if apps := p.AppCredentials; apps != nil {
		s.Apps = &AppCredentials{
			FirstToken:         FirstTokenMethod(apps.FirstToken),
			FirstTokenEndpoint: p.AuthServer + apps.FirstTokenPath,
			ClientsEndpoint:    p.AuthServer + apps.ClientsPath,
		}
	}
	return s, s.Check()
}

func checkOrigin(raw, what string) error {
	if err := CheckURL(raw, what); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	if strings.Trim(u.Path, "/") != "" || len(u.Path) > 1 || strings.Contains(raw, "?") {
		return errors.New(what + " must be an origin such as https://auth.example.com, without a path")
	}
	return nil
}
