package sandbox

import (
	"net/http"
	"net/url"
	"time"
)

const requestURI = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2

// pushed is an authorization request that waits for its person.
type pushed struct {
	realm    *realm
	clientID string
	params   url.Values
	expires  time.Time
}

func (p *pushed) gone(now time.Time) bool { return !now.Before(p.expires) }

// parEndpoint is RFC 9126 §2.
func (s *Server) parEndpoint(m *realm, r *request) answer {
	form, e := m.parameters(r)
	if e != nil {
		return m.refuse(e, "")
	}
	c, e := s.clientOf(m, r, form)
	if e != nil {
		return m.refuse(e, "")
	}
	if form.Has("request_uri") { // §2.1: MUST NOT be provided
		return m.refuse(invalidRequest("request_uri cannot be pushed"), "")
	}
	params := url.Values{}
	for name, values := range form {
		switch name {
		// of the client's authentication, not of the request
		case "client_secret", "client_assertion", "client_assertion_type":
		default:
			params[name] = values
		}
	}
	params.Set("client_id", c.ID)
	// §2.1 item 3: validated as at the authorization endpoint.
	a, e := s.whoAsks(m, params, r.now)
	if e == nil {
		e = s.whatIsAsked(a, params)
	}
	if e != nil {
		return m.refuse(e, "")
	}
	uri := requestURI + newSecret()
	s.sess.mu.Lock()
	ok := room(s.sess.pushed, maxOpen, r.now)
	if ok {
		s.sess.pushed[uri] = &pushed{m, c.ID, params, r.now.Add(codeFor)}
	}
	s.sess.mu.Unlock()
	if !ok {
		return m.refuse(errFull, "")
	}
	return jsonAnswer(http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(codeFor.Seconds())},
		"Cache-Control", "no-store")
}

// takePushed is RFC 9126 §4: one use, by the client that pushed it; other parameters do not count.
func (s *Server) takePushed(m *realm, params url.Values, now time.Time) (url.Values, *oauthError) {
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	p := s.sess.pushed[params.Get("request_uri")]
	if p == nil || p.realm != m || p.clientID != params.Get("client_id") {
		return nil, invalidRequest("the request_uri is not known")
	}
	delete(s.sess.pushed, params.Get("request_uri"))
	if p.gone(now) {
		return nil, invalidRequest("the request_uri has expired")
	}
	return p.params, nil
}
