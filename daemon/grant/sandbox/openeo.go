package sandbox

import (
	"net/http"
	"strings"
)

// OpenEO makes the server an openEO back end too (openEO API 1.2.0, https://api.openeo.org), whose people sign in at
// the authorization server at the root.
type OpenEO struct {
	// ID is the provider's id; tokens come as "oidc/ID/TOKEN".
	ID string
	// Scopes are those that a sign-in must ask for.
	Scopes []string
	// Clients are the public clients that are listed; they must be in Options.Clients too.
	Clients []OpenEOClient
	// Before are the issuers of other providers, listed before this server.
	Before []string
	// Elsewhere is the origin of the API where it is not this server's: that is then only said.
	Elsewhere string
}

// OpenEOClient is one of the default clients: its grant types and redirect URLs, in openEO's words.
type OpenEOClient struct {
	ID        string   `json:"id"`
	Grants    []string `json:"grant_types"`
	Redirects []string `json:"redirect_urls,omitempty"`
}

// The paths of an openEO back end.
const (
	OpenEOWellKnown = "/.well-known/openeo"
	OpenEOAPI       = "/openeo/1.2"
	openEOProviders = OpenEOAPI + "/credentials/oidc"
	OpenEOMe        = OpenEOAPI + "/me"
)

func (s *Server) openEO(r *request) (answer, bool) {
	eo := s.opts.OpenEO
	if eo == nil {
		return answer{}, false
	}
	switch r.path {
	case OpenEOWellKnown:
		return only(r, "GET", s.openEOVersions), true
	case openEOProviders:
		return only(r, "GET", s.openEOProviders), true
	case OpenEOMe:
		return only(r, "GET", s.openEOMe), true
	}
	return answer{}, false
}

// openEOVersions lists an old version, the current one, and one that is not in production.
func (s *Server) openEOVersions(*request) answer {
	at := s.URL()
	if e := s.opts.OpenEO.Elsewhere; e != "" {
		at = e
	}
	return jsonAnswer(http.StatusOK, map[string]any{"versions": []map[string]any{
		{"url": at + "/openeo/0.4", "api_version": "0.4.2"},
		{"url": at + OpenEOAPI + "/", "api_version": "1.2.0", "production": true},
		{"url": at + "/openeo/1.1", "api_version": "1.1.0"},
		{"url": at + "/openeo/dev", "api_version": "1.3.0", "production": false},
		{"url": at + "/openeo/2", "api_version": "2.0.0-beta"},
	}})
}

func (s *Server) openEOProviders(*request) answer {
	eo := s.opts.OpenEO
	var list []map[string]any
	for _, issuer := range eo.Before {
		list = append(list, map[string]any{"id": "other", "issuer": issuer, "title": "Another", "scopes": []string{}})
	}
	list = append(list, map[string]any{
		"id": eo.ID, "issuer": s.Issuer(), "title": "Sandbox", "scopes": eo.Scopes, "default_clients": eo.Clients,
	})
	return jsonAnswer(http.StatusOK, map[string]any{"providers": list})
}

// openEOMe takes no token without its prefix.
func (s *Server) openEOMe(r *request) answer {
	refused := func(code string) answer {
		return jsonAnswer(http.StatusUnauthorized, map[string]string{"code": code, "message": "no"})
	}
	token, err := bearerToken(r.header)
	prefix := "oidc/" + s.opts.OpenEO.ID + "/"
	if err != nil || !strings.HasPrefix(token, prefix) {
		return refused("AuthenticationSchemeInvalid")
	}
	plain := *r
	plain.header = http.Header{"Authorization": {"Bearer " + strings.TrimPrefix(token, prefix)}}
	j, why := s.believe(&plain)
	if why != "" {
		return refused("TokenInvalid")
	}
	return jsonAnswer(http.StatusOK, map[string]string{"user_id": j.text("sub")})
}
