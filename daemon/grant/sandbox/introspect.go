package sandbox

import "net/http"

// introspectionEndpoint is RFC 7662 §2. A client that cannot prove itself is not told of any token, which §2.2 has a
// server say as if the token were not active.
func (s *Server) introspectionEndpoint(m *realm, r *request) answer {
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
	bearer := *r
	bearer.header = http.Header{"Authorization": {"Bearer " + token}}
	body := map[string]any{"active": false}
	if j, why := s.believe(&bearer); why == "" && !c.public() && j.text("iss") == s.issuerOf(m) {
		body = map[string]any{"active": true, "client_id": j.text("client_id"), "token_type": "Bearer"}
	}
	return jsonAnswer(http.StatusOK, body, "Cache-Control", "no-store")
}
