package preset

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryFileParses(t *testing.T) {
	if diff := cmp.Diff([]string{
		"climateengine", "climateengine-key", "copernicus", "earthdata", "earthscope", "earthscope-0.2", "eumetsat",
		"github", "gitlab", "globus", "google", "openeo", "planet-key", "planet-legacy", "planet-m2m",
		"planet-user", "sentinelhub", "spatiafi",
	}, Names()); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range Names() {
		p, ok := Lookup(name)
		if p.Backend == "openeo" && p.Title != "" && len(p.Grants) > 0 {
			continue // all else is the back end's to say
		}
		if !ok || p.Name != name || p.Title == "" || p.AuthServer == "" || p.Issuer == "" || len(p.Grants) == 0 ||
			len(p.Resources) == 0 {
			t.Errorf("%s lacks something: %+v", name, p)
		}
		if p.ClientsPermanent && !strings.Contains(strings.Join(p.Notes, " "), "permanent") {
			t.Errorf("%s does not tell people that a client is permanent", name)
		}
		for _, g := range p.Grants {
			if keys := g == "api_key" || g == "key_login"; keys == (p.For(g).ClientAuth != "") ||
				keys == (p.TokenPath != "") {
				t.Errorf("%s: %s has client authentication %q and the token path %q", name, g,
					p.For(g).ClientAuth, p.TokenPath)
			}
		}
		for g := range p.Grant {
			if !slices.Contains(p.Grants, g) {
				t.Errorf("%s says how %s works, but does not offer it", name, g)
			}
		}
	}
	if p, ok := Lookup("nobody"); ok {
		t.Errorf("found %+v", p)
	}
}

// Every value has its source in a comment above it.
func TestEveryValueHasItsSource(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		sourced := false
		for line := range bytes.Lines(b) {
			switch text := string(bytes.TrimSpace(line)); {
			case strings.HasPrefix(text, "#"):
				sourced = true
			case text == "":
				sourced = false
			case strings.Contains(text, " = ") && !sourced && !strings.HasPrefix(text, "title"):
				t.Errorf("%s: no source for %s", e.Name(), text)
			}
		}
	}
}

// What is said to be unconfirmed is in the file, with a comment that says why.
func TestUnconfirmedValuesAreThere(t *testing.T) {
	for _, name := range Names() {
		p, _ := Lookup(name)
		b, err := files.ReadFile(name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range p.Unconfirmed {
			if !bytes.Contains(b, []byte("\n"+key+" = ")) || !bytes.Contains(b, []byte("# Unconfirmed: ")) {
				t.Errorf("%s has no %s, or does not say why it is unconfirmed", name, key)
			}
		}
	}
}

// An installation of one's own has its own APIs, and never the public one's.
func TestASelfManagedHostKeepsNoOtherHost(t *testing.T) {
	for name, want := range map[string][]string{
		"gitlab": {"https://git.example.org"}, "github": {"https://git.example.org"},
		"spatiafi": {"https://api.spatiafi.com"},
	} {
		p, _ := Lookup(name)
		if diff := cmp.Diff(want, p.At("https://git.example.org/").Resources); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if again, _ := Lookup(name); !slices.Equal(again.Resources, p.Resources) {
			t.Errorf("%s: At changed the preset itself", name)
		}
	}
}

func TestUnknownKey(t *testing.T) {
	for _, in := range []string{"titel = 'x'", "[grant.device_code]\nclient_ids = 'x'", "[header]\nname = 1",
		"[app_credentials]\nclient_path = '/'", "title = 1", "title"} {
		if p, err := parse("x", []byte(in)); err == nil {
			t.Errorf("%q gives %+v", in, p)
		}
	}
}

func TestSpatiaFi(t *testing.T) {
	got, _ := Lookup("spatiafi")
	got.Notes = nil
	want := Provider{
		Name: "spatiafi", Title: "SpatiaFi", AuthServer: "https://auth.spatiafi.com",
		Issuer:    "https://auth.spatiafi.com",
		TokenPath: "/api/v1/auth/jwt/token", How: How{ClientAuth: "client_secret_jwt"},
		Grants: []string{"app_credentials", "client_credentials"}, PlainBasic: true, UserinfoPath: "/api/v1/users/me",
		Resources: []string{"https://api.spatiafi.com"}, ClientsPermanent: true,
		AppCredentials: &AppCredentials{FirstToken: "basic_get", FirstTokenPath: "/api/v1/auth/jwt/token/basic",
			ClientsPath: "/api/v1/clients/"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is called is not what the token's aud says.
func TestClimateEngineIsCalledAtNet(t *testing.T) {
	p, _ := Lookup("climateengine")
	if diff := cmp.Diff([]string{"https://api.climateengine.net"}, p.Resources); diff != "" {
		t.Error(diff)
	}
	if p.AppCredentials.FirstToken != "password" {
		t.Errorf("first token by %s", p.AppCredentials.FirstToken)
	}
}

func TestAt(t *testing.T) {
	p, _ := Lookup("spatiafi")
	for _, in := range []string{"http://127.0.0.1:8080", "http://127.0.0.1:8080/"} {
		if q := p.At(in); q.AuthServer != "http://127.0.0.1:8080" || q.Issuer != q.AuthServer ||
			q.TokenPath != p.TokenPath {
			t.Errorf("%s: %+v", in, q)
		}
	}
	if diff := cmp.Diff(p, p.At("")); diff != "" {
		t.Error(diff)
	}
	if again, _ := Lookup("spatiafi"); again.AuthServer != "https://auth.spatiafi.com" {
		t.Error("At changed the preset itself")
	}
}

// A path on another host comes along to a sandbox, and the issuer keeps what follows its host.
func TestAtMovesEverything(t *testing.T) {
	const box = "http://127.0.0.1:8080"
	for _, c := range []struct{ name, issuer, userinfo, authorize string }{
		{"earthscope", box + "/", box + "/beta/user/profile", box + "/authorize"},
		{"planet-m2m", box + "/auth/realms/main", box + "/auth/realms/main/protocol/openid-connect/userinfo", ""},
		{"google", box, box + "/v1/userinfo", box + "/o/oauth2/v2/auth"},
		{"planet-key", box, "", ""},
	} {
		p, _ := Lookup(c.name)
		p = p.At(box)
		got := []string{p.Issuer, p.URL(p.UserinfoPath), p.URL(p.AuthorizePath)}
		if diff := cmp.Diff([]string{c.issuer, c.userinfo, c.authorize}, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if p, _ := Lookup("google"); p.URL(p.UserinfoPath) != "https://openidconnect.googleapis.com/v1/userinfo" {
		t.Errorf("google's userinfo is at %s", p.URL(p.UserinfoPath))
	}
}

func TestFor(t *testing.T) {
	p, _ := Lookup("earthscope")
	for grant, want := range map[string]How{
		"device_code": {ClientAuth: "none", ClientID: "b9DtAFBd6QvMg761vI3YhYquNZbJX5G0",
			SessionScopes: []string{"offline_access"}, Audience: "https://api.earthscope.org"},
		"client_credentials": {ClientAuth: "client_secret_post", Audience: "https://api.earthscope.org"},
		"unheard_of":         {ClientAuth: "none", Audience: "https://api.earthscope.org"},
	} {
		if diff := cmp.Diff(want, p.For(grant)); diff != "" {
			t.Errorf("%s: %s", grant, diff)
		}
	}
}

// The API wants the key alone: an empty prefix is not a forgotten one.
func TestHeaders(t *testing.T) {
	for name, want := range map[string]*Header{
		"climateengine-key": {Name: "Authorization"}, "planet-key": {"Authorization", "api-key"},
		"planet-legacy": {"Authorization", "api-key"}, "planet-user": nil,
	} {
		p, _ := Lookup(name)
		if diff := cmp.Diff(want, p.Header); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A secret in every copy of a program is not secret, so no preset has one.
func TestNoSecretIsEmbedded(t *testing.T) {
	entries, _ := files.ReadDir(".")
	for _, e := range entries {
		b, err := files.ReadFile(e.Name())
		if err != nil || bytes.Contains(b, []byte("client_secret =")) || bytes.Contains(b, []byte("GOCSPX")) {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
}
