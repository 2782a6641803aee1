package grant_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

var methods = []grant.Method{grant.ClientSecretBasic, grant.ClientSecretPost, grant.ClientSecretJWT}

func TestClientCredentials(t *testing.T) {
	for _, name := range []string{"spatiafi", "climateengine"} {
		for _, method := range methods {
			t.Run(name+" "+string(method), func(t *testing.T) {
				box, server := provider(t, name)
				server.ClientAuth = method
				e := endpoint(server)
				token, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
				if err != nil {
					t.Fatal(err)
				}
				// The server's clock is this machine's: a second may begin between its answer and the reading of it.
				if token.Lifetime < 838*time.Second || token.Lifetime > 839*time.Second || token.LifetimeAssumed ||
					token.Type != "Bearer" {
					t.Errorf("token %+v", token)
				}
				log := box.Log()
				if len(log) != 1 || log[0].Auth != string(method) || log[0].ClientID != clientID || e.Requests() != 1 {
					t.Errorf("requests %+v, counted %d", log, e.Requests())
				}
				if _, err := e.Userinfo(t.Context(), token); err != nil {
					t.Errorf("the token does not work: %v", err)
				}
			})
		}
	}
}

// A generic server decodes what RFC 6749 §2.3.1 says is encoded; SpatiaFi's does not.
func TestBasicEncodingIsTheServersOwn(t *testing.T) {
	const id, odd = "my client/1", "a+b%2F:c é&="
	for _, plain := range []bool{false, true} {
		o := options()
		o.Clients = []sandbox.Client{{ID: id, Secret: odd}}
		box := sandbox.New(o)
		if err := box.Start(""); err != nil {
			t.Fatal(err)
		}
		defer box.Close()
		server := grant.Server{Issuer: box.Issuer(), TokenEndpoint: box.URL() + box.TokenPath(),
			ClientAuth: grant.ClientSecretBasic, PlainBasic: plain}
		if plain {
			server.Issuer, server.TokenEndpoint = box.URL(), box.URL()+sandbox.SpatiafiTokenPath
		}
		item := itemOf(server)
		item.ClientID, item.ClientSecret = id, keystore.SecretString(odd)
		if _, err := endpoint(server).ClientCredentials(t.Context(), item, grant.Request{}); err != nil {
			t.Errorf("plain %v: %v", plain, err)
		}
	}
}

func TestScopeAndAudience(t *testing.T) {
	box, _ := provider(t, "spatiafi")
	server := grant.Server{Issuer: box.Issuer(), TokenEndpoint: box.URL() + box.TokenPath(),
		ClientAuth: grant.ClientSecretPost}
	e := endpoint(server)
	token, err := e.ClientCredentials(t.Context(), itemOf(server),
		grant.Request{Scope: []string{"read", "write"}, Audience: "https://api.example.com"})
	if err != nil || token.Scope != "read write" {
		t.Fatalf("%+v, %v", token, err)
	}
	if l := box.Log()[0]; l.Scope != "read write" || l.Audience != "https://api.example.com" {
		t.Errorf("sent %+v", l)
	}
	server.Scope, server.Audience = []string{"write"}, "https://default.example.com" // where the request names none
	if _, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
		t.Fatal(err)
	}
	if l := box.Log()[1]; l.Scope != "write" || l.Audience != "https://default.example.com" {
		t.Errorf("sent %+v", l)
	}
}

// What the request looks like on the wire, to the byte.
func TestRequestForm(t *testing.T) {
	var got, accept string
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		accept = fmt.Sprintf("%v %v %v %v %v %s", r.Header["Accept"], r.Header["Accept-Encoding"],
			r.Header["Content-Type"],
			r.Header["Cookie"], r.Header["Idempotency-Key"], r.Proto)
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"abc","expires_in":60}`)
	})
	server := serverOf(url, grant.ClientSecretPost)
	e := endpoint(server)
	for range 2 { // no cookie comes back
		if _, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
			t.Fatal(err)
		}
		if want := "grant_type=client_credentials&client_id=" + clientID + "&client_secret=" + secret; got != want {
			t.Errorf("sent %s", got)
		}
		if want := "[application/json] [identity] [application/x-www-form-urlencoded] [] [] HTTP/1.1"; accept != want {
			t.Errorf("headers %s", accept)
		}
	}
}

func TestEachAssertionIsUsedOnce(t *testing.T) {
	box, server := provider(t, "spatiafi")
	e := endpoint(server)
	box.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Cut: sandbox.CutAfterHandling})
	seen := map[string]bool{}
	for range 5 {
		e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	}
	for _, l := range box.Log() {
		if l.Assertion != "" {
			seen[l.Assertion] = true
		}
	}
	if n := box.Count(sandbox.SpatiafiTokenPath); n != 5 || len(seen) != 5 || e.Requests() != 5 {
		t.Errorf("%d requests, %d assertions, counted %d", n, len(seen), e.Requests())
	}
}

func TestAChangedEndpointGetsNothing(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server := serverOf(url, grant.ClientSecretPost)
	for name, edit := range map[string]func(*keystore.Item){
		"token endpoint":        func(i *keystore.Item) { i.TokenEndpoint = "https://auth.example.com/token" },
		"token endpoint's case": func(i *keystore.Item) { i.TokenEndpoint += "/" },
		"issuer":                func(i *keystore.Item) { i.Issuer = "https://auth.example.com" },
		"issuer's slash":        func(i *keystore.Item) { i.Issuer += "/" },
		"client authentication": func(i *keystore.Item) { i.ClientAuth = string(grant.ClientSecretJWT) },
		"nothing stored":        func(i *keystore.Item) { *i = keystore.Item{} },
	} {
		item := itemOf(server)
		edit(&item)
		e := endpoint(server)
		_, err := e.ClientCredentials(t.Context(), item, grant.Request{})
		if !errors.Is(err, grant.ErrEndpointChanged) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if e.Requests() != 0 {
			t.Errorf("%s: counted %d", name, e.Requests())
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests arrived", requests.Load())
	}
}

// Even a server that has not been checked is not sent a credential in the clear.
func TestClearTextIsRefused(t *testing.T) {
	server := serverOf("http://auth.example.com", grant.ClientSecretPost)
	e := endpoint(server)
	_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.Misconfigured); !strings.Contains(got.Error(), "https://") || e.Requests() != 0 {
		t.Errorf("%v", got)
	}
}

func TestWrongSecret(t *testing.T) {
	for _, method := range methods {
		box, server := provider(t, "spatiafi")
		server.ClientAuth = method
		box.SetClientSecret(clientID, "another")
		_, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{})
		wantClass(t, err, grant.InvalidClient)
		if n := box.Count(sandbox.SpatiafiTokenPath); n != 1 {
			t.Errorf("%s: %d requests", method, n)
		}
	}
}

// SpatiaFi's error for a bad assertion is not documented: FastAPI's form means the same.
func TestWrongSecretInFastAPIsWords(t *testing.T) {
	box, server := provider(t, "spatiafi")
	box.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Status: 401, Body: `{"detail":"Unauthorized"}`})
	_, err := endpoint(server).ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if e := wantClass(t, err, grant.InvalidClient); e.Description != "Unauthorized" {
		t.Errorf("%v", e)
	}
}

func TestConcurrentUse(t *testing.T) {
	box, server := provider(t, "spatiafi")
	e := endpoint(server)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := box.Count(sandbox.SpatiafiTokenPath); n != 16 || e.Requests() != 16 {
		t.Errorf("%d requests, counted %d", n, e.Requests())
	}
}

func TestGivenUpBeforeSending(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server := serverOf(url, grant.ClientSecretJWT)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := endpoint(server)
	_, err := e.ClientCredentials(ctx, itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.Transient); !errors.Is(got, context.Canceled) || requests.Load() != 0 ||
		e.Requests() != 0 {
		t.Errorf("%v, %d requests", got, requests.Load())
	}
}

func TestErrorDetails(t *testing.T) {
	box, server := provider(t, "spatiafi")
	e := endpoint(server)
	box.Script(sandbox.SpatiafiTokenPath, sandbox.Busy(429, "17"),
		sandbox.Fault{Status: 503, RetryAt: 90 * time.Second, Body: `{}`})
	_, err := e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	got := wantClass(t, err, grant.Transient)
	if got.RetryAfter != 17*time.Second || got.Status != 429 {
		t.Errorf("%+v", got)
	}
	_, err = e.ClientCredentials(t.Context(), itemOf(server), grant.Request{})
	if got := wantClass(t, err, grant.Transient); got.RetryAfter < 89*time.Second || got.RetryAfter > 91*time.Second {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(box.URL(), "http://"+got.Where); diff != "" {
		t.Error(diff)
	}
}
