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
	audience, e = s.audience(m, form.Get("audience"))
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
	access := m.mint(s, m, ask.r, i, exp)
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
