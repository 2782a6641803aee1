package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/storage"
)

const (
	person  = "alice" // who has a password
	pushing = "par"   // the client whose requests must be pushed
)

var (
	scopes = []string{"openid", "offline_access", "email", "api:read", "api:write"}
	grants = []string{"authorization_code", "refresh_token", "client_credentials", "password",
		"urn:ietf:params:oauth:grant-type:jwt-bearer"}
)

// store is the library's memory store, with our clients. It knows every session, so that they can be ended.
type store struct {
	*storage.MemoryStore
	password string

	mu       sync.Mutex
	secret   string
	clients  map[string]*fosite.DefaultOpenIDConnectClient
	sessions map[string]bool // :: the id of a request that has a refresh token
}

func newStore() (*store, error) {
	s := &store{MemoryStore: storage.NewMemoryStore(), password: rand.Text(), sessions: map[string]bool{},
		clients: map[string]*fosite.DefaultOpenIDConnectClient{}}
	s.secret = newSecret()
	s.Users[person] = storage.MemoryUserRelation{Username: person, Password: s.password}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "none"} {
		s.add(method, method)
	}
	s.add(pushing, "none")
	return s, nil
}

// newSecret has characters that RFC 6749 §2.3.1 has form-encoded inside Basic.
func newSecret() string { return rand.Text() + ":+/%&= " + rand.Text() }

// add adds a client with every grant that it can have.
func (s *store) add(id, method string) *fosite.DefaultOpenIDConnectClient {
	c := &fosite.DefaultOpenIDConnectClient{
		DefaultClient: &fosite.DefaultClient{
			ID: id, Public: method == "none", ResponseTypes: []string{"code"}, GrantTypes: grants, Scopes: scopes,
			RedirectURIs: []string{"http://127.0.0.1/callback"}, // with any port (RFC 8252 §7.3)
		},
		TokenEndpointAuthMethod: method,
	}
	s.clients[id] = c
	return c
}

// GetClient implements [fosite.ClientManager]. The client has the secret of now.
func (s *store) GetClient(_ context.Context, id string) (fosite.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil {
		return nil, fosite.ErrNotFound
	}
	now, inner := *c, *c.DefaultClient
	if now.DefaultClient = &inner; !inner.Public {
		inner.Secret = []byte(s.secret)
	}
	return &now, nil
}

// Authenticate returns the person's name as the subject; the library's store makes a new one up each time.
func (s *store) Authenticate(ctx context.Context, name, password string) (string, error) {
	_, err := s.MemoryStore.Authenticate(ctx, name, password)
	return name, err
}

// CreateRefreshTokenSession implements the library's storage.
func (s *store) CreateRefreshTokenSession(ctx context.Context, signature, access string, r fosite.Requester) error {
	s.mu.Lock()
	s.sessions[r.GetID()] = true
	s.mu.Unlock()
	return s.MemoryStore.CreateRefreshTokenSession(ctx, signature, access, r)
}

// plain compares secrets that are not hashed: each run has its own, which the tests know.
type plain struct{}

func (plain) Hash(_ context.Context, secret []byte) ([]byte, error) { return secret, nil }

func (plain) Compare(_ context.Context, want, secret []byte) error {
	if len(want) == 0 || subtle.ConstantTimeCompare(want, secret) != 1 {
		return errors.New("the secret is wrong")
	}
	return nil
}

func (s *store) changeSecret(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = newSecret()
	answer(w, map[string]string{"secret": s.secret})
}

// register adds a client with a key.
func (s *store) register(w http.ResponseWriter, r *http.Request) {
	var in struct{ ID, Alg, Key string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(in.Key))
	if block == nil {
		http.Error(w, "the key is not PEM", http.StatusBadRequest)
		return
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: in.ID, Use: "sig", Algorithm: in.Alg}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.add(in.ID, "private_key_jwt")
	c.TokenEndpointAuthSigningAlgorithm = in.Alg
	c.JSONWebKeys = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}}
	s.IssuerPublicKeys[in.ID] = storage.IssuerPublicKeys{Issuer: in.ID, KeysBySub: map[string]storage.SubjectPublicKeys{
		in.ID: {Subject: in.ID, Keys: map[string]storage.PublicKeyScopes{in.ID: {Key: &jwk, Scopes: scopes}}},
	}}
}

// end ends every session.
func (s *store) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.sessions {
		if err := errors.Join(s.RevokeRefreshToken(r.Context(), id), s.RevokeAccessToken(r.Context(), id)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
	clear(s.sessions)
}
