package sandbox

import (
	"net/http"
	"regexp"
	"slices"
)

// b64token is RFC 6750 §2.1.
var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// bearerToken is RFC 6750 §2.1.
func bearerToken(h http.Header) (string, error) {
	token, err := authorization(h, "Bearer")
	if err != nil || !b64token.MatchString(token) {
		return "", errNoCredentials
	}
	return token, nil
}

// bearer verifies the request's access token as a resource server that knows the issuer's key does (RFC 9068 §4): by its
// signature, issuer, audience and expiry, and by the list of revoked tokens. why is empty where all is well.
func (s *Server) bearer(r *request) (j *jwt, why string) {
	token, err := bearerToken(r.header)
	if err != nil {
		return nil, "no token"
	}
	j, err = parseJWT(token)
	if err != nil || !j.verifyRSA(&s.key.PublicKey) {
		return nil, "not a token of this server"
	}
	s.mu.Lock()
	url, revoked := s.url, s.revoked[digest(token)]
	s.mu.Unlock()
	if iss := j.text("iss"); iss != url && iss != url+s.opts.IssuerPath {
		return nil, "another issuer"
	}
	if !slices.Contains(j.audience(), url) {
		return nil, "another audience"
	}
	exp, ok, err := j.date("exp")
	if err != nil || !ok || !r.now.Before(exp) { // RFC 7519 §4.1.4: on or after exp it MUST NOT be accepted
		return nil, "expired"
	}
	if revoked {
		return nil, "revoked"
	}
	return j, ""
}

// unauthorized is RFC 6750 §3: a challenge without an error code where no token was given (§3.1).
func unauthorized(why string) answer {
	challenge := "Bearer"
	if why != "no token" {
		challenge = `Bearer error="invalid_token", error_description="` + why + `"`
	}
	return detail(http.StatusUnauthorized, "Unauthorized", "WWW-Authenticate", challenge)
}

// api is the protected API: any path, any method, one JSON object for a caller with a token.
func (s *Server) api(r *request) answer {
	j, why := s.bearer(r)
	if why != "" {
		return unauthorized(why)
	}
	exp, _, _ := j.date("exp")
	return jsonAnswer(http.StatusOK, map[string]any{
		"path": r.path, "user_id": j.text("user_id"), "client_id": j.text("client_id"), "scope": j.text("scope"),
		"token_expires_at": exp.Unix(),
	})
}
