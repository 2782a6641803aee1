package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// b64token is RFC 6750 §2.1.
var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// bearerToken is RFC 6750 §2.1.
func bearerToken(h http.Header) (string, error) {
	token, err := schemeCredentials(h, "Bearer")
	if err != nil || !b64token.MatchString(token) {
		return "", errNoCredentials
	}
	return token, nil
}

// believe verifies the request's access token as a resource server that knows the issuers' key does (RFC 9068 §4), but
// for issuer and audience: by its signature and expiry, and by the list of revoked tokens. why is empty where all is
// well.
func (s *Server) believe(r *request) (j *jwt, why string) {
	presented, err := bearerToken(r.header)
	if err != nil {
		return nil, "no token"
	}
	token := presented
	s.sess.mu.Lock()
	if o := s.sess.opaque[Digest(presented)]; o != nil {
		token = o.token
	}
	s.sess.mu.Unlock()
	j, err = parseJWT(token)
	if err != nil || !j.verifyRSA(&s.key.PublicKey) {
		return nil, "not a token of this server"
	}
	exp, ok, err := j.date("exp")
	if err != nil || !ok || !r.now.Before(exp) { // RFC 7519 §4.1.4: on or after exp it MUST NOT be accepted
		return nil, "expired"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[Digest(presented)] {
		return nil, "revoked"
	}
	return j, ""
}

// bearer verifies an access token for the API of this server: by its issuer and audience too.
func (s *Server) bearer(r *request) (j *jwt, why string) {
	j, why = s.believe(r)
	if why != "" {
		return nil, why
	}
	iss, url := j.text("iss"), s.URL()
	ours, accepted := iss == url, append([]string{url}, s.opts.Audiences...)
	for _, m := range s.realms {
		if iss == s.issuerOf(m) {
			ours, accepted = true, append(accepted, m.audiences...)
		}
	}
	if !ours {
		return nil, "another issuer"
	}
	if !slices.ContainsFunc(j.audience(), func(a string) bool { return slices.Contains(accepted, a) }) {
		return nil, "another audience"
	}
	return j, ""
}

// personIn returns the id of the person whom an access token is about, or "".
func personIn(j *jwt) string {
	if id := j.text("user_id"); id != "" {
		return id
	}
	return strings.TrimPrefix(j.text("sub"), auth0Subject)
}

// unauthorized is RFC 6750 §3: a challenge without an error code where no token was given (§3.1).
func unauthorized(why string) answer {
	challenge := "Bearer"
	if why != "no token" {
		challenge = `Bearer error="invalid_token", error_description="` + why + `"`
	}
	return detail(http.StatusUnauthorized, "Unauthorized", "WWW-Authenticate", challenge)
}

// api is the protected API: any path, any method, one JSON object for a caller with a token or a static key.
func (s *Server) api(r *request) answer {
	if s.staticKey(r) {
		return jsonAnswer(http.StatusOK, map[string]any{"path": r.path, "api_key": true})
	}
	j, why := s.bearer(r)
	if why != "" {
		return unauthorized(why)
	}
	exp, _, _ := j.date("exp")
	userID := j.text("user_id")
	if u := s.userByID(personIn(j)); u != nil {
		userID = u.ID
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"path": r.path, "user_id": userID, "client_id": j.text("client_id"), "scope": j.text("scope"),
		"token_expires_at": exp.Unix(),
	})
}

// staticKey reports whether the request carries one of Options.APIKeys, exactly.
func (s *Server) staticKey(r *request) bool {
	return slices.ContainsFunc(s.opts.APIKeys, func(k APIKey) bool {
		if k.Header == "" {
			k.Header = "Authorization"
		}
		want := k.Value
		if k.Prefix != "" {
			want = k.Prefix + " " + k.Value
		}
		values := r.header.Values(k.Header)
		return len(values) == 1 && sameSecret(values[0], want) && !s.keyRevoked(k.Value)
	})
}
