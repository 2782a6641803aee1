// Package described is an authorization server for tests. Its metadata document is what the test puts there, so that
// tests can show what a sign-in does with a document that names other hosts.
package described

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Server grants every request, and keeps what it was sent.
type Server struct {
	*httptest.Server
	name     string
	Document map[string]any // the metadata; the test may change it while no request is under way
	others   map[string]any // further documents, by their paths

	mu   sync.Mutex
	seen []string // "PATH AUTHORIZATION form" of each request but those for the document
}

// New starts a server whose tokens carry its name. It is closed when the test ends.
func New(t *testing.T, name string) *Server {
	t.Helper()
	o := &Server{name: name, Document: map[string]any{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	o.Document["issuer"] = o.URL
	return o
}

// ServeHTTP implements [http.Handler].
func (o *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if other, ok := o.others[r.URL.Path]; ok {
		json.NewEncoder(w).Encode(other)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		json.NewEncoder(w).Encode(o.Document)
		return
	}
	r.ParseForm()
	o.mu.Lock()
	o.seen = append(o.seen, r.URL.Path+" "+r.Header.Get("Authorization")+" "+r.Form.Encode())
	o.mu.Unlock()
	answer := map[string]any{}
	switch path := r.URL.Path; {
	case r.Form.Get("grant_type") != "":
		answer = map[string]any{"access_token": "token-of-" + o.name, "token_type": "Bearer", "expires_in": 900}
		if r.Form.Get("grant_type") != "client_credentials" {
			answer["refresh_token"] = "refresh-of-" + o.name
		}
	case path == "/device":
		answer = map[string]any{
			"device_code": "dc", "user_code": "ABCD", "verification_uri": o.URL + "/activate",
			"expires_in": 60, "interval": 0,
		}
	case path == "/par":
		w.WriteHeader(http.StatusCreated)
		answer = map[string]any{"request_uri": "urn:x", "expires_in": 60}
	case path == "/me":
		answer = map[string]any{"sub": "x"}
	}
	json.NewEncoder(w).Encode(answer)
}

// BackEnd makes the server an openEO back end (openEO API 1.2.0) with its API below /api, whose people sign in at an
// issuer with a device code, as a public client and for scopes of the back end's choice.
func (o *Server) BackEnd(issuer, client string, scopes ...string) {
	o.others = map[string]any{
		"/.well-known/openeo": map[string]any{"versions": []any{
			map[string]any{"url": o.URL + "/api", "api_version": "1.2.0"}}},
		"/api/credentials/oidc": map[string]any{"providers": []any{map[string]any{
			"id": o.name, "issuer": issuer, "title": o.name, "scopes": scopes,
			"default_clients": []any{map[string]any{"id": client,
				"grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code"}}},
		}}},
	}
}

// Host is the server's host and port.
func (o *Server) Host() string { return strings.TrimPrefix(o.URL, "http://") }

// Received returns the requests since the last call, but those for the document.
func (o *Server) Received() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}
