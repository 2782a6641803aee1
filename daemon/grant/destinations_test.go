package grant_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/keystore"
)

// counting is a server that keeps what it was sent and refuses everything.
type counting struct {
	*httptest.Server
	mu    sync.Mutex
	forms []url.Values
}

func newCounting(t *testing.T) *counting {
	c := &counting{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		c.mu.Lock()
		c.forms = append(c.forms, r.Form)
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error":"invalid_request"}`))
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counting) received() []url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forms
}

// endpoints are the kinds of address that a document, a preset or a configuration names: how a server comes to have one
// on a host, and what sends something of a credential there.
var endpoints = map[string]struct {
	on   func(s *grant.Server, host string)
	send func(t *testing.T, e *grant.Endpoint, item keystore.Item) error
}{
	"token, client credentials": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.ClientCredentials(t.Context(), item, grant.Request{})
		return err
	}},
	"token, refresh": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, _, err := e.Refresh(t.Context(), item, grant.Request{})
		return err
	}},
	"token, password": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.Password(t.Context(), item, alice, keystore.SecretString(alicePass), keystore.Secret{},
			grant.Request{})
		return err
	}},
	"token, exchange": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.TokenExchange(t.Context(), item, grant.Presentation{Subject: keystore.SecretString("dummy")},
			grant.Request{})
		return err
	}},
	"token, assertion": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.JWTBearer(t.Context(), item, grant.Request{})
		return err
	}},
	"token, device code": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		d := &grant.DeviceLogin{Lifetime: clock.Now().Boot + time.Hour}
		_, err := e.AwaitDevice(t.Context(), item, d)
		return err
	}},
	"token, code": {onToken, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.Exchange(t.Context(), item, &grant.Authorization{}, keystore.SecretString("dummy"))
		return err
	}},
	"device": {func(s *grant.Server, host string) { s.DeviceEndpoint = host + "/device" },
		func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
			_, err := e.StartDevice(t.Context(), item, grant.Request{})
			return err
		}},
	"PAR": {func(s *grant.Server, host string) {
		s.AuthorizeEndpoint, s.PAREndpoint, s.RequirePAR = s.Issuer+"/authorize", host+"/par", true
	}, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.StartAuthCode(t.Context(), item, grant.Request{}, "http://127.0.0.1:1/callback")
		return err
	}},
	"revocation": {func(s *grant.Server, host string) { s.RevocationEndpoint = host + "/revoke" },
		func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
			return e.Revoke(t.Context(), item)
		}},
	"userinfo": {func(s *grant.Server, host string) { s.Userinfo = host + "/me" },
		func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
			_, err := e.Userinfo(t.Context(), grant.Token{Access: keystore.SecretString("dummy"),
				Destinations: e.DestinationsOf(item)})
			return err
		}},
	"App Credentials": {onApps, func(t *testing.T, e *grant.Endpoint, item keystore.Item) error {
		_, err := e.CreateClient(t.Context(), grant.Token{Access: keystore.SecretString("dummy"),
			Destinations: e.DestinationsOf(item)})
		return err
	}},
}

func onToken(s *grant.Server, host string) { s.TokenEndpoint = host + "/token" }

func onApps(s *grant.Server, host string) {
	s.Apps = &grant.AppCredentials{FirstTokenEndpoint: host + "/first", ClientsEndpoint: host + "/clients",
		FirstToken: grant.BasicGET}
}

// credential is an item of the honest server with everything that could be sent.
func credential(t *testing.T, honest grant.Server, method grant.Method) keystore.Item {
	honest.ClientAuth = method
	item := itemOf(honest)
	item.RefreshToken, item.APIKey = keystore.SecretString("dummy-refresh"), keystore.SecretString("dummy-key")
	item.PrivateKey, item.Certificate = certified(t)
	return item
}

// certified returns a key with a certificate of its own, in PEM.
func certified(t *testing.T) (keystore.Secret, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	inPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return keystore.NewSecret(inPEM("PRIVATE KEY", der)), string(inPEM("CERTIFICATE", certificate))
}

// Whatever names an address on another host than the credential's, by whatever method the client proves itself: nothing
// arrives there, and the error names both hosts. Once a person has agreed to the host, what arrives there is good at no
// other: an assertion is made out for the address that is called.
func TestF3NothingOfACredentialGoesToAForeignHost(t *testing.T) {
	for name, endpointKind := range endpoints {
		for _, method := range grant.Methods() {
			t.Run(name+", "+string(method), func(t *testing.T) {
				honest, foreign := newCounting(t), newCounting(t)
				server := serverOf(honest.URL, method)
				server.Grants = grant.Kinds()
				item := credential(t, server, method)
				endpointKind.on(&server, foreign.URL)
				err := endpointKind.send(t, endpoint(server), item)
				if !errors.Is(err, grant.ErrEndpointChanged) {
					t.Errorf("%v", err)
				}
				for _, at := range []string{honest.URL, foreign.URL} {
					if host := strings.TrimPrefix(at, "http://"); err == nil || !strings.Contains(err.Error(), host) {
						t.Errorf("%v does not name %s", err, host)
					}
				}
				if n, m := len(foreign.received()), len(honest.received()); n != 0 || m != 0 {
					t.Errorf("%d requests arrived at the foreign host, %d at the honest one", n, m)
				}
				if server.TokenEndpoint != item.TokenEndpoint {
					return // no word of a person's makes another token endpoint this credential's
				}
				item.Origins = []string{"https://other.example", foreign.URL}
				err = endpointKind.send(t, endpoint(server), item)
				if errors.Is(err, grant.ErrEndpointChanged) || len(foreign.received()) == 0 {
					t.Errorf("agreed to: %v, %d requests", err, len(foreign.received()))
				}
				for _, form := range foreign.received() {
					if aud := audienceOf(t, form.Get("client_assertion")); aud != "" &&
						!strings.HasPrefix(aud, foreign.URL+"/") {
						t.Errorf("an assertion for %s arrived at %s", aud, foreign.URL)
					}
				}
			})
		}
	}
}

// audienceOf reads an assertion's aud.
func audienceOf(t *testing.T, assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ Aud string }
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Aud
}

// The page that a person signs in at hands out the code: it is no other server's than the one that takes it.
func TestF4NoSignInPageOfAForeignHost(t *testing.T) {
	foreign := newCounting(t)
	server := serverOf("http://127.0.0.1:1", grant.None)
	server.AuthorizeEndpoint = foreign.URL + "/authorize"
	item := itemOf(server)
	_, err := endpoint(server).StartAuthCode(t.Context(), item, grant.Request{}, "http://127.0.0.1:2/callback")
	if !errors.Is(err, grant.ErrEndpointChanged) {
		t.Error(err)
	}
	item.Origins = []string{foreign.URL}
	if a, err := endpoint(server).StartAuthCode(t.Context(), item, grant.Request{},
		"http://127.0.0.1:2/callback"); err != nil || !strings.HasPrefix(a.URL, foreign.URL) {
		t.Errorf("agreed to: %v", err)
	}
}

// A password goes to the server that it is typed for.
func TestF5NoPasswordGoesToAForeignHost(t *testing.T) {
	foreign := newCounting(t)
	server := serverOf("http://127.0.0.1:1", grant.ClientSecretJWT)
	server.KeyLogin = foreign.URL + "/key"
	for _, first := range []grant.FirstTokenMethod{grant.BasicGET, grant.PasswordGrant} {
		server.Apps = &grant.AppCredentials{FirstToken: first, FirstTokenEndpoint: foreign.URL + "/first"}
		_, err := endpoint(server).FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
		if !errors.Is(err, grant.ErrEndpointChanged) {
			t.Error(err)
		}
	}
	if _, err := endpoint(server).KeyLogin(t.Context(), alice, keystore.SecretString(alicePass)); !errors.Is(err,
		grant.ErrEndpointChanged) {
		t.Error(err)
	}
	if n := len(foreign.received()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A token is shown to the userinfo endpoint of the server that issued it, an API key to that of its own.
func TestF6NoTokenGoesToAnotherServersUserinfo(t *testing.T) {
	for name, change := range map[string]func(a, b *grant.Server, item *keystore.Item){
		"a token":                  func(a, b *grant.Server, _ *keystore.Item) {},
		"a token, the issuer kept": func(a, b *grant.Server, _ *keystore.Item) { b.Issuer = a.Issuer },
		"an API key": func(a, b *grant.Server, item *keystore.Item) {
			a.TokenEndpoint, b.TokenEndpoint, item.TokenEndpoint = "", "", ""
			a.Grants, b.Grants = []grant.Kind{grant.ByAPIKey}, []grant.Kind{grant.ByAPIKey}
		},
		"an API key, the issuer kept": func(a, b *grant.Server, item *keystore.Item) {
			a.TokenEndpoint, b.TokenEndpoint, item.TokenEndpoint, b.Issuer = "", "", "", a.Issuer
			a.Grants, b.Grants = []grant.Kind{grant.ByAPIKey}, []grant.Kind{grant.ByAPIKey}
		},
	} {
		foreign := newCounting(t)
		a, b := serverOf("http://127.0.0.1:1", grant.ClientSecretPost), serverOf(foreign.URL, grant.ClientSecretPost)
		b.Userinfo = foreign.URL + "/me"
		item := itemOf(a)
		item.APIKey = keystore.SecretString("dummy-key")
		change(&a, &b, &item)
		token, err := endpoint(a).APIKey(item)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := endpoint(b).Userinfo(t.Context(), token); !errors.Is(err, grant.ErrEndpointChanged) ||
			len(foreign.received()) != 0 {
			t.Errorf("%s: %v, %d requests", name, err, len(foreign.received()))
		}
		token.Destinations = nil
		if _, err := endpoint(b).Userinfo(t.Context(), token); !errors.Is(err, grant.ErrEndpointChanged) ||
			len(foreign.received()) != 0 {
			t.Errorf("%s, without destinations: %v, %d requests", name, err, len(foreign.received()))
		}
	}
}

// What groat's own preset names on other hosts needs no agreement; on another server with the same paths it is no
// preset.
func TestF7WhatAPresetNames(t *testing.T) {
	google, _ := preset.Lookup("google")
	server, err := grant.FromPreset(google, "", "")
	if err != nil {
		t.Fatal(err)
	}
	item := server.NewItem("c", grant.ByAuthorizationCode)
	if a, err := endpoint(server).StartAuthCode(t.Context(), item, grant.Request{},
		"http://127.0.0.1:2/callback"); err != nil || !strings.HasPrefix(a.URL, "https://accounts.google.com/") {
		t.Errorf("%v", err)
	}
	elsewhere, err := grant.FromPreset(google, "https://staging.example", "")
	if err != nil || elsewhere.PresetOrigins != nil {
		t.Errorf("%v, %v", elsewhere.PresetOrigins, err)
	}
	elsewhere.AuthorizeEndpoint = server.AuthorizeEndpoint
	if _, err := endpoint(elsewhere).StartAuthCode(t.Context(), elsewhere.NewItem("c", grant.ByAuthorizationCode),
		grant.Request{}, "http://127.0.0.1:2/callback"); !errors.Is(err, grant.ErrEndpointChanged) {
		t.Errorf("%v", err)
	}
}
