package sandbox

import "slices"

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
