package grant

import (
	"errors"
	"net/url"
	"strings"

	"github.com/groat-dev/groat/daemon/grant/preset"
)

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
