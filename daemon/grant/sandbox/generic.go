package sandbox

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
)

// The paths of the generic server, below its issuer's path.
const (
	genericToken = "/token"
	genericKeys  = "/keys"
	oauthMeta    = "/.well-known/oauth-authorization-server"
	oidcMeta     = "/.well-known/openid-configuration"
	keyID        = "sandbox-1"
)

// TokenPath returns the path of the generic server's token endpoint.
func (s *Server) TokenPath() string { return s.opts.IssuerPath + genericToken }

// Issuer returns the generic server's issuer identifier (RFC 8414 §2).
func (s *Server) Issuer() string { return s.URL() + s.opts.IssuerPath }

// generic answers the paths of a plain OAuth 2.0 server with client credentials, scopes and audiences.
func (s *Server) generic(r *request) (answer, bool) {
	base := s.opts.IssuerPath
	switch r.path {
	case oauthMeta + base, // RFC 8414 §3.1: inserted between host and path
		base + oidcMeta: // OpenID Connect Discovery §4: appended to the issuer
		return only(r, "GET", s.genericMetadata), true
	case base + genericToken:
		return only(r, "POST", s.genericToken), true
	case base + genericKeys:
		return only(r, "GET", s.genericKeys), true
	}
	return answer{}, false
}

// genericMetadata is RFC 8414 §2. There is no authorization_endpoint: no grant here needs one.
func (s *Server) genericMetadata(*request) answer {
	issuer := s.Issuer()
	return jsonAnswer(http.StatusOK, map[string]any{
		"issuer":                                           issuer,
		"token_endpoint":                                   issuer + genericToken,
		"jwks_uri":                                         issuer + genericKeys,
		"grant_types_supported":                            []string{"client_credentials"},
		"response_types_supported":                         []string{},
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{"RS256"},
		"token_endpoint_auth_methods_supported":            s.opts.ClientAuth,
		"token_endpoint_auth_signing_alg_values_supported": []string{"HS256", "HS384", "HS512"},
	})
}

// genericKeys is the server's key as a JWK Set (RFC 7517 §5, RFC 7518 §6.3.1).
func (s *Server) genericKeys(*request) answer {
	public := s.key.PublicKey
	return jsonAnswer(http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
}

// genericToken is RFC 6749 §4.4 with the scope parameter of §3.3 and an audience parameter (RFC 8693 §2.1 names it;
// Auth0 and others take it with client credentials).
func (s *Server) genericToken(r *request) answer {
	form, e := tokenForm(r)
	if e != nil {
		return e.answer()
	}
	if !form.Has("grant_type") { // §4.4.2
		return invalidRequest("grant_type is missing").answer()
	}
	// RFC 7523 §3 lets aud be the token endpoint; the issuer identifier names the same server.
	c, e := s.authenticate(r, form, authRules{audiences: []string{s.Issuer() + genericToken, s.Issuer()}, formEncoded: true})
	if e != nil {
		return e.answer()
	}
	if c == nil {
		return invalidClient("client authentication is required").answer()
	}
	if form.Get("grant_type") != "client_credentials" {
		return (&oauthError{code: "unsupported_grant_type", description: "only client_credentials"}).answer()
	}
	if form.Has("scope") {
		if e := checkScope(form.Get("scope"), s.opts.Scopes); e != nil {
			return e.answer()
		}
	}
	return s.genericIssue(r, c, form)
}

// genericIssue gives an RFC 9068 access token. Without an audience it is for this server's own API.
func (s *Server) genericIssue(r *request, c *client, form url.Values) answer {
	s.mu.Lock()
	life, aud := int64(s.lifetime.Seconds()), s.url
	s.mu.Unlock()
	if form.Has("audience") {
		aud = form.Get("audience")
	}
	iat := r.now.Unix()
	claims := map[string]any{
		"iss": s.Issuer(), "sub": c.ID, "client_id": c.ID, "aud": aud, "iat": iat, "exp": iat + life, "jti": newUUID(),
	}
	body := map[string]any{"token_type": "Bearer", "expires_in": life}
	if form.Has("scope") {
		claims["scope"], body["scope"] = form.Get("scope"), form.Get("scope")
	}
	body["access_token"] = signRSA(s.key, map[string]string{"typ": "at+jwt", "alg": "RS256", "kid": keyID}, claims)
	return jsonAnswer(http.StatusOK, body, "Cache-Control", "no-store", "Pragma", "no-cache") // RFC 6749 §5.1
}
