package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// authorization is what a client asks a person for, at the authorization endpoint or for a device.
type authorization struct {
	realm           *realm
	client          *client
	redirect, state string
	challenge       string // "": without PKCE
	nonce           string
	scope, audience string
	offline         bool   // access_type=offline, Google's offline_access
	hint            string // login_hint
	device          *device

	user     *User // once signed in
	signedIn time.Time
	asked    time.Time
}

func (a *authorization) gone(now time.Time) bool { return !now.Before(a.asked.Add(openFor)) }

// authorizationEndpoint is RFC 6749 §3.1. Until client and redirect URI are known to be good, no browser is redirected
// (§4.1.2.1).
func (s *Server) authorizationEndpoint(m *realm, r *request) answer {
	params, e := authorizationParams(r)
	if e != nil {
		return errorPage(e.description)
	}
	pushedOne := params.Has("request_uri")
	if pushedOne {
		if params, e = s.takePushed(m, params, r.now); e != nil {
			return errorPage(e.description)
		}
	}
	a, e := s.whoAsks(m, params, r.now)
	if e != nil {
		return errorPage(e.description)
	}
	s.sess.mu.Lock()
	required, consent := s.sess.par, s.sess.consent
	s.sess.mu.Unlock()
	if required && !pushedOne { // RFC 9126 §5
		return s.tell(a, r, invalidRequest("the request must be pushed"))
	}
	if e := s.whatIsAsked(a, params); e != nil {
		return s.tell(a, r, e)
	}
	return s.ask(a, r, consent, params.Get("prompt"))
}

// authorizationParams reads the parameters of a GET or a POST (OpenID Connect Core §3.1.2.1).
func authorizationParams(r *request) (url.Values, *oauthError) {
	if r.method == http.MethodPost {
		return tokenForm(r)
	}
	params, err := url.ParseQuery(r.query)
	if err != nil {
		return nil, invalidRequest("the query cannot be parsed")
	}
	for name, values := range params {
		if len(values) > 1 { // RFC 6749 §3.1: MUST NOT be included more than once
			return nil, invalidRequest("a parameter is repeated")
		}
		if !utf8.ValidString(name + values[0]) {
			return nil, invalidRequest("a parameter is not UTF-8")
		}
		if values[0] == "" { // §3.1: sent without a value is treated as omitted
			delete(params, name)
		}
	}
	return params, nil
}

// whoAsks checks what must be right before anything may be redirected.
func (s *Server) whoAsks(m *realm, params url.Values, now time.Time) (*authorization, *oauthError) {
	c := s.clientByID(params.Get("client_id"))
	if c == nil {
		return nil, invalidRequest("the client is not known")
	}
	uri := params.Get("redirect_uri")
	if !slices.ContainsFunc(c.RedirectURIs, func(known string) bool { return sameRedirect(known, uri, c.ExactPort) }) {
		return nil, invalidRequest("the redirect URI is not registered")
	}
	return &authorization{
		realm: m, client: c, redirect: uri, state: params.Get("state"), nonce: params.Get("nonce"), asked: now,
		hint: params.Get("login_hint"), offline: params.Get("access_type") == "offline",
	}, nil
}

// sameRedirect is RFC 6749 §3.1.2.3: string comparison, but for the port of a loopback address (RFC 8252 §7.3; a name
// like localhost is none, §8.3). Without a fragment (RFC 6749 §3.1.2).
func sameRedirect(known, uri string, exactPort bool) bool {
	if uri == "" || strings.Contains(uri, "#") {
		return false
	}
	if known == uri {
		return true
	}
	a, ok1 := withoutPort(known)
	b, ok2 := withoutPort(uri)
	return !exactPort && ok1 && ok2 && a == b
}

// withoutPort takes the port out of an http URI on a loopback address, and reports whether it is one.
func withoutPort(uri string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			rest = strings.TrimLeft(port, "0123456789")
		}
		return host + rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", false
}

// whatIsAsked checks the rest, whose errors go to the client.
func (s *Server) whatIsAsked(a *authorization, params url.Values) *oauthError {
	if t := params.Get("response_type"); t == "" {
		return invalidRequest("response_type is missing") // RFC 6749 §4.1.1: REQUIRED
	} else if t != "code" {
		return &oauthError{code: "unsupported_response_type", description: "only code"}
	}
	if mode := params.Get("response_mode"); mode != "" && mode != "query" {
		return invalidRequest("response_mode: only query")
	}
	if params.Has("request") { // OpenID Connect Core §6: no request objects here
		return &oauthError{code: "request_not_supported", description: "no request objects"}
	}
	if len(a.client.Grants) > 0 && !slices.Contains(a.client.Grants, grantCode) {
		return &oauthError{code: "unauthorized_client", description: "the client may not use codes"}
	}
	if e := a.setChallenge(params); e != nil {
		return e
	}
	var e *oauthError
	a.scope, a.audience, e = s.wants(a.realm, params)
	return e
}

// setChallenge is RFC 7636 §4.3 and §4.4.1.
func (a *authorization) setChallenge(params url.Values) *oauthError {
	a.challenge = params.Get("code_challenge")
	if a.challenge == "" {
		if a.client.public() { // RFC 9700 §2.1.1: public clients MUST use PKCE
			return invalidRequest("code challenge required")
		}
		if params.Has("code_challenge_method") {
			return invalidRequest("code_challenge is missing")
		}
		return nil
	}
	if params.Get("code_challenge_method") != "S256" { // absent means plain (§4.3), which is not supported
		return invalidRequest("transform algorithm not supported")
	}
	if !challenge.MatchString(a.challenge) {
		return invalidRequest("code_challenge is no S256 hash")
	}
	return nil
}

// ask shows the person a form, or answers in their place.
func (s *Server) ask(a *authorization, r *request, consent Consent, prompt string) answer {
	switch {
	case consent == ConsentDeny:
		return s.finish(a, r, false)
	case consent == ConsentAllow:
		if a.user = s.activeUser(a.hint); a.user == nil {
			return s.tell(a, r, &oauthError{code: "login_required", description: "nobody can sign in"})
		}
		a.signedIn = r.now
		return s.finish(a, r, true)
	case prompt == "none": // OpenID Connect Core §3.1.2.1: MUST NOT display anything
		return s.tell(a, r, &oauthError{code: "login_required", description: "nobody is signed in"})
	}
	handle := newSecret()
	s.sess.mu.Lock()
	ok := room(s.sess.open, maxOpen, r.now)
	if ok {
		s.sess.open[handle] = a
	}
	s.sess.mu.Unlock()
	if !ok {
		return s.tell(a, r, errFull)
	}
	return loginPage(http.StatusOK, a, handle, "")
}

// activeUser returns the active person of that name; for "" it returns the one who was added first.
func (s *Server) activeUser(name string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[name]
	if u == nil {
		u = s.users[s.firstUser]
	}
	if u == nil || u.blocked {
		return nil
	}
	return &User{Name: u.Name, ID: u.ID, APIKey: u.APIKey}
}

// finish is what follows from the person's decision.
func (s *Server) finish(a *authorization, r *request, allowed bool) answer {
	if a.device != nil {
		return s.decide(a, allowed)
	}
	if !allowed {
		return s.tell(a, r, &oauthError{code: "access_denied", description: "the person refused"})
	}
	s.narrow(a)
	value, e := s.newCode(a, r.now)
	if e != nil {
		return s.tell(a, r, e)
	}
	params := url.Values{"code": {value}}
	if a.realm.tell != nil {
		a.realm.tell(params, a)
	}
	return s.redirect(a, r, params)
}

// narrow applies SetGrantedScope.
func (s *Server) narrow(a *authorization) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if s.sess.granted != "" {
		a.scope = s.sess.granted
	}
}

// tell sends an error to the client (RFC 6749 §4.1.2.1).
func (s *Server) tell(a *authorization, r *request, e *oauthError) answer {
	return s.redirect(a, r, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// redirect is RFC 6749 §4.1.2; the redirect URI keeps its own query (§3.1.2). After a POST it is a 303 and never a 307,
// which would send the form's password on (RFC 9700 §4.12).
func (s *Server) redirect(a *authorization, r *request, params url.Values) answer {
	if a.state != "" {
		params.Set("state", a.state)
	}
	if a.realm.namesSelf {
		params.Set("iss", s.issuerOf(a.realm)) // RFC 9207 §2
	}
	separator := "?"
	if strings.Contains(a.redirect, "?") {
		separator = "&"
	}
	status := http.StatusFound
	if r.method == http.MethodPost {
		status = http.StatusSeeOther
	}
	return answer{status: status, header: http.Header{
		"Location": {a.redirect + separator + params.Encode()}, "Cache-Control": {"no-store"},
		"Referrer-Policy": {"no-referrer"}, // RFC 9700 §4.2.4
	}}
}
