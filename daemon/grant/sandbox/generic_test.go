package sandbox

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func TestGenericToken(t *testing.T) {
	s := newServer(t, Options{IssuerPath: "/tenant/one", Scopes: []string{"read", "write"}})
	ask := func(form url.Values) reply {
		t.Helper()
		return postForm(t, s.URL()+s.TokenPath(), form, "Authorization", basicHeader(clientID, secret))
	}
	r := ask(url.Values{"grant_type": {"client_credentials"}, "scope": {"read write"},
		"audience": {"https://api.example"}})
	if r.StatusCode != 200 || r.member(t, "scope") != "read write" || r.member(t, "token_type") != "Bearer" ||
		r.member(t, "expires_in") != float64(900) || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v %s", r.Status, r.Header, r.body)
	}
	claims := segment(t, r.member(t, "access_token").(string), 1)
	for name, want := range map[string]any{
		"iss": s.URL() + "/tenant/one", "aud": "https://api.example", "scope": "read write", "sub": clientID,
		"client_id": clientID,
	} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	// It is for another API than this one.
	token := r.member(t, "access_token").(string)
	if r := send(t, "GET", s.URL()+"/api/x", "", "Authorization", "Bearer "+token); r.StatusCode != 401 {
		t.Errorf("API with another audience: %s", r.Status)
	}
	r = ask(url.Values{"grant_type": {"client_credentials"}})
	if r.member(t, "scope") != nil {
		t.Errorf("a scope without a request for it: %s", r.body)
	}
	token = r.member(t, "access_token").(string)
	if r := send(t, "GET", s.URL()+"/api/x", "", "Authorization", "Bearer "+token); r.StatusCode != 200 {
		t.Errorf("API: %s %s", r.Status, r.body)
	}
}

func TestGenericRefusals(t *testing.T) {
	s := newServer(t, Options{Scopes: []string{"read", "write"}})
	basic := basicHeader(clientID, secret)
	for _, tt := range []struct {
		name, body, contentType, auth string
		status                        int
		code                          string
	}{
		{"no client", "grant_type=client_credentials", "", "", 401, "invalid_client"},
		{"no grant type", "scope=read", "", basic, 400, "invalid_request"},
		{"another grant", "grant_type=password&username=a&password=b", "", basic, 400, "unsupported_grant_type"},
		{"JSON", `{"grant_type":"client_credentials"}`, "application/json", basic, 400, "invalid_request"},
		{"unknown scope", "grant_type=client_credentials&scope=admin", "", basic, 400, "invalid_scope"},
		{"two spaces", "grant_type=client_credentials&scope=read++write", "", basic, 400, "invalid_scope"},
		{"space at the end", "grant_type=client_credentials&scope=read+", "", basic, 400, "invalid_scope"},
		{"quote", "grant_type=client_credentials&scope=%22", "", basic, 400, "invalid_scope"},
		{"empty scope", "grant_type=client_credentials&scope=", "", basic, 400, "invalid_request"},
		{"empty audience", "grant_type=client_credentials&audience=", "", basic, 400, "invalid_request"},
		{"repeated scope", "grant_type=client_credentials&scope=read&scope=write", "", basic, 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.contentType == "" {
				tt.contentType = "application/x-www-form-urlencoded"
			}
			headers := []string{"Content-Type", tt.contentType}
			if tt.auth != "" {
				headers = append(headers, "Authorization", tt.auth)
			}
			r := send(t, "POST", s.URL()+"/token", tt.body, headers...)
			if r.StatusCode != tt.status || r.member(t, "error") != tt.code {
				t.Errorf("%s %s", r.Status, r.body)
			}
		})
	}
	// Where any scope is known, its grammar still holds.
	s = newServer(t, Options{})
	for scope, status := range map[string]int{
		"a b": 200, "a:b/c.d-e": 200, "a  b": 400, " a": 400, "a ": 400, " ": 400, `a"b`: 400, `a\b`: 400,
		"ä": 400, "a\tb": 400,
	} {
		r := postForm(t, s.URL()+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}},
			"Authorization", basic)
		if r.StatusCode != status {
			t.Errorf("scope %q: %s %s", scope, r.Status, r.body)
		}
	}
	if r := send(t, "GET", s.URL()+"/token", ""); r.StatusCode != 405 || r.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %s", r.Status)
	}
}

// Both documents are where their specifications put them, and nowhere else.
func TestDiscovery(t *testing.T) {
	for _, path := range []string{"", "/tenant/one"} {
		s := newServer(t, Options{IssuerPath: path, ClientAuth: []string{ClientSecretPost}})
		var docs []string
		for _, where := range []string{oauthMeta + path, path + oidcMeta} {
			r := send(t, "GET", s.URL()+where, "")
			docs = append(docs, r.body)
			if r.StatusCode != 200 || r.member(t, "issuer") != s.URL()+path || r.member(t, "token_endpoint") != s.URL()+
				path+"/token" {
				t.Errorf("%s: %s %s", where, r.Status, r.body)
			}
			if d := cmp.Diff([]any{ClientSecretPost}, r.member(t, "token_endpoint_auth_methods_supported")); d != "" {
				t.Error(d)
			}
		}
		if docs[0] != docs[1] {
			t.Errorf("two documents that differ:\n%s\n%s", docs[0], docs[1])
		}
		if path == "" {
			continue
		}
		for _, where := range []string{oauthMeta, oidcMeta, path + oauthMeta, oidcMeta + path} {
			if r := send(t, "GET", s.URL()+where, ""); r.StatusCode != 404 {
				t.Errorf("%s: %s", where, r.Status)
			}
		}
	}
}

// The published key verifies the tokens.
func TestKeys(t *testing.T) {
	s := newServer(t, Options{})
	key := send(t, "GET", s.URL()+"/keys", "").member(t, "keys").([]any)[0].(map[string]any)
	number := func(name string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(key[name].(string))
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	public := &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
	r := postForm(t, s.URL()+"/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization",
		basicHeader(clientID, secret))
	j, err := parseJWT(r.member(t, "access_token").(string))
	if err != nil || !j.verifyRSA(public) {
		t.Errorf("%v: the token is not signed with the published key", err)
	}
}

// golang.org/x/oauth2, which form-encodes id and secret inside Basic as RFC 6749 says.
func TestXOAuth2(t *testing.T) {
	s := newServer(t, Options{Clients: []Client{{ID: "odd id", Secret: "a b+c%2F:/é"}}})
	for _, tt := range []struct {
		name, id, secret, tokenPath string
		style                       oauth2.AuthStyle
		want                        string
	}{
		{"spatiafi basic", clientID, secret, SpatiafiTokenPath, oauth2.AuthStyleInHeader, ClientSecretBasic},
		{"spatiafi post", clientID, secret, SpatiafiTokenPath, oauth2.AuthStyleInParams, ClientSecretPost},
		{"generic basic", "odd id", "a b+c%2F:/é", "/token", oauth2.AuthStyleInHeader, ClientSecretBasic},
		{"generic post", "odd id", "a b+c%2F:/é", "/token", oauth2.AuthStyleInParams, ClientSecretPost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := clientcredentials.Config{ClientID: tt.id, ClientSecret: tt.secret, TokenURL: s.URL() + tt.tokenPath,
				AuthStyle: tt.style}
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, direct)
			resp, err := cfg.Client(ctx).Get(s.URL() + "/api/info")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			log := s.Log()
			if got := log[len(log)-2]; resp.StatusCode != http.StatusOK || got.Auth != tt.want {
				t.Errorf("%s, log %+v", resp.Status, got)
			}
		})
	}
}
