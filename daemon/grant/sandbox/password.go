package sandbox

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
	return s.session(ask, &authorization{realm: ask.realm, client: ask.client, scope: scope, audience: audience,
		user: u, signedIn: ask.r.now})
}
