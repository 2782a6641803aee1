package grant

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
)

// A pair that belongs to nobody; the assertion below was computed with the provider's own library.
const (
	dummyID     = "11111111-2222-4333-8444-555555555555"
	dummySecret = "dummy-secret-not-real-0123456789-abcdefghij"
)

func TestAssertionIsTheProvidersOwn(t *testing.T) {
	const want = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9" +
		".eyJpc3MiOiIxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUiLCJzdWIiOiIxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUiLCJhdWQiOi" +
		"JodHRwczovL2F1dGguc3BhdGlhZmkuY29tL2FwaS92MS9hdXRoL2p3dC90b2tlbiIsImV4cCI6MTcwMDAwMzYwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiJBMWIyQzNk" +
		"NEU1ZjZHN2g4STlqMEsxbDJNM240TzVwNlE3cjgifQ" +
		".3U5CHA1Cjfgo8goZ1SIhY3me0CmQDuIEkjWMqA6NAyU"
	got, err := signer{"HS256", "", jwt.SigningMethodHS256, keystore.SecretString(dummySecret)}.sign(claims{
		Issuer: dummyID, Subject: dummyID, Audience: "https://auth.spatiafi.com/api/v1/auth/jwt/token",
		Expires: 1700003600, Issued: 1700000000, ID: "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticate(t *testing.T) {
	const endpoint = "https://auth.example.com/token"
	for _, c := range []struct {
		name       string
		server     Server
		id, secret string
		header     string // after "Basic ", decoded
		form       string
	}{
		{"basic", Server{ClientAuth: ClientSecretBasic}, dummyID, dummySecret, dummyID + ":" + dummySecret, ""},
		{"basic, encoded", Server{ClientAuth: ClientSecretBasic}, "my client:1", "a+b/c%é", "my+client%3A1:a%2Bb%2Fc%25%C3%A9", ""},
		{"basic, plain", Server{ClientAuth: ClientSecretBasic, PlainBasic: true}, "my client", "a+b/c:%é", "my client:a+b/c:%é", ""},
		{"post", Server{ClientAuth: ClientSecretPost}, "my client", "a+b&c", "", "client_id=my+client&client_secret=a%2Bb%26c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got call
			c.server.TokenEndpoint = endpoint
			err := c.server.authenticate(&got, keystore.Item{ClientID: c.id, ClientSecret: keystore.SecretString(c.secret)}, time.Unix(1700000000, 0))
			if err != nil {
				t.Fatal(err)
			}
			header, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(got.authorization, "Basic "))
			if string(header) != c.header || string(got.body) != c.form {
				t.Errorf("header %q, form %q", header, got.body)
			}
		})
	}
}

func TestBasicOfTheDummyPair(t *testing.T) {
	const want = "MTExMTExMTEtMjIyMi00MzMzLTg0NDQtNTU1NTU1NTU1NTU1OmR1bW15LXNlY3JldC1ub3QtcmVhbC0wMTIzNDU2Nzg5LWFiY2RlZmdoaWo="
	for _, plain := range []bool{true, false} {
		if got, err := (Server{PlainBasic: plain}).basic(dummyID, dummySecret); err != nil || got != want {
			t.Errorf("plain %v: %s, %v", plain, got, err)
		}
	}
}

func TestAuthenticateByAssertion(t *testing.T) {
	s := Server{ClientAuth: ClientSecretJWT, TokenEndpoint: "https://auth.example.com/token"}
	at := time.Unix(1700000000, 0)
	item := keystore.Item{ClientID: dummyID, ClientSecret: keystore.SecretString(dummySecret)}
	var first, second call
	for _, c := range []*call{&first, &second} {
		c.body = form{}.add("grant_type", "client_credentials")
		if err := s.authenticate(c, item, at); err != nil {
			t.Fatal(err)
		}
	}
	const start = "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=ey"
	if !strings.HasPrefix(string(first.body), start) || first.authorization != "" {
		t.Errorf("form %s, authorization %q", first.body, first.authorization)
	}
	if string(first.body) == string(second.body) {
		t.Error("the same assertion twice")
	}
	if v, err := url.ParseQuery(string(first.body)); err != nil || len(v) != 3 {
		t.Errorf("form %v, %v", v, err)
	}
	const called = "https://auth.example.com/revoke"
	c := s.assertion(dummyID, called, at)
	if c.Audience != s.TokenEndpoint || c.Expires != c.Issued+120 || !regexp.MustCompile(`^[A-Za-z0-9]{36}$`).MatchString(c.ID) {
		t.Errorf("claims %+v", c)
	}
	s.Issuer, s.AssertionLife, s.AssertionNotBefore = "https://auth.example.com", 5*time.Minute, true
	for rule, want := range map[Audience]string{AudienceToken: s.TokenEndpoint, AudienceCalled: called, AudienceIssuer: s.Issuer} {
		s.AssertionAudience = rule
		if c := s.assertion(dummyID, called, at); c.Audience != want || c.NotBefore != at.Unix() || c.Expires != at.Unix()+300 {
			t.Errorf("%q: %+v", rule, c)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	item := keystore.Item{ClientID: "a:b", ClientSecret: keystore.SecretString(dummySecret)}
	for _, s := range []Server{{ClientAuth: "magic"}, {ClientAuth: PrivateKeyJWT}, {ClientAuth: TLSClientAuth}, {}, {ClientAuth: ClientSecretBasic, PlainBasic: true}} {
		if err := s.authenticate(&call{}, item, time.Now()); err == nil || strings.Contains(err.Error(), dummySecret) {
			t.Errorf("%s: %v", s.ClientAuth, err)
		}
	}
}
