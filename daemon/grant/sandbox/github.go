package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// githubRealm is GitHub's, by its pages "Authorizing OAuth apps", "Generating a user access token for a GitHub App" and
// "Refreshing user access tokens": answers are forms unless JSON is asked for, errors come with the status 200, scopes
// have commas between them. A token that expires does so after 8 hours, its refresh token after six months; one that
// came without a refresh token (Refresh.Always is not set) does not expire, and its answer says nothing of it.
func githubRealm() *realm {
	return &realm{
		name:  GitHub,
		token: "/login/oauth/access_token", device: "/login/device/code", activate: "/login/device",
		interact: "/login/interact",
		grants:   []string{grantDevice, grantRefresh},
		life:     8 * time.Hour,
		refusal:  githubRefusal,
		mint: func(s *Server, m *realm, r *request, i *issue, exp int64) string {
			prefix := "gho_"
			if i.refresh != "" {
				prefix = "ghu_"
			}
			return s.hideToken(prefix, mintJWT(s, m, r, i, exp), exp, r.now)
		},
		dress: githubMembers,
		guard: githubGuard,
		codes: func(body map[string]any) { delete(body, "verification_uri_complete") },
	}
}

func githubMembers(body map[string]any, i *issue) {
	body["token_type"], body["scope"] = "bearer", strings.ReplaceAll(i.scope, " ", ",")
	if i.refresh == "" {
		delete(body, "expires_in")
		return
	}
	body["refresh_token_expires_in"] = 15811200
}

// githubErrors are GitHub's words :: the RFC's error → GitHub's, by grant where it depends on that.
var githubErrors = map[string]string{
	"invalid_client": "incorrect_client_credentials", "invalid_grant " + grantRefresh: "bad_refresh_token",
	"invalid_grant " + grantDevice: "incorrect_device_code",
}

func githubRefusal(e *oauthError, grant string) answer {
	code := e.code
	for _, name := range []string{e.code, e.code + " " + grant} {
		if own, ok := githubErrors[name]; ok {
			code = own
		}
	}
	return jsonAnswer(http.StatusOK, map[string]string{
		"error": code, "error_description": e.description, "error_uri": "https://docs.github.com",
	})
}

// githubGuard turns an answer into a form for a client that does not ask for JSON.
func githubGuard(s *Server, m *realm, r *request, next handler) answer {
	a := next(s, m, r)
	if slices.ContainsFunc(r.header.Values("Accept"), func(v string) bool {
		return strings.Contains(v, "application/json")
	}) {
		return a
	}
	var members map[string]any
	if json.Unmarshal(a.body, &members) != nil {
		return a
	}
	form := url.Values{}
	for name, v := range members {
		text, err := json.Marshal(v)
		if err != nil {
			return a
		}
		form.Set(name, strings.Trim(string(text), `"`))
	}
	a.header = a.header.Clone()
	a.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	a.body = []byte(form.Encode())
	return a
}
