package sandbox

import "time"

// gitlabRealm is GitLab's, by its page "OAuth 2.0 identity provider API": a token is good for two hours; its refresh
// ends it, and replaces the refresh token; the answer to a device code has no refresh token, and a code lives five
// minutes.
func gitlabRealm() *realm {
	return &realm{
		name: GitLab, metadata: []string{oidcMeta, oauthMeta},
		token: "/oauth/token", authorize: "/oauth/authorize", device: "/oauth/authorize_device",
		revoke: "/oauth/revoke", introspect: "/oauth/introspect", userinfo: "/oauth/userinfo",
		keys:     "/oauth/discovery/keys",
		interact: "/oauth/interact", activate: "/oauth/device",
		grants:    []string{grantCode, grantRefresh, grantDevice},
		life:      2 * time.Hour,
		refreshes: true,
		mint: func(s *Server, m *realm, r *request, i *issue, exp int64) string {
			return s.hideToken("", mintJWT(s, m, r, i, exp), exp, r.now)
		},
		dress: func(body map[string]any, _ *issue) { body["token_type"] = "bearer" },
	}
}
