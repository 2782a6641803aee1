package sandbox

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// realm is one authorization server of those behind the origin: where its endpoints are, and how its manners differ
// from the RFCs' plain reading, which is what a nil or empty member means. It does not change once the server is made.
type realm struct {
	name     string
	issuer   string   // what follows the origin in the issuer identifier
	metadata []string // paths of the metadata documents
	token, authorize, device, par, revoke, introspect, userinfo, keys,
	interact, activate string // paths; interact and activate are pages for persons
	grants    []string
	audiences []string      // the APIs it knows, besides Options.Audiences
	life      time.Duration // of its access tokens
	takesJSON bool          // the token and revocation endpoints take JSON too
	refreshes bool          // every sign-in has a refresh token, without being asked
	repeats   bool          // a machine gets the token that it has as long as that is good
	code      string        // the parameter of a one-time code beside a password
	namesSelf bool          // in authorization responses (RFC 9207)

	refusal func(e *oauthError, grant string) answer                          // an error of the token endpoint
	mint    func(s *Server, m *realm, r *request, i *issue, exp int64) string // an access token
	dress   func(body map[string]any, i *issue)                               // the members of an answer
	guard   func(s *Server, m *realm, r *request, next handler) answer        // around the endpoints for programs
	inform  func(u *User, claims map[string]any)                              // userinfo
	tell    func(params url.Values, a *authorization)                         // an authorization response
	codes   func(body map[string]any)                                         // a device authorization response
}

type handler func(s *Server, m *realm, r *request) answer

// route is what a path leads to.
type route struct {
	realm   *realm
	methods []string
	handler handler
	token   bool // Options.Latency applies
}

// mount lays out the realms' paths.
func (s *Server) mount(o Options) {
	root, paths := genericRealm(o.IssuerPath), []*realm{keycloakRealm(), copernicusRealm()}
	switch o.Dialect {
	case Generic:
	case Auth0:
		root = auth0Realm()
	case Google:
		root = googleRealm()
	case Copernicus:
		root, paths = copernicusRealm(), paths[:1]
	case EUMETSAT:
		root = eumetsatRealm()
	case Globus:
		root = globusRealm()
	case GitHub:
		root = githubRealm()
	case GitLab:
		root = gitlabRealm()
	default:
		panic("sandbox: no such dialect: " + o.Dialect)
	}
	s.realms, s.routes = append([]*realm{root}, paths...), map[string]route{}
	for _, m := range s.realms {
		if o.PasswordGrant && !slices.Contains(m.grants, grantPassword) {
			m.grants = append(m.grants, grantPassword)
		}
		for _, path := range m.metadata {
			s.routes[path] = route{m, []string{"GET"}, (*Server).metadata, false}
		}
		for path, r := range map[string]route{
			m.keys:       {m, []string{"GET"}, (*Server).keySet, false},
			m.token:      {m, []string{"POST"}, guarded((*Server).tokenEndpoint), true},
			m.device:     {m, []string{"POST"}, guarded((*Server).deviceEndpoint), true},
			m.revoke:     {m, []string{"POST"}, guarded((*Server).revocationEndpoint), false},
			m.introspect: {m, []string{"POST"}, guarded((*Server).introspectionEndpoint), false},
			m.par:        {m, []string{"POST"}, guarded((*Server).parEndpoint), false},
			m.userinfo:   {m, []string{"GET", "POST"}, guarded((*Server).userinfoEndpoint), false},
			m.authorize:  {m, []string{"GET", "POST"}, (*Server).authorizationEndpoint, false},
			m.interact:   {m, []string{"POST"}, (*Server).interaction, false},
			m.activate:   {m, []string{"GET", "POST"}, (*Server).activation, false},
		} {
			if path != "" {
				s.routes[path] = r
			}
		}
	}
}

func guarded(h handler) handler {
	return func(s *Server, m *realm, r *request) answer {
		if m.guard != nil {
			return m.guard(s, m, r, h)
		}
		return h(s, m, r)
	}
}

// realm answers the paths of the authorization servers.
func (s *Server) realm(r *request) (answer, bool) {
	to, ok := s.routes[r.path]
	if !ok {
		return answer{}, false
	}
	if !slices.Contains(to.methods, r.method) {
		return only(r, strings.Join(to.methods, ", "), nil), true
	}
	return to.handler(s, to.realm, r), true
}

func (s *Server) issuerOf(m *realm) string { return s.URL() + m.issuer }

// Issuer returns the issuer identifier (RFC 8414 §2) of the server at the root.
func (s *Server) Issuer() string { return s.issuerOf(s.realms[0]) }

// The paths of the server at the root, for Count and Script; "" where the dialect has none.

// TokenPath returns the path of the token endpoint.
func (s *Server) TokenPath() string { return s.realms[0].token }

// AuthorizePath returns the path of the authorization endpoint.
func (s *Server) AuthorizePath() string { return s.realms[0].authorize }

// DevicePath returns the path of the device authorization endpoint.
func (s *Server) DevicePath() string { return s.realms[0].device }

// KeysPath returns the path of the key set (jwks_uri).
func (s *Server) KeysPath() string { return s.realms[0].keys }

// RevokePath returns the path of the revocation endpoint.
func (s *Server) RevokePath() string { return s.realms[0].revoke }

// IntrospectPath returns the path of the introspection endpoint.
func (s *Server) IntrospectPath() string { return s.realms[0].introspect }

// UserinfoPath returns the path of the userinfo endpoint.
func (s *Server) UserinfoPath() string { return s.realms[0].userinfo }

// PARPath returns the path of the pushed authorization request endpoint.
func (s *Server) PARPath() string { return s.realms[0].par }

// life returns the lifetime of access tokens in seconds.
func (s *Server) life(usual time.Duration) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lifetime != 0 {
		usual = s.lifetime
	}
	return int64(usual.Seconds())
}

// metadata is RFC 8414 §2 and OpenID Connect Discovery §3.
func (s *Server) metadata(m *realm, _ *request) answer {
	issuer, origin := s.issuerOf(m), s.URL()
	doc := map[string]any{
		"issuer":                                issuer,
		"grant_types_supported":                 m.grants,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"code_challenge_methods_supported":      []string{"S256"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": s.opts.ClientAuth,
		"token_endpoint_auth_signing_alg_values_supported": []string{"HS256", "HS384", "HS512", "RS256", "PS256",
			"ES256", "EdDSA"},
	}
	for name, path := range map[string]string{
		"token_endpoint": m.token, "authorization_endpoint": m.authorize, "jwks_uri": m.keys,
		"userinfo_endpoint":                     m.userinfo,
		"device_authorization_endpoint":         m.device, // RFC 8628 §4
		"revocation_endpoint":                   m.revoke,
		"introspection_endpoint":                m.introspect,
		"pushed_authorization_request_endpoint": m.par, // RFC 9126 §5
	} {
		if path != "" {
			doc[name] = origin + path
		}
	}
	if m.namesSelf {
		doc["authorization_response_iss_parameter_supported"] = true // RFC 9207 §3
	}
	s.sess.mu.Lock()
	defer s.sess.mu.Unlock()
	if s.sess.par {
		doc["require_pushed_authorization_requests"] = true
	}
	if len(s.opts.Scopes) > 0 {
		doc["scopes_supported"] = s.opts.Scopes
	}
	return jsonAnswer(http.StatusOK, doc)
}

// keySet is the server's keys as a JWK Set (RFC 7517 §5, RFC 7518 §6.3.1).
func (s *Server) keySet(*realm, *request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []map[string]string
	for _, k := range s.idKeys {
		public := k.key.PublicKey
		keys = append(keys, map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.id,
			"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"keys": keys})
}

// refuse is an error of the token endpoint and those that follow its rules.
func (m *realm) refuse(e *oauthError, grant string) answer {
	if m.refusal != nil {
		return m.refusal(e, grant)
	}
	return e.answer()
}

// rules are how the realm authenticates clients at the path.
func (s *Server) rules(m *realm, path string) authRules {
	issuer, token, here := s.issuerOf(m), s.URL()+m.token, s.URL()+path
	audiences := []string{issuer, token, here} // RFC 9126 §2 wants all three accepted
	switch s.opts.AssertionAudience {
	case AudienceToken:
		audiences = []string{token}
	case AudienceEndpoint:
		audiences = []string{here}
	case AudienceIssuer:
		audiences = []string{issuer}
	case AudienceTyped:
		audiences = []string{issuer}
	}
	rules := authRules{audiences: audiences, grants: audiences, issuer: issuer, formEncoded: m.name == "generic" && !s.opts.RawBasic}
	if s.opts.AssertionAudience == AudienceTyped {
		rules.grants, rules.typed = []string{issuer, token}, true
	}
	return rules
}

// knows lists the audiences that tokens of the realm can have, but for the default.
func (s *Server) knows(m *realm) []string {
	return append(slices.Clone(m.audiences), s.opts.Audiences...)
}

// audience judges the audience parameter (RFC 8693 §2.1 names it; Auth0 and others take it with every grant).
func (s *Server) audience(m *realm, asked string) (string, *oauthError) {
	if known := s.knows(m); asked == "" || len(known) == 0 || slices.Contains(known, asked) || asked == s.URL() {
		return asked, nil
	}
	return "", &oauthError{code: "invalid_target", description: "Service not found: " + asked} // RFC 8693 §2.2.2
}
