package sandbox

import "net/http"

// revocationEndpoint is RFC 7009 §2: a refresh token takes its family with it, an access token goes alone. A token that
// is not known is no error (§2.2).
func (s *Server) revocationEndpoint(m *realm, r *request) answer {
	form, e := m.parameters(r)
	if e != nil {
		return m.refuse(e, "")
	}
	c, e := s.clientOf(m, r, form)
	if e != nil {
		return m.refuse(e, "")
	}
	token := form.Get("token")
	if token == "" { // §2.1: REQUIRED
		return m.refuse(invalidRequest("token is missing"), "")
	}
	if e := s.revokeFor(m, r, c, token); e != nil {
		return m.refuse(e, "")
	}
	return answer{status: http.StatusOK, header: http.Header{"Cache-Control": {"no-store"}}}
}

func (s *Server) revokeFor(m *realm, r *request, c *client, token string) *oauthError {
	other := invalidRequest("the token was issued to another client") // §2.1: the request is refused
	s.sess.mu.Lock()
	if t := s.sess.refresh[Digest(token)]; t != nil {
		defer s.sess.mu.Unlock()
		if t.family.realm != m || t.family.client.ID != c.ID {
			return other
		}
		if m.name == Auth0 { // its access tokens live until they expire
			t.family.access = nil
		}
		s.endLocked(t.family)
		return nil
	}
	s.sess.mu.Unlock()
	bearer := *r
	bearer.header = http.Header{"Authorization": {"Bearer " + token}}
	j, why := s.believe(&bearer)
	if why != "" || j.text("iss") != s.issuerOf(m) || m.name == Auth0 { // which revokes refresh tokens only
		return nil
	}
	if id := j.text("client_id"); id != c.ID && j.text("azp") != c.ID {
		return other
	}
	s.Revoke(token)
	return nil
}
