package sandbox

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// User is a person who may sign in.
type User struct {
	// Name is what the person types, usually a mail address; it is the email of users/me.
	Name     string
	Password string
	// ID is the user_id; empty means a new UUID.
	ID string
	// APIKey is the person's Planet API key; empty means a new one, see [Server.APIKey].
	APIKey string
	// Code is the one-time code that the person's password is taken with, where the dialect has one; empty: none.
	Code string
}

// Client is a registered OAuth client. Without Secret, Key, TLSSubject and Thumbprint it is a public one (RFC 6749
// §2.1).
type Client struct {
	ID     string
	Secret string
	// Method is the only client authentication method it may use; empty means any that the server accepts.
	Method string
	// Owner is the Name of the user whom its tokens name; empty means the user who was added first.
	Owner string

	// RedirectURIs are compared byte by byte, but for the port of one on 127.0.0.1 or [::1] (RFC 8252 §7.3).
	RedirectURIs []string
	// ExactPort compares that port too, as servers do that know nothing of RFC 8252.
	ExactPort bool
	// DevicePKCE wants a code challenge where a device's sign-in begins, and its verifier at the token endpoint, as
	// Keycloak does of clients that must use PKCE.
	DevicePKCE bool
	// Grants are the grant types it may use; empty means all.
	Grants []string

	// Key verifies what the client signs: a *rsa.PublicKey, *ecdsa.PublicKey (P-256) or ed25519.PublicKey.
	Key crypto.PublicKey
	// Alg is the only algorithm it may sign with (token_endpoint_auth_signing_alg); empty means any that fits its
	// secret or key.
	Alg string
	// KeyID is the kid that its assertions must name; empty means that kid is not looked at.
	KeyID string
	// TLSSubject is the subject of its certificate for tls_client_auth (RFC 8705 §2.1.2), as pkix.Name.String writes
	// it.
	TLSSubject string
	// Thumbprint is the x5t#S256 of its certificate for self_signed_tls_client_auth (§2.2): [Thumbprint] computes it.
	Thumbprint string
}

// public reports whether the client has nothing to authenticate with.
func (c *Client) public() bool {
	return c.Method == None || c.Secret == "" && c.Key == nil && c.TLSSubject == "" && c.Thumbprint == ""
}

// application reports whether the client is a program for many people, and not one person's own.
func (c *Client) application() bool {
	return c.public() || len(c.RedirectURIs) > 0 || slices.Contains(c.Grants, grantDevice)
}

type account struct {
	User
	blocked bool
}

type client struct {
	Client
	userID   string
	disabled bool
}

// AddUser adds or replaces a person.
func (s *Server) AddUser(u User) {
	if u.ID == "" {
		u.ID = newUUID()
	}
	if u.APIKey == "" {
		u.APIKey = "PLAK" + newSecret()[:32]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.Name] = &account{User: u}
	if s.firstUser == "" {
		s.firstUser = u.Name
	}
}

// BlockUser makes sign-ins and refreshes of the person fail, and users/me and tokens for the person's own clients too,
// or ends that.
func (s *Server) BlockUser(name string, blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[name]; u != nil {
		u.blocked = blocked
	}
}

// AddClient registers or replaces a client.
func (s *Server) AddClient(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &client{Client: c}
	if c.Owner == "" {
		c.Owner = s.firstUser
	}
	if u := s.users[c.Owner]; u != nil {
		k.userID = u.ID
	}
	s.clients[c.ID] = k
}

// DisableClient makes the client an unknown one (invalid_client), or ends that.
func (s *Server) DisableClient(id string, disabled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[id]; c != nil {
		c.disabled = disabled
	}
}

// SetClientSecret gives the client another secret, so that the one its owner holds is wrong.
func (s *Server) SetClientSecret(id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[id]; c != nil {
		// A new value, not a changed one: a request that is being answered holds the old one without the lock.
		d := *c
		d.Secret = secret
		s.clients[id] = &d
	}
}

// Clients returns the ids of all clients, sorted.
func (s *Server) Clients() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.clients))
	for id := range s.clients {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Revoke makes the API refuse an access token that is still valid by the clock.
func (s *Server) Revoke(accessToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[Digest(accessToken)] = true
}

// SetTokenLifetime changes the life of tokens issued from now on. It panics on less than 3 s.
func (s *Server) SetTokenLifetime(d time.Duration) {
	if d < minLifetime || d%time.Second != 0 {
		panic(fmt.Sprintf("sandbox: a token lifetime of %v is not a number of whole seconds from 3 on", d))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// SetLatency changes Options.Latency.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetSkew puts the server's clock ahead of Options.Clock by d: in Date, iat, exp and every check.
func (s *Server) SetSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// SetURL changes the server's origin; tokens that name the old one are no longer accepted.
func (s *Server) SetURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
}

// clientByID returns a client that may be used, or nil.
func (s *Server) clientByID(id string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil || c.disabled {
		return nil
	}
	if c.application() {
		return c
	}
	for _, u := range s.users {
		if u.ID == c.userID && u.blocked {
			return nil
		}
	}
	return c
}

// signIn returns the person with this name and password, or nil.
func (s *Server) signIn(name, password string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[name]
	if u == nil || u.blocked || !sameSecret(u.Password, password) {
		return nil
	}
	return &User{Name: u.Name, ID: u.ID, APIKey: u.APIKey, Code: u.Code}
}

// userByID returns an active person, or nil.
func (s *Server) userByID(id string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.ID == id && !u.blocked {
			return &User{Name: u.Name, ID: u.ID, APIKey: u.APIKey}
		}
	}
	return nil
}

// sameSecret compares in a time that depends on neither.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// Digest is how a token or a jti appears in the log and in counters: its SHA-256, in hexadecimal.
func Digest(v string) string {
	sum := sha256.Sum256([]byte(v))
	return hex.EncodeToString(sum[:])
}

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret returns 32 random bytes as SpatiaFi writes them: 43 characters of base64url.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
