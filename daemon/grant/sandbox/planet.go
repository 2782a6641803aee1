package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// PlanetLoginPath is the path of Planet's old login.
const PlanetLoginPath = "/v0/auth/login"

// planetAPI are the beginnings of the paths of Planet's API.
var planetAPI = []string{"/data/", "/basemaps/", "/compute/", "/subscriptions/", "/tasking/"}

// planet answers Planet's old login, and its API for access tokens and API keys.
func (s *Server) planet(r *request) (answer, bool) {
	switch {
	case r.path == PlanetLoginPath:
		return only(r, "POST", s.planetLogin), true
	case slices.ContainsFunc(planetAPI, func(p string) bool { return strings.HasPrefix(r.path, p) }):
		if key := planetKey(r.header); key != "" {
			u := s.userByKey(key)
			if u == nil {
				return unauthorized("the API key is not valid"), true
			}
			return jsonAnswer(http.StatusOK, map[string]any{"path": r.path, "user_id": u.ID, "api_key": true}), true
		}
		return s.api(r), true
	}
	return answer{}, false
}

// planetLogin takes a mail address and a password as JSON, and nothing else, and answers with a JWT that nothing but
// the server can verify: its claim api_key is the credential.
func (s *Server) planetLogin(r *request) answer {
	if media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type")); media != "application/json" {
		return answer{status: http.StatusUnsupportedMediaType}
	}
	var in struct{ Email, Password string }
	if _, err := object(r.body); err != nil || json.Unmarshal(r.body, &in) != nil {
		return answer{status: http.StatusBadRequest}
	}
	u := s.signIn(in.Email, in.Password)
	if u == nil {
		return answer{status: http.StatusUnauthorized} // without a body
	}
	token := signHMAC(Digest(s.key.D.String()), map[string]any{
		"api_key": u.APIKey, "email": u.Name, "user_id": 1, "organization_id": 1, "iat": r.now.Unix(),
	})
	return jsonAnswer(http.StatusOK, map[string]string{"token": token}, "Cache-Control", "no-store")
}

// signHMAC makes an HS256 token.
func signHMAC(key string, claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err) // they are strings and numbers
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(b)
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// planetKey returns the API key of "Authorization: api-key K", or of Basic with the key as name and no password.
func planetKey(h http.Header) string {
	if key, err := schemeCredentials(h, "api-key"); err == nil {
		return key
	}
	if key, password, err := basicCredentials(h); err == nil && password == "" {
		return key
	}
	return ""
}

// APIKey returns a person's Planet API key, or "".
func (s *Server) APIKey(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[name]; u != nil {
		return u.APIKey
	}
	return ""
}

// RevokeAPIKey makes the API refuse a key, a person's or a static one.
func (s *Server) RevokeAPIKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[Digest(key)] = true
}

func (s *Server) keyRevoked(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[Digest(key)]
}

// userByKey returns the active person with this API key, or nil.
func (s *Server) userByKey(key string) *User {
	if s.keyRevoked(key) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if sameSecret(u.APIKey, key) && !u.blocked {
			return &User{Name: u.Name, ID: u.ID, APIKey: u.APIKey}
		}
	}
	return nil
}
