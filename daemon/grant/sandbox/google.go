package sandbox

import (
	"net/url"
	"time"
)

// googleRealm is Google's, for installed applications and for service accounts, with its several hosts in one.
func googleRealm() *realm {
	return &realm{
		name:     Google,
		issuer:   "",
		metadata: []string{oidcMeta},
		token:    "/token", revoke: "/revoke", userinfo: "/v1/userinfo", authorize: "/o/oauth2/v2/auth",
		keys: "/oauth2/v3/certs", interact: "/signin",
		grants: []string{grantCode, grantRefresh, grantJWT},
		life:   time.Hour,
		mint:   mintGoogle,
		dress:  googleMembers,
		tell:   func(params url.Values, a *authorization) { params.Set("scope", a.scope) },
	}
}

// mintGoogle gives tokens that tell nothing.
func mintGoogle(s *Server, m *realm, r *request, i *issue, exp int64) string {
	return s.hideToken("ya29.sandbox-", mintJWT(s, m, r, i, exp), exp, r.now)
}

// googleMembers: a second less than there is; a service account's answer has no scope.
func googleMembers(body map[string]any, i *issue) {
	body["expires_in"] = body["expires_in"].(int64) - 1
	if i.family == nil {
		delete(body, "scope")
	}
}
