package grant_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

const (
	alice     = "alice@example.com"
	alicePass = "correct horse: battery+staple é"
	clientID  = "11111111-2222-4333-8444-555555555555"
	secret    = "dummy-secret-not-real-0123456789-abcdefghij"
)

func options() sandbox.Options {
	return sandbox.Options{
		Users:   []sandbox.User{{Name: alice, Password: alicePass}},
		Clients: []sandbox.Client{{ID: clientID, Secret: secret}},
	}
}

// provider starts a sandbox on a socket and returns SpatiaFi's preset at it.
func provider(t *testing.T, name string) (*sandbox.Server, grant.Server) {
	t.Helper()
	s := sandbox.New(options())
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, fromPreset(t, name, s.URL())
}

func fromPreset(t *testing.T, name, url string) grant.Server {
	t.Helper()
	p, ok := preset.Lookup(name)
	if !ok {
		t.Fatalf("no preset %s", name)
	}
	server, err := grant.FromPreset(p, url, "")
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// serverOf returns a server that has nothing but a token endpoint.
func serverOf(url string, method grant.Method) grant.Server {
	return grant.Server{Issuer: url, TokenEndpoint: url + "/token", ClientAuth: method}
}

func endpoint(s grant.Server) *grant.Endpoint {
	return grant.NewEndpoint(s, grant.NewHTTPClient(new(grant.Network)), clock.Now)
}

// issued is a token that this server issued, sealed for it and for other origins.
func issued(s grant.Server, access string, origins ...string) grant.Token {
	item := itemOf(s)
	item.Origins = origins
	return grant.Token{Access: keystore.SecretString(access), Destinations: endpoint(s).DestinationsOf(item)}
}

func itemOf(s grant.Server) keystore.Item {
	return keystore.Item{
		Issuer: s.Issuer, TokenEndpoint: s.TokenEndpoint, ClientAuth: string(s.ClientAuth),
		ClientID: clientID, ClientSecret: keystore.SecretString(secret),
	}
}

// wantClass fails unless err is a *grant.Error of the class.
func wantClass(t *testing.T, err error, class grant.Class) *grant.Error {
	t.Helper()
	e, ok := errors.AsType[*grant.Error](err)
	if !ok || e.Class != class {
		t.Fatalf("got %v, want class %d", err, class)
	}
	if e.Where == "" || e.Reason == "" {
		t.Errorf("an error that says nothing: %#v", e)
	}
	return e
}

// handler serves h on a loopback socket and counts the requests.
func handler(t *testing.T, h http.HandlerFunc) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

// bubble is a sandbox and an endpoint for it that live in a synctest bubble's time.
type bubble struct {
	server   *sandbox.Server
	endpoint *grant.Endpoint
	// wrong is by how much the wall clock on the client's side is wrong.
	wrong time.Duration
	start time.Time
}

func inBubble(t *testing.T) *bubble {
	b := &bubble{server: sandbox.New(options()), start: time.Now()}
	client := grant.NewHTTPClient(new(grant.Network))
	client.Transport.(*http.Transport).DialContext = b.server.StartPipe()
	b.endpoint = grant.NewEndpoint(fromPreset(t, "spatiafi", b.server.URL()), client, b.now)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bubble) now() clock.Instant {
	return clock.Instant{Wall: time.Now().Add(b.wrong), Boot: time.Since(b.start)}
}

func (b *bubble) token(t *testing.T) (grant.Token, error) {
	return b.endpoint.ClientCredentials(t.Context(), itemOf(b.endpoint.Server()), grant.Request{})
}

// jwtOf returns what looks like a JWT with these claims.
func jwtOf(claims string) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString([]byte(claims)) + ".c2ln"
}
