package sandbox

import (
	"math"
	"net/http"
	"strings"
)

// The paths of SpatiaFi's and Climate Engine's authorization server, for Count and Script. Everything else below /api/
// and /v1/ is the protected API.
const (
	SpatiafiBasicPath   = "/api/v1/auth/jwt/token/basic"
	SpatiafiTokenPath   = "/api/v1/auth/jwt/token"
	SpatiafiClientsPath = "/api/v1/clients/"
	SpatiafiMePath      = "/api/v1/users/me"
)

// maxClients bounds what a loop of POSTs can leave in memory.
const maxClients = 10_000

// spatiafi answers the paths of the SpatiaFi and Climate Engine dialect: FastAPI's manners, fastapi-users' bodies.
func (s *Server) spatiafi(r *request) (answer, bool) {
	switch r.path {
	case SpatiafiBasicPath:
		return only(r, "GET", s.spatiafiBasic), true
	case SpatiafiTokenPath:
		return only(r, "POST", s.spatiafiToken), true
	case SpatiafiClientsPath:
		return only(r, "POST", s.spatiafiCreate), true
	case strings.TrimSuffix(SpatiafiClientsPath, "/"):
		// FastAPI redirects to the path that it knows, and keeps the method.
		return answer{status: http.StatusTemporaryRedirect,
			header: http.Header{"Location": {s.URL() + SpatiafiClientsPath}}}, true
	case SpatiafiMePath:
		return only(r, "GET", s.spatiafiMe), true
	}
	if strings.HasPrefix(r.path, "/api/") || strings.HasPrefix(r.path, "/v1/") {
		return s.api(r), true
	}
	return answer{}, false
}

// only answers 405 to other methods (RFC 9110 §15.5.6: with Allow).
func only(r *request, method string, h func(*request) answer) answer {
	if r.method != method {
		return detail(http.StatusMethodNotAllowed, "Method Not Allowed", "Allow", method)
	}
	return h(r)
}

// missing is FastAPI's 422 for fields of the body.
func missing(fields ...string) answer {
	type problem struct {
		Loc  []string `json:"loc"`
		Msg  string   `json:"msg"`
		Type string   `json:"type"`
	}
	var list []problem
	for _, f := range fields {
		list = append(list, problem{[]string{"body", f}, "field required", "value_error.missing"})
	}
	return jsonAnswer(http.StatusUnprocessableEntity, map[string]any{"detail": list})
}

// spatiafiBasic is the GET with a person's name and password in HTTP Basic (RFC 7617).
func (s *Server) spatiafiBasic(r *request) answer {
	name, password, err := basicCredentials(r.header)
	if err != nil {
		return detail(http.StatusUnauthorized, "Unauthorized", "WWW-Authenticate", "Basic")
	}
	u := s.signIn(name, password)
	if u == nil {
		return detail(http.StatusUnauthorized, "Unauthorized", "WWW-Authenticate", "Basic")
	}
	return s.spatiafiIssue(r, u.ID)
}

// spatiafiToken is the token endpoint: a form with the password grant of a public client, or client credentials.
func (s *Server) spatiafiToken(r *request) answer {
	form, e := tokenForm(r)
	if e == errNotForm {
		return missing("grant_type", "username", "password") // what FastAPI says to a JSON body: it sees no field
	}
	if e != nil {
		return e.answer()
	}
	c, e := s.authenticate(r, form, authRules{audiences: []string{s.URL() + SpatiafiTokenPath}})
	if e != nil {
		return e.answer()
	}
	switch form.Get("grant_type") {
	case "password": // RFC 6749 §4.3.2
		return s.spatiafiPassword(r, form.Get("username"), form.Get("password"))
	case "client_credentials": // §4.4.2: the client MUST authenticate
		if c == nil {
			return invalidClient("client authentication is required").answer()
		}
		return s.spatiafiIssue(r, c.userID)
	case "":
		return missing("grant_type")
	}
	return (&oauthError{code: "unsupported_grant_type", description: "only password and client_credentials"}).answer()
}

func (s *Server) spatiafiPassword(r *request, name, password string) answer {
	var absent []string
	if name == "" {
		absent = append(absent, "username")
	}
	if password == "" {
		absent = append(absent, "password")
	}
	if absent != nil {
		return missing(absent...)
	}
	u := s.signIn(name, password)
	if u == nil {
		return detail(http.StatusBadRequest, "LOGIN_BAD_CREDENTIALS")
	}
	return s.spatiafiIssue(r, u.ID)
}

// spatiafiCreate makes a client for the person of the token. It is permanent, and its secret is shown once.
func (s *Server) spatiafiCreate(r *request) answer {
	u, refused := s.person(r)
	if u == nil {
		return refused
	}
	if len(r.body) > 0 {
		return jsonAnswer(http.StatusUnprocessableEntity, map[string]any{"detail": []map[string]any{
			{"loc": []string{"body"}, "msg": "the body must be empty", "type": "value_error"}}})
	}
	c := &client{Client: Client{ID: newUUID(), Secret: newSecret(), Owner: u.Name}, userID: u.ID}
	s.mu.Lock()
	full := len(s.clients) >= maxClients
	if !full {
		s.clients[c.ID] = c
	}
	s.mu.Unlock()
	if full {
		return detail(http.StatusServiceUnavailable, "Too many clients")
	}
	return jsonAnswer(http.StatusCreated, struct {
		UserID       string `json:"user_id"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}{u.ID, c.ID, c.Secret}, "Cache-Control", "no-store")
}

// spatiafiMe is fastapi-users' default model of a user.
func (s *Server) spatiafiMe(r *request) answer {
	u, refused := s.person(r)
	if u == nil {
		return refused
	}
	return jsonAnswer(http.StatusOK, struct {
		ID          string `json:"id"`
		Email       string `json:"email"`
		IsActive    bool   `json:"is_active"`
		IsSuperuser bool   `json:"is_superuser"`
		IsVerified  bool   `json:"is_verified"`
	}{u.ID, u.Name, true, false, false})
}

// person returns the active user whom the request's token names, or nil and the answer to give.
func (s *Server) person(r *request) (*User, answer) {
	j, why := s.bearer(r)
	if why != "" {
		return nil, unauthorized(why)
	}
	u := s.userByID(j.text("user_id"))
	if u == nil {
		return nil, unauthorized("no such user")
	}
	return u, answer{}
}

// spatiafiIssue gives a token with the quirks of the real one: no kid in its header, a list as aud, no sub, nbf or
// scope; a lower-case token_type; and three lifetimes that disagree. At 900 s they are 900 (exp), 840 (expires_at) and
// 839 (expires_in); other lifetimes L scale the minute to L/15, rounded, at least 1 s: 10, 9 and 8 for a token of 10 s.
func (s *Server) spatiafiIssue(r *request, userID string) answer {
	life, url := s.life(defaultLifetime), s.URL()
	iat := r.now.Unix()
	exp := iat + life
	expiresAt := exp - max(1, int64(math.Round(float64(life)/15)))
	token := signRSA(s.key, struct {
		Typ string `json:"typ"`
		Alg string `json:"alg"`
	}{"JWT", "RS256"}, struct {
		UserID string   `json:"user_id"`
		Groups []string `json:"groups"`
		Roles  []string `json:"roles"`
		Aud    []string `json:"aud"`
		Iss    string   `json:"iss"`
		Exp    int64    `json:"exp"`
		Iat    int64    `json:"iat"`
		Jti    string   `json:"jti"`
	}{userID, []string{}, []string{"all-datasets"}, []string{url, s.opts.API}, url, exp, iat, newUUID()})
	return jsonAnswer(http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresAt   int64  `json:"expires_at"`
		ExpiresIn   int64  `json:"expires_in"`
	}{token, "bearer", expiresAt, expiresAt - iat - 1}, "Cache-Control", "no-store", "Pragma", "no-cache")
}
