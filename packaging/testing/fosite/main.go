// Fosite is an authorization server made of ory/fosite, the library of Ory Hydra, for groat's tests: its handlers and
// its memory store, behind paths and clients of our own. Nobody who wrote groat wrote its rules.
//
// It listens on a free loopback port, prints "READY <issuer>" when it answers, keeps everything in memory, and ends
// when its standard input does, so that it cannot outlive the test that started it. Access tokens live for a quarter
// of an hour. A refresh token is good once: its use ends the access tokens before, a second use ends the session, and
// the scope that it is used with is ignored.
//
// Its clients are called after how they authenticate (RFC 7591 §2) and share one secret, new at each run:
// client_secret_basic, client_secret_post, none, those that a test adds with a key, and par, a public one whose
// authorization requests must be pushed (RFC 9126 §6), which the metadata does not say. Everybody may sign in, by
// name; one person, alice, has a password.
//
//	GET  /test/config    {secret, person, password, api}: api takes access tokens, of persons and of clients
//	POST /test/client    {id, alg, key}: a client that authenticates by private_key_jwt, and may sign assertions that
//	                     are a grant, with its public key, PEM
//	POST /test/secret    {}: the clients' secret is another one, which it answers as {secret}
//	POST /test/end       {}: every session has ended
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/jwt"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fosite:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := newServer("http://" + listener.Addr().String())
	if err != nil {
		return err
	}
	go http.Serve(listener, s.routes())
	fmt.Println("READY", s.issuer)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// server is the library's provider and what is around it.
type server struct {
	fosite.OAuth2Provider
	issuer string
	key    *rsa.PrivateKey
	store  *store
}

func newServer(issuer string) (*server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	store, err := newStore()
	if err != nil {
		return nil, err
	}
	global := make([]byte, 32)
	rand.Read(global)
	config := &fosite.Config{
		AccessTokenLifespan: 15 * time.Minute, GlobalSecret: global, IDTokenIssuer: issuer, TokenURL: issuer + "/token",
		EnforcePKCE: true, SendDebugMessagesToClients: true, HashCost: 4, // bcrypt's least
		ScopeStrategy: fosite.ExactScopeStrategy, GrantTypeJWTBearerIssuedDateOptional: true,
		GrantTypeJWTBearerMaxDuration: time.Hour, GrantTypeJWTBearerCanSkipClientAuth: true,
		ClientSecretsHasher: plain{},
	}
	return &server{compose.ComposeAllEnabled(config, store, key), issuer, key, store}, nil
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		mux.HandleFunc("GET /.well-known/"+name, s.metadata)
	}
	mux.HandleFunc("GET /jwks", s.jwks)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("/login", login)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /par", s.push)
	mux.HandleFunc("POST /introspect", s.introspect)
	mux.HandleFunc("GET /userinfo", s.userinfo)
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		s.WriteRevocationResponse(r.Context(), w, s.NewRevocationRequest(r.Context(), r))
	})
	mux.HandleFunc("GET /test/config", s.config)
	mux.HandleFunc("POST /test/client", s.store.register)
	mux.HandleFunc("POST /test/secret", s.store.changeSecret)
	mux.HandleFunc("POST /test/end", s.store.end)
	return mux
}

func (s *server) config(w http.ResponseWriter, _ *http.Request) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	answer(w, map[string]string{"secret": s.store.secret, "person": person, "password": s.store.password,
		"api": s.issuer + "/userinfo"})
}

// metadata is RFC 8414's.
func (s *server) metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": s.issuer, "authorization_endpoint": s.issuer + "/authorize", "token_endpoint": s.issuer + "/token",
		"jwks_uri": s.issuer + "/jwks", "userinfo_endpoint": s.issuer + "/userinfo",
		"revocation_endpoint": s.issuer + "/revoke", "introspection_endpoint": s.issuer + "/introspect",
		"pushed_authorization_request_endpoint": s.issuer + "/par",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      scopes, "grant_types_supported": grants,
		"code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post",
			"private_key_jwt", "none"},
	})
}

func (s *server) jwks(w http.ResponseWriter, _ *http.Request) {
	answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &s.key.PublicKey, Use: "sig", Algorithm: "RS256"}}})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// session is what tokens say of a person.
func (s *server) session(subject string) *openid.DefaultSession {
	now := time.Now()
	return &openid.DefaultSession{
		Subject: subject, Username: subject, Headers: &jwt.Headers{},
		Claims: &jwt.IDTokenClaims{Issuer: s.issuer, Subject: subject, IssuedAt: now, RequestedAt: now, AuthTime: now},
	}
}
