package grant_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
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
	}
	if diff := cmp.Diff(want, fromPreset(t, "climateengine", "")); diff != "" {
		t.Error(diff)
	}
	staging := fromPreset(t, "spatiafi", "https://staging.example.com/")
	if staging.Issuer != "https://staging.example.com" || staging.Apps.ClientsEndpoint != "https://staging.example.com/api/v1/clients/" {
		t.Errorf("%+v", staging)
	}
}

func TestEveryPresetIsUsable(t *testing.T) {
	for _, name := range preset.Names() {
		p, _ := preset.Lookup(name)
		server, err := grant.FromPreset(p, "")
		if err != nil || server.Check() != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range p.Resources {
			if err := grant.CheckURL(r, "resource"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestFromPresetRefuses(t *testing.T) {
	p, _ := preset.Lookup("spatiafi")
	for _, in := range []string{"http://auth.example.com", "https://auth.example.com/path", "https://auth.example.com/?x", "https://auth.example.com//", "auth.example.com", "https://u:p@auth.example.com"} {
		if s, err := grant.FromPreset(p, in); err == nil {
			t.Errorf("%s: %+v", in, s)
		}
	}
	p.ClientAuth = "magic"
	if _, err := grant.FromPreset(p, ""); err == nil {
		t.Error("an unknown method")
	}
	p, _ = preset.Lookup("spatiafi")
	apps := *p.AppCredentials
	apps.FirstToken = "magic"
	p.AppCredentials = &apps
	if _, err := grant.FromPreset(p, ""); err == nil {
		t.Error("an unknown first token")
	}
}
