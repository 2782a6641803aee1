package preset

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryFileParses(t *testing.T) {
	if diff := cmp.Diff([]string{"climateengine", "spatiafi"}, Names()); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range Names() {
		p, ok := Lookup(name)
		if !ok || p.Name != name || p.Title == "" || p.AuthServer == "" || p.Issuer == "" || p.TokenPath == "" || p.ClientAuth == "" || len(p.Resources) == 0 {
			t.Errorf("%s lacks something: %+v", name, p)
		}
		if p.ClientsPermanent && !strings.Contains(strings.Join(p.Notes, " "), "permanent") {
			t.Errorf("%s does not tell people that a client is permanent", name)
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

func TestUnknownKey(t *testing.T) {
	for _, in := range []string{"titel = 'x'", "[app_credentials]\nclient_path = '/'", "title = 1", "title"} {
		if p, err := parse("x", []byte(in)); err == nil {
			t.Errorf("%q gives %+v", in, p)
		}
	}
}

func TestSpatiaFi(t *testing.T) {
	got, _ := Lookup("spatiafi")
	got.Notes = nil
	want := Provider{
		Name: "spatiafi", Title: "SpatiaFi", AuthServer: "https://auth.spatiafi.com", Issuer: "https://auth.spatiafi.com",
		TokenPath: "/api/v1/auth/jwt/token", ClientAuth: "client_secret_jwt", PlainBasic: true, UserinfoPath: "/api/v1/users/me",
		Resources: []string{"https://api.spatiafi.com"}, ClientsPermanent: true,
		AppCredentials: &AppCredentials{FirstToken: "basic_get", FirstTokenPath: "/api/v1/auth/jwt/token/basic", ClientsPath: "/api/v1/clients/"},
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
		if q := p.At(in); q.AuthServer != "http://127.0.0.1:8080" || q.Issuer != q.AuthServer || q.TokenPath != p.TokenPath {
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
