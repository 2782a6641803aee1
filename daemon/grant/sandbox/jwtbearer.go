package sandbox

import "slices"

// jwtGrant is RFC 7523 §2.1: a client's key signs for a person, or for the client itself. Google's service accounts are
// such clients: their scope stands in the assertion.
func (s *Server) jwtGrant(ask *asking) (*issue, *oauthError) {
	j, err := parseJWT(ask.form.Get("assertion"))
	if err != nil {
		return nil, invalidGrant("the assertion is no JWT") // RFC 7521 §4.1.1: invalid_grant
	}
	iss, sub := j.text("iss"), j.text("sub")
	if sub == "" && ask.realm.name == Google {
		sub = iss
	}
	if iss == "" || sub == "" { // RFC 7523 §3 items 1 and 2
		return nil, invalidGrant("iss and sub are required")
	}
	c := s.clientByID(iss)
	if c == nil {
		return nil, invalidGrant("account not found")
	}
	if c.Alg != "" && c.Alg != j.alg() || !c.verifies(j) { // §3 item 9
		return nil, invalidGrant("Invalid JWT Signature.")
	}
	if ask.client != nil && ask.client.ID != c.ID {
		return nil, invalidGrant("another client signed the assertion")
	}
	// §3 item 3: aud is the token endpoint, or names the server in another way.
	rules := s.rules(ask.realm, ask.r.path)
	if aud := j.audience(); len(aud) != 1 || !slices.Contains(rules.grants, aud[0]) {
		return nil, invalidGrant("the assertion is for another audience")
	}
	if typ := j.typ(); typ != grantTyp && (rules.typed || typ != "" && typ != "jwt") {
		return nil, invalidGrant("the assertion's typ does not fit")
	}
	exp, e := checkDates(j, ask.r.now)
	if e != nil {
		return nil, invalidGrant(e.description)
	}
	if _, ok := j.claims["jti"]; ok && !s.firstUse(iss, j.text("jti"), exp, ask.r.now) { // §3 item 7: MAY
		return nil, invalidGrant("the assertion was used before")
	}
	if len(c.Grants) > 0 && !slices.Contains(c.Grants, grantJWT) {
		return nil, &oauthError{code: "unauthorized_client", description: "the client may not use this grant type"}
	}
	return s.jwtIssue(ask, j, c, sub)
}

func (s *Server) jwtIssue(ask *asking, j *jwt, c *client, sub string) (*issue, *oauthError) {
	if target := j.text("target_audience"); target != "" {
		if j.text("scope") != "" {
			return nil, &oauthError{code: "invalid_scope",
				description: "Invalid OAuth scope or ID token audience provided."}
		}
		return &issue{client: c, target: target}, nil
	}
	if ask.realm.name == Google {
		ask.form.Del("scope")
		if scope := j.text("scope"); scope != "" {
			ask.form.Set("scope", scope)
		} else {
			return nil, &oauthError{code: "invalid_scope",
				description: "Invalid OAuth scope or ID token audience provided."}
		}
	}
	scope, audience, e := s.wants(ask.realm, ask.form)
	if e != nil {
		return nil, e
	}
	i := &issue{client: c, scope: scope, audience: audience}
	if sub != c.ID {
		if i.user = s.personNamed(sub); i.user == nil {
			return nil, invalidGrant("the subject is not known")
		}
	}
	return i, nil
}

// personNamed returns an active person by name or id, or nil.
func (s *Server) personNamed(v string) *User {
	if u := s.userByID(v); u != nil {
		return u
	}
	if u := s.activeUser(v); u != nil && u.Name == v {
		return u
	}
	return nil
}
