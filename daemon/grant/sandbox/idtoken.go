package sandbox

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// IDFlaw is what is wrong with the id_tokens that a server issues.
type IDFlaw string

// The flaws.
const (
	IDFlawless  IDFlaw = ""
	IDAudience  IDFlaw = "aud"       // for another client
	IDIssuer    IDFlaw = "iss"       // of another issuer
	IDNonce     IDFlaw = "nonce"     // of another sign-in
	IDSubject   IDFlaw = "sub"       // about another person
	IDExpired   IDFlaw = "expired"   // an hour ago
	IDSignature IDFlaw = "signature" // by a key that is not published, under the name of one that is
	IDUnsigned  IDFlaw = "none"      // alg none (RFC 7515 §A.5)
)

var idFlaws = []IDFlaw{IDFlawless, IDAudience, IDIssuer, IDNonce, IDSubject, IDExpired, IDSignature, IDUnsigned}

// idMode is how id_tokens behave.
type idMode struct {
	omit bool          // answers to a refresh bring none (OpenID Connect Core §12.2)
	life time.Duration // 0: as the access token
	flaw IDFlaw
}

// idKey signs id_tokens.
type idKey struct {
	id  string
	key *rsa.PrivateKey
}

// RollKey makes a new key sign the id_tokens from now on. The key set has the new one, and the old ones too unless they
// are withdrawn.
func (s *Server) RollKey(withdraw bool) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rolled++
	if withdraw {
		s.idKeys = nil
	}
	s.idKeys = append([]idKey{{fmt.Sprintf("sandbox-%d", s.rolled+1), key}}, s.idKeys...)
}

// idClaims are what an id_token says besides who the person is.
type idClaims struct {
	nonce    string
	signedIn time.Time
}

// idToken is OpenID Connect Core §2 and §3.1.3.6.
func (s *Server) idToken(m *realm, i *issue, access string, now time.Time, exp int64) string {
	half := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": s.issuerOf(m), "aud": i.client.ID, "azp": i.client.ID, "iat": now.Unix(), "exp": exp,
		"auth_time": i.id.signedIn.Unix(), "at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
	}
	if i.id.nonce != "" {
		claims["nonce"] = i.id.nonce
	}
	m.describe(i.user, i.scope, claims)
	return s.signID(claims, now)
}

// accountToken is Google's for a service account, for the audience that it has asked for
// (https://cloud.google.com/iap/docs/authentication-howto): azp and sub are the account's number.
func (s *Server) accountToken(m *realm, i *issue, now time.Time, exp int64) string {
	half := sha256.Sum256([]byte(i.client.ID))
	number := fmt.Sprint(100000000000000000 + uint64(half[0])<<8 + uint64(half[1]))
	return s.signID(map[string]any{
		"iss": s.issuerOf(m), "aud": i.target, "azp": number, "sub": number, "email": i.client.ID,
		"email_verified": true, "iat": now.Unix(), "exp": exp,
	}, now)
}

// signID signs the claims of an id_token, in the mode that a test has set.
func (s *Server) signID(claims map[string]any, now time.Time) string {
	s.sess.mu.Lock()
	mode := s.sess.id
	s.sess.mu.Unlock()
	if mode.life > 0 {
		claims["exp"] = now.Add(mode.life).Unix()
	}
	s.mu.Lock()
	by := s.idKeys[0]
	s.mu.Unlock()
	return mode.spoil(by, claims, now)
}

// spoil signs the claims, with the flaw that the mode wants.
func (m idMode) spoil(by idKey, claims map[string]any, now time.Time) string {
	header := map[string]string{"typ": "JWT", "alg": "RS256", "kid": by.id}
	switch m.flaw {
	case IDAudience:
		claims["aud"], claims["azp"] = "another-client", "another-client"
	case IDIssuer:
		claims["iss"] = "https://issuer.invalid"
	case IDNonce:
		claims["nonce"] = "another"
	case IDSubject:
		claims["sub"] = "another"
	case IDExpired:
		claims["iat"], claims["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case IDSignature:
		by.key = strangersKey()
	case IDUnsigned:
		header["alg"] = "none"
		signed := signRSA(by.key, header, claims)
		return signed[:strings.LastIndexByte(signed, '.')+1]
	}
	return signRSA(by.key, header, claims)
}

var strangersKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// describe adds what the scope allows to know of a person (OpenID Connect Core §5.4).
func (m *realm) describe(u *User, scope string, claims map[string]any) {
	nick, _, _ := strings.Cut(u.Name, "@")
	claims["sub"] = u.ID
	if has(scope, "profile") {
		claims["name"], claims["given_name"], claims["family_name"], claims["nickname"] = nick+" Example", nick,
			"Example", nick
	}
	if has(scope, "email") {
		claims["email"], claims["email_verified"] = u.Name, true
	}
	if m.inform != nil {
		m.inform(u, claims)
	}
}

// userinfoEndpoint is OpenID Connect Core §5.3. Any access token of this server with the scope openid will do.
func (s *Server) userinfoEndpoint(m *realm, r *request) answer {
	j, why := s.believe(r)
	if why == "" && j.text("iss") != s.issuerOf(m) {
		why = "another issuer"
	}
	if why == "" && !slices.Contains(strings.Fields(j.text("scope")), "openid") {
		why = "the token is not for openid"
	}
	var u *User
	if why == "" {
		if u = s.userByID(personIn(j)); u == nil {
			why = "no such user"
		}
	}
	if why != "" {
		challenge := "Bearer" // RFC 6750 §3.1: no error code for who brought no token
		if why != "no token" {
			challenge = `Bearer error="invalid_token", error_description="` + why + `"`
		}
		return jsonAnswer(http.StatusUnauthorized, map[string]string{"error": "invalid_token",
			"error_description": why},
			"WWW-Authenticate", challenge)
	}
	claims := map[string]any{}
	m.describe(u, j.text("scope"), claims)
	return jsonAnswer(http.StatusOK, claims, "Cache-Control", "no-store")
}
