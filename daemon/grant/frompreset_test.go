package grant_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/origin"
)

func TestFromPreset(t *testing.T) {
	want := grant.Server{
		Issuer: "https://auth.climateengine.com", TokenEndpoint: "https://auth.climateengine.com/api/v1/auth/jwt/token",
		ClientAuth: grant.ClientSecretJWT, PlainBasic: true, Userinfo: "https://auth.climateengine.com/api/v1/users/me",
		Apps: &grant.AppCredentials{
			FirstToken:         grant.PasswordGrant,
			FirstTokenEndpoint: "https://auth.climateengine.com/api/v1/auth/jwt/token",
			ClientsEndpoint:    "https://auth.climateengine.com/api/v1/clients/",
		},
		Grants:        []grant.Kind{grant.ByAppCredentials, grant.ByClientCredentials},
		PresetOrigins: []string{"https://auth.climateengine.com"},
	}
	if diff := cmp.Diff(want, fromPreset(t, "climateengine", "")); diff != "" {
		t.Error(diff)
	}
	staging := fromPreset(t, "spatiafi", "https://staging.example.com/")
	if staging.Issuer != "https://staging.example.com" ||
		staging.Apps.ClientsEndpoint != "https://staging.example.com/api/v1/clients/" {
		t.Errorf("%+v", staging)
	}
}

func TestEveryPresetIsUsable(t *testing.T) {
	for _, name := range preset.Names() {
		p, _ := preset.Lookup(name)
		if p.Backend != "" {
			continue // a back end names the server
		}
		for _, kind := range append([]string{""}, p.Grants...) {
			server, err := grant.FromPreset(p, "", grant.Kind(kind))
			if err != nil || server.Check() != nil {
				t.Errorf("%s %s: %v", name, kind, err)
			}
			missing := map[grant.Kind]string{
				grant.ByDeviceCode: server.DeviceEndpoint, grant.ByAuthorizationCode: server.AuthorizeEndpoint,
				grant.ByKeyLogin: server.KeyLogin, grant.ByClientCredentials: server.TokenEndpoint,
				grant.ByJWTBearer: server.TokenEndpoint, grant.ByPassword: server.TokenEndpoint,
				grant.ByAPIKey: "nothing is asked", grant.ByAppCredentials: fmt.Sprint(server.Apps),
				"": "the default one",
			}
			if endpoint, known := missing[grant.Kind(kind)]; !known || endpoint == "" || endpoint == "<nil>" {
				t.Errorf("%s offers %s, but does not say where", name, kind)
			}
		}
		if _, err := grant.FromPreset(p, "", "magic"); !errors.Is(err, grant.ErrNotOffered) {
			t.Errorf("%s: magic: %v", name, err)
		}
		for _, r := range p.Resources {
			if err := origin.CheckURL(r, "resource"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestFromPresetRefuses(t *testing.T) {
	p, _ := preset.Lookup("spatiafi")
	for _, in := range []string{"http://auth.example.com", "https://auth.example.com/path",
		"https://auth.example.com/?x", "https://auth.example.com//", "auth.example.com",
		"https://u:p@auth.example.com"} {
		if s, err := grant.FromPreset(p, in, ""); err == nil {
			t.Errorf("%s: %+v", in, s)
		}
	}
	p.ClientAuth = "magic"
	if _, err := grant.FromPreset(p, "", ""); err == nil {
		t.Error("an unknown method")
	}
	p, _ = preset.Lookup("spatiafi")
	apps := *p.AppCredentials
	apps.FirstToken = "magic"
	p.AppCredentials = &apps
	if _, err := grant.FromPreset(p, "", ""); err == nil {
		t.Error("an unknown first token")
	}
}
