package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

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
	return signRSA(s.key, map[string]string{"typ": "JWT", "alg": "RS256", "kid": keyID}, claims)
}

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
