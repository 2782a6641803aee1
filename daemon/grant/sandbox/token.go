package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The grant types, with what defines them.
const (
	grantCode     = "authorization_code"                              // RFC 6749 §4.1.3
	grantRefresh  = "refresh_token"                                   // §6
	grantClient   = "client_credentials"                              // §4.4
	grantPassword = "password"                                        // §4.3
	grantDevice   = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628 §3.4
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693 §2.1
	grantJWT      = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523 §2.1
)

// asking is one request to a token endpoint.
type asking struct {
	realm  *realm
	r      *request
	form   url.Values
	client *client // nil only for a JWT bearer grant
	sent   func()  // for the answer; may stay nil
}

// issue is what one answer of a token endpoint gives.
type issue struct {
	client          *client
	user            *User // nil: the client itself
	scope, audience string
	family          *family        // nil where nothing outlives the token
	refresh         string         // a new refresh token; "": none
	id              *idClaims      // nil: no id_token
	target          string         // whom an id_token is for that is the whole answer; "": an access token is given
	extra           map[string]any // further members
}

func (i *issue) subject() string {
	if i.user == nil {
		return i.client.ID
	}
	return i.user.ID
}

// grantHandlers turn a request into what it gives.
var grantHandlers = map[string]func(*Server, *asking) (*issue, *oauthError){
	grantCode: (*Server).codeGrant, grantRefresh: (*Server).refreshGrant, grantClient: (*Server).clientGrant,
	grantPassword: (*Server).passwordGrant, grantDevice: (*Server).deviceGrant, grantExchange: (*Server).exchangeGrant,
	grantJWT: (*Server).jwtGrant,
}

// tokenEndpoint is RFC 6749 §3.2.
func (s *Server) tokenEndpoint(m *realm, r *request) answer {
	form, e := m.parameters(r)
	if e != nil {
		return m.refuse(e, "")
	}
	kind := form.Get("grant_type")
	if kind == "" { // §4.1.3 and its like: REQUIRED
		return m.refuse(invalidRequest("grant_type is missing"), "")
	}
	if kind == grantRefresh {
		s.presented(form.Get("refresh_token"))
	}
	ask := &asking{realm: m, r: r, form: form}
	i, e := s.grant(ask, kind)
	var a answer
	if e != nil {
		a = m.refuse(e, kind)
	} else {
		a = s.give(ask, i)
	}
	a.sent = ask.sent
	return a
}

// grant finds out who asks, and whether the client may ask this.
func (s *Server) grant(ask *asking, kind string) (*issue, *oauthError) {
	var e *oauthError
	if kind == grantJWT { // RFC 7521 §4.1: client authentication is optional
		ask.client, e = s.authenticate(ask.r, ask.form, s.rules(ask.realm, ask.r.path))
	} else {
		ask.client, e = s.clientOf(ask.realm, ask.r, ask.form)
	}
	if e != nil {
		return nil, e
	}
	if !slices.Contains(ask.realm.grants, kind) {
		return nil, &oauthError{code: "unsupported_grant_type",
			description: "the server does not support this grant type"}
	}
	if ask.client != nil && len(ask.client.Grants) > 0 && !slices.Contains(ask.client.Grants, kind) {
		return nil, &oauthError{code: "unauthorized_client", description: "the client may not use this grant type"}
	}
	return grantHandlers[kind](s, ask)
}

// wants judges the scope and audience parameters.
func (s *Server) wants(m *realm, form url.Values) (scope, audience string, e *oauthError) {
	if form.Has("scope") {
		if e := checkScope(form.Get("scope"), s.opts.Scopes); e != nil {
			return "", "", e
		}
	}
	asked := form.Get("audience")
	if asked == "" {
		asked = form.Get("resource") // RFC 8707 §2; one at a time here
	}
	if uri := form.Get("resource"); strings.Contains(uri, "#") || form.Has("resource") && !strings.Contains(uri, ":") {
		return "", "", &oauthError{code: "invalid_target", description: "resource is no absolute URI"}
	}
	audience, e = s.audience(m, asked)
	return form.Get("scope"), audience, e
}

// clientGrant is RFC 6749 §4.4 with the scope parameter of §3.3 and an audience.
func (s *Server) clientGrant(ask *asking) (*issue, *oauthError) {
	if ask.client.public() { // §4.4: MUST only be used by confidential clients
		return nil, &oauthError{code: "unauthorized_client", description: "a public client has no credentials"}
	}
	scope, audience, e := s.wants(ask.realm, ask.form)
	if e != nil {
		return nil, e
	}
	return &issue{client: ask.client, scope: scope, audience: audience}, nil
}

// give is RFC 6749 §5.1.
func (s *Server) give(ask *asking, i *issue) answer {
	m := ask.realm
	life := s.life(m.life)
	exp := ask.r.now.Unix() + life
	if i.target != "" {
		return jsonAnswer(http.StatusOK, map[string]any{"id_token": s.accountToken(m, i, ask.r.now, exp)},
			"Cache-Control", "no-store", "Pragma", "no-cache")
	}
	access, had := s.standing(m, i, ask.r.now)
	if had == 0 {
		access = m.mint(s, m, ask.r, i, exp)
	} else {
		exp, life = had, had-ask.r.now.Unix()
	}
	s.stand(m, i, access, exp)
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": life}
	if i.scope != "" {
		body["scope"] = i.scope
	}
	if i.refresh != "" {
		body["refresh_token"] = i.refresh
	}
	if i.id != nil {
		body["id_token"] = s.idToken(m, i, access, ask.r.now, exp)
	}
	for name, v := range i.extra {
		body[name] = v
	}
	if m.dress != nil {
		m.dress(body, i)
	}
	if i.family != nil {
		s.remember(i.family, access)
	}
	return jsonAnswer(http.StatusOK, body, "Cache-Control", "no-store", "Pragma", "no-cache") // §5.1
}

// standing returns the token that a machine has, and its end, where it gets that one again.
func (s *Server) standing(m *realm, i *issue, now time.Time) (access string, exp int64) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if t, ok := s.sess.standing[i.client.ID]; ok && m.repeats && t.exp > now.Unix() {
		return t.access, t.exp
	}
	return "", 0
}

// stand remembers a machine's token.
func (s *Server) stand(m *realm, i *issue, access string, exp int64) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if m.repeats && (len(s.sess.standing) < maxOpen || s.sess.standing[i.client.ID].exp != 0) {
		s.sess.standing[i.client.ID] = standing{access, exp}
	}
}

// hideToken puts an opaque token in the place of one that tells something.
func (s *Server) hideToken(prefix, token string, exp int64, now time.Time) string {
	hidden := prefix + newSecret()
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if room(s.sess.opaque, maxOpen, now) {
		s.sess.opaque[Digest(hidden)] = &opaque{token, time.Unix(exp, 0)}
	}
	return hidden
}

// has reports whether a scope contains the token.
func has(scope, token string) bool { return slices.Contains(strings.Fields(scope), token) }

// passwordGrant is RFC 6749 §4.3.2, which RFC 9700 §2.4 forbids and some providers still have.
func (s *Server) passwordGrant(ask *asking) (*issue, *oauthError) {
	name, password := ask.form.Get("username"), ask.form.Get("password")
	if name == "" || password == "" {
		return nil, invalidRequest("username and password are required")
	}
	scope, audience, e := s.wants(ask.realm, ask.form)
	if e != nil {
		return nil, e
	}
	u := s.signIn(name, password)
	if u == nil {
		return nil, invalidGrant("wrong name or password") // §5.2: the resource owner's credentials are invalid
	}
	if at := ask.realm.code; at != "" && u.Code != "" && !sameSecret(u.Code, ask.form.Get(at)) {
		return nil, invalidGrant("Invalid user credentials")
	}
	return s.session(ask, &authorization{realm: ask.realm, client: ask.client, scope: scope, audience: audience,
		user: u, signedIn: ask.r.now})
}

// The token types of RFC 8693 §3.
const (
	typeAccess  = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT     = "urn:ietf:params:oauth:token-type:jwt"
	typeID      = "urn:ietf:params:oauth:token-type:id_token"
	typeRefresh = "urn:ietf:params:oauth:token-type:refresh_token"
)

// exchangeGrant is RFC 8693 §2: an access or id token of this server for an access token, of the same subject and at
// most the same scope.
func (s *Server) exchangeGrant(ask *asking) (*issue, *oauthError) {
	subject, kind := ask.form.Get("subject_token"), ask.form.Get("subject_token_type")
	if subject == "" || kind == "" { // §2.1: REQUIRED
		return nil, invalidRequest("subject_token and subject_token_type are required")
	}
	if !slices.Contains([]string{typeAccess, typeJWT, typeID}, kind) {
		return nil, invalidRequest("subject_token_type is not supported")
	}
	if want := ask.form.Get("requested_token_type"); want != "" && want != typeAccess && want != typeJWT {
		return nil, invalidRequest("requested_token_type is not supported")
	}
	// §2.1: actor_token_type REQUIRED with an actor_token, MUST NOT be there without.
	if ask.form.Has("actor_token") != ask.form.Has("actor_token_type") {
		return nil, invalidRequest("actor_token and actor_token_type go together")
	}
	if ask.form.Has("actor_token") {
		return nil, invalidRequest("delegation is not supported")
	}
	scope, audience, e := s.wants(ask.realm, ask.form)
	if e != nil {
		return nil, e
	}
	r := *ask.r
	r.header = map[string][]string{"Authorization": {"Bearer " + subject}}
	j, why := s.believe(&r)
	if why != "" || j.text("iss") != s.issuerOf(ask.realm) || kind == typeID && j.text("at_hash") == "" ||
		kind == typeAccess && j.text("at_hash") != "" {
		return nil, invalidRequest("subject_token is not valid") // §2.2.2: invalid_request
	}
	u := s.userByID(personIn(j))
	if u == nil && s.clientByID(personIn(j)) == nil {
		return nil, invalidRequest("the subject is not known")
	}
	if kind != typeID {
		if e := within(scope, j.text("scope")); e != nil {
			return nil, e
		}
	}
	return &issue{client: ask.client, user: u, scope: scope, audience: audience,
		extra: map[string]any{"issued_token_type": typeAccess}}, nil // §2.2.1: REQUIRED
}
