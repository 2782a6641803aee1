// Zitadel runs the example server of zitadel/oidc for groat's tests: its library, its storage and its pages, with
// clients of our own. Nobody who wrote groat wrote its rules.
//
// It listens on a free loopback port, prints "READY <issuer>" when it answers, keeps everything in memory, and ends
// when its standard input does, so that it cannot outlive the test that started it. Access tokens live for five
// minutes. A refresh token is good once, and its use ends the access token that came with it.
//
// Its clients are called after how they authenticate (RFC 7591 §2) and share one secret, new at each run:
// client_secret_basic, client_secret_post, none, and those that a test adds with a key. One person signs in, alice.
//
//	GET  /test/config    {secret, person, password, api}: api takes access tokens of persons
//	POST /test/client    {id, key}: a client that authenticates by private_key_jwt, with its public key, PEM
//	POST /test/secret    {}: the clients' secret is another one, which it answers as {secret}
//	POST /test/end       {}: every session has ended
package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "zitadel:", err)
		os.Exit(1)
	}
}

func run() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := fmt.Sprintf("http://%s/", listener.Addr()) // the slash is the example's
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := newStore(issuer)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /test/config", s.config)
	mux.HandleFunc("POST /test/client", s.register)
	mux.HandleFunc("POST /test/secret", s.changeSecret)
	mux.HandleFunc("POST /test/end", s.end)
	mux.Handle("/", exampleop.SetupServer(issuer, s, logger, false))
	go http.Serve(listener, mux)
	fmt.Println("READY", issuer)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// person is who signs in: the user name, and the subject of tokens.
const person = "alice"

// people are the persons of the example's storage.
type people struct{ alice *storage.User }

func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }

func (p people) GetUserByID(id string) *storage.User {
	if id != person {
		return nil
	}
	return p.alice
}

// ExampleClientID implements [storage.UserStore]: whose key the example has built in. It is nobody's here.
func (people) ExampleClientID() string { return "nobody" }

// store is the example's storage with other clients. A device's session is the client's that began it; in the
// example's it is nobody's, and could never be renewed.
type store struct {
	*storage.Storage
	issuer, password string

	mu      sync.Mutex
	secret  string
	clients map[string]*client
	known   map[string]*storage.Client // of the embedded storage, which looks there who begins a device's session
}

func newStore(issuer string) *store {
	s := &store{issuer: issuer, secret: newSecret(), password: rand.Text(), clients: map[string]*client{},
		known: map[string]*storage.Client{}}
	for _, method := range []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost, oidc.AuthMethodNone} {
		s.clients[string(method)] = &client{id: string(method), method: method}
		s.known[string(method)] = storage.DeviceClient(string(method), "")
	}
	alice := &storage.User{ID: person, Username: person, Password: s.password, Email: person + "@example.test"}
	s.Storage = storage.NewStorageWithClients(people{alice}, s.known)
	return s
}

// newSecret has characters that RFC 6749 §2.3.1 has form-encoded inside Basic.
func newSecret() string { return rand.Text() + ":+/%&= " + rand.Text() }

func (s *store) client(id string) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil {
		return nil, errors.New("there is no client " + id)
	}
	return c, nil
}

// GetClientByClientID implements [op.OPStorage].
func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, err := s.client(id)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AuthorizeClientIDSecret implements [op.OPStorage].
func (s *store) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	c, err := s.client(id)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.key != nil || c.method == oidc.AuthMethodNone || secret != s.secret {
		return errors.New("the secret is wrong")
	}
	return nil
}

// ClientCredentials implements [op.ClientCredentialsStorage].
func (s *store) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if err := s.AuthorizeClientIDSecret(ctx, id, secret); err != nil {
		return nil, err
	}
	return s.GetClientByClientID(ctx, id)
}

// ClientCredentialsTokenRequest implements [op.ClientCredentialsStorage].
func (s *store) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{id}, Scopes: scopes}, nil
}

// GetKeyByIDAndClientID implements [op.OPStorage]. A client has one key, whatever it calls it.
func (s *store) GetKeyByIDAndClientID(_ context.Context, _, id string) (*jose.JSONWebKey, error) {
	c, err := s.client(id)
	if err != nil {
		return nil, err
	} else if c.key == nil {
		return nil, errors.New(id + " has no key")
	}
	return &jose.JSONWebKey{Use: "sig", Key: c.key}, nil
}

// CreateAccessAndRefreshTokens implements [op.AuthStorage].
func (s *store) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (
	accessTokenID, refreshToken string, expiration time.Time, err error) {
	if device, ok := r.(*op.DeviceAuthorizationState); ok {
		r = &storage.AuthRequest{ApplicationID: device.ClientID, UserID: device.Subject, Scopes: device.Scopes}
	}
	return s.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
}

func (s *store) config(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]string{"secret": s.secret, "person": person, "password": s.password,
		"api": s.issuer + "userinfo"})
}

func (s *store) changeSecret(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = newSecret()
	json.NewEncoder(w).Encode(map[string]string{"secret": s.secret})
}

// register adds a client with a key. It must not be called while a device's session begins.
func (s *store) register(w http.ResponseWriter, r *http.Request) {
	var in struct{ ID, Key string }
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[in.ID] = &client{id: in.ID, method: oidc.AuthMethodPrivateKeyJWT, key: key}
	s.known[in.ID] = storage.DeviceClient(in.ID, "")
}

// end is the person's sign-out from every client.
func (s *store) end(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.clients {
		s.TerminateSession(r.Context(), person, id)
	}
}
