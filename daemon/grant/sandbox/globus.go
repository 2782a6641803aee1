package sandbox

import (
	"strings"
	"time"
)

// globusRealm is Globus Auth, as its discovery document and its SDK for Python describe it: access_type=offline brings
// a refresh token, which is not replaced; an access token is good for 48 hours and for one service, whose name is in
// the answer; a service that was asked for besides has its token in other_tokens.
func globusRealm() *realm {
	return &realm{
		name: Globus, metadata: []string{oidcMeta},
		token: "/v2/oauth2/token", authorize: "/v2/oauth2/authorize", revoke: "/v2/oauth2/token/revoke",
		introspect: "/v2/oauth2/token/introspect", userinfo: "/v2/oauth2/userinfo", keys: "/jwk.json",
		interact: "/v2/web/signin",
		grants:   []string{grantCode, grantRefresh, grantClient},
		life:     48 * time.Hour,
		mint: func(s *Server, m *realm, r *request, i *issue, exp int64) string {
			return s.hideToken("Ag", mintJWT(s, m, r, i, exp), exp, r.now)
		},
		dress: func(body map[string]any, i *issue) {
			body["resource_server"], body["other_tokens"] = "auth.globus.org", []any{}
			if _, service, ok := strings.Cut(i.scope, "urn:globus:auth:scope:"); ok {
				body["resource_server"], _, _ = strings.Cut(service, ":")
			}
		},
	}
}
