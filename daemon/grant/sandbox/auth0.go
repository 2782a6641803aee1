package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// The APIs that EarthScope (SDK 1.x and 0.2) and Planet have at Auth0. Comparison is exact: Planet's ends with a slash.
var auth0APIs = []string{"https://api.earthscope.org", "https://account.earthscope.org", "https://api.planet.com/"}

// auth0Subject comes before the id of a person.
const auth0Subject = "auth0|"

// auth0Realm is the authorization server of EarthScope's and Planet's people.
func auth0Realm() *realm {
	return &realm{
		name:     Auth0,
		issuer:   "/", // with the slash
		metadata: []string{oidcMeta, oauthMeta},
		token:    "/oauth/token", device: "/oauth/device/code", revoke: "/oauth/revoke", userinfo: "/userinfo",
		authorize: "/authorize", keys: "/.well-known/jwks.json", interact: "/u/login", activate: "/activate",
		par:       "/oauth/par",
		grants:    []string{grantCode, grantRefresh, grantClient, grantDevice},
		audiences: auth0APIs,
		life:      24 * time.Hour,
		takesJSON: true,
		refusal:   auth0Refusal,
		mint:      auth0Token,
		guard:     auth0Guard,
		inform:    auth0Person,
	}
}

// auth0Refusal has the status codes that Auth0 has: 403 and 429 where RFC 8628 §3.5 says 400, 403 for a dead refresh
// token.
func auth0Refusal(e *oauthError, grant string) answer {
	shown := *e
	status := http.StatusBadRequest
	switch {
	case e.code == "slow_down":
		status = http.StatusTooManyRequests
	case e.code == "invalid_client" && grant == grantClient:
		shown.code, shown.description, status = "access_denied", "Unauthorized", http.StatusUnauthorized
	case e.code == "invalid_client":
		status = http.StatusUnauthorized
	case e.code == "invalid_target":
		shown.code, status = "access_denied", http.StatusForbidden
	case e.code == "invalid_grant" && grant != grantCode, e.code == "authorization_pending", e.code == "expired_token",
		e.code == "access_denied", e.code == "unauthorized_client":
		status = http.StatusForbidden
	}
	a := shown.answer()
	a.status = status
	return a
}

// auth0Token has the claims that the SDKs of both providers rely on: aud is one string, azp is the client.
func auth0Token(s *Server, m *realm, r *request, i *issue, exp int64) string {
	aud := i.audience
	if aud == "" {
		aud = s.URL() + m.userinfo
	}
	claims := map[string]any{
		"iss": s.issuerOf(m), "aud": aud, "azp": i.client.ID, "iat": r.now.Unix(), "exp": exp,
	}
	if i.user == nil {
		claims["sub"], claims["gty"] = i.client.ID+"@clients", "client-credentials"
	} else {
		claims["sub"] = auth0Subject + i.user.ID
	}
	if i.scope != "" {
		claims["scope"] = i.scope
	}
	return signRSA(s.key, map[string]string{"typ": "JWT", "alg": "RS256", "kid": keyID}, claims)
}

// auth0Person adds to userinfo and id_token what Auth0 has besides.
func auth0Person(u *User, claims map[string]any) {
	claims["sub"] = auth0Subject + u.ID
	if claims["name"] != nil {
		claims["picture"], claims["updated_at"] = "https://pictures.example/"+u.ID+".png", "2023-11-14T22:13:20.000Z"
	}
}

// auth0Guard limits how often programs may ask, and says so in every answer.
func auth0Guard(s *Server, m *realm, r *request, next handler) answer {
	limit := s.opts.RateLimit
	n, ends := s.count("requests", time.Minute, r.now)
	shown := limit
	if limit == 0 {
		shown = 300
	}
	headers := map[string]string{
		"X-Ratelimit-Limit": strconv.Itoa(shown), "X-Ratelimit-Remaining": strconv.Itoa(max(0, shown-n)),
		"X-Ratelimit-Reset": strconv.FormatInt(ends.Unix(), 10), // absolute
	}
	var a answer
	if limit > 0 && n > limit {
		a = jsonAnswer(http.StatusTooManyRequests, map[string]string{
			"error": "too_many_requests", "error_description": "Global limit has been reached"})
	} else {
		a = s.quota(m, r, next, headers)
	}
	a.header = maps.Clone(a.header)
	for name, v := range headers {
		a.header.Set(name, v)
	}
	return a
}

// quota limits how many tokens an hour a machine's client gets.
func (s *Server) quota(m *realm, r *request, next handler, headers map[string]string) answer {
	form, e := m.parameters(r)
	if s.opts.Quota == 0 || r.path != m.token || e != nil || form.Get("grant_type") != grantClient {
		return next(s, m, r)
	}
	e1 := describe(r)
	n, ends := s.count("quota "+e1.ClientID, time.Hour, r.now)
	left := int(ends.Sub(r.now).Seconds())
	headers["Auth0-Client-Quota-Limit"] = fmt.Sprintf("b=per_hour;q=%d;r=%d;t=%d", s.opts.Quota,
		max(0, s.opts.Quota-n), left)
	if n > s.opts.Quota {
		headers["Retry-After"] = strconv.Itoa(left)
		return jsonAnswer(http.StatusTooManyRequests, map[string]string{
			"error": "too_many_requests", "error_description": "Client quota exceeded"})
	}
	return next(s, m, r)
}
