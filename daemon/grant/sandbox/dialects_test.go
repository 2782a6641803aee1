package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Planet's machines: the secret in the body or in Basic, members that no RFC knows, two ways to say no.
func TestKeycloak(t *testing.T) {
	s := newPersonServer(t, Options{Refresh: Refresh{Always: true}})
	to := s.URL() + KeycloakTokenPath
	form := url.Values{"grant_type": {"client_credentials"}, "audience": {planetAPIName}}
	post := with(url.Values{"client_id": {clientID}, "client_secret": {secret}}, form)
	for name, r := range map[string]reply{"post": postForm(t, to, post),
		"basic": postForm(t, to, form, "Authorization", basicHeader(clientID, secret))} {
		want := []string{"access_token", "expires_in", "not-before-policy", "refresh_expires_in", "scope", "token_type"}
		if d := cmp.Diff(want, members(t, r)); d != "" || r.member(t, "expires_in") != float64(3600) ||
			r.member(t, "scope") != "email profile" {
			t.Errorf("%s: %s %s", name, d, r.body)
		}
		claims := segment(t, r.text(t, "access_token"), 1)
		if claims["iss"] != s.URL()+KeycloakIssuerPath || claims["aud"] != planetAPIName ||
			r.api(t, s, "/data/v1/x") != 200 {
			t.Errorf("%s: %v", name, claims)
		}
	}
	postForm(t, to, with(post, url.Values{"client_secret": {"x"}})).refused(t, "wrong secret", 401,
		"unauthorized_client")
	postForm(t, to, form, "Authorization", basicHeader(clientID, "x")).refused(t, "wrong secret in Basic", 401,
		"unauthorized_client")
	postForm(t, to, with(post, url.Values{"client_id": {"x"}})).refused(t, "unknown client", 401, "invalid_client")
	postForm(t, to, url.Values{"grant_type": {"refresh_token"}, "client_id": {native},
		"refresh_token": {"x"}}).refused(t, "refresh", 400, "invalid_grant")
	postForm(t, to, with(form, url.Values{"audience": {"https://api.planet.com"}}), "Authorization",
		basicHeader(clientID, secret)).
		refused(t, "audience without its slash", 400, "invalid_target")
	if r := send(t, "GET", s.URL()+KeycloakIssuerPath+oidcMeta, ""); r.member(t, "issuer") != s.URL()+
		KeycloakIssuerPath || r.member(t, "token_endpoint") != to {
		t.Errorf("metadata: %s %s", r.Status, r.body)
	}
	// A person there, whose tokens are no good at the other server.
	r := send(t, "GET", s.URL()+strings.TrimSuffix(KeycloakTokenPath, "token")+"auth?"+
		asked(url.Values{"scope": {"openid"}}).Encode(), "")
	u, _ := url.Parse(r.Header.Get("Location"))
	code := u.Query().Get("code")
	redeem(t, s, code, nil).refused(t, "a code of another server", 400, "invalid_grant")
	person := postForm(t, to, url.Values{"grant_type": {grantCode}, "code": {code}, "client_id": {native},
		"redirect_uri": {portedBack}, "code_verifier": {testVerify}})
	if person.StatusCode != 200 || person.text(t, "session_state") == "" ||
		person.member(t, "refresh_expires_in") != float64(1800) {
		t.Fatalf("%s %s", person.Status, person.body)
	}
	refresh(t, s, person.text(t, "refresh_token"), nil).refused(t, "a refresh token of another server", 400,
		"invalid_grant")
	me := func(path string) int { return person.api(t, s, path) }
	if here, there := me(strings.TrimSuffix(KeycloakTokenPath, "token")+"userinfo"), me("/userinfo"); here != 200 ||
		there != 401 {
		t.Errorf("userinfo: %d here, %d at another server", here, there)
	}
}

func TestPlanetLogin(t *testing.T) {
	s := newPersonServer(t, Options{})
	login := func(body, media string) reply {
		return send(t, "POST", s.URL()+PlanetLoginPath, body, "Content-Type", media)
	}
	const json = "application/json"
	r := login(`{"email":"`+alice+`","password":"`+alicePass+`"}`, json)
	token := r.text(t, "token")
	key, _ := segment(t, token, 1)["api_key"].(string)
	if r.StatusCode != 200 || key == "" || key != s.APIKey(alice) || segment(t, token, 0)["alg"] != "HS256" ||
		len(members(t, r)) != 1 {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	for name, tt := range map[string]struct {
		body, media string
		status      int
	}{
		"wrong password": {`{"email":"` + alice + `","password":"x"}`, json, 401},
		"nobody":         {`{}`, json, 401},
		"a form":         {"email=" + alice, "application/x-www-form-urlencoded", 415},
		"no JSON":        {"x", json, 400},
		"a list":         {"[]", json, 400},
		"a number":       {`{"email":1}`, json, 400},
	} {
		if r := login(tt.body, tt.media); r.StatusCode != tt.status || r.body != "" {
			t.Errorf("%s: %s %q", name, r.Status, r.body)
		}
	}
	api := func(header string) int {
		return send(t, "GET", s.URL()+"/data/v1/item-types", "", "Authorization", header).StatusCode
	}
	check := func(what string, want int) {
		t.Helper()
		for _, header := range []string{"api-key " + key, basicHeader(key, "")} {
			if got := api(header); got != want {
				t.Errorf("%s, %s…: %d", what, header[:8], got)
			}
		}
	}
	check("at first", 200)
	for _, header := range []string{"Bearer " + key, "api-key x" + key, "api-key", key, basicHeader(key, "x"),
		basicHeader("", "")} {
		if got := api(header); got != 401 {
			t.Errorf("%s…: %d", header[:4], got)
		}
	}
	if got := send(t, "GET", s.URL()+"/api/info", "", "Authorization", "api-key "+key).StatusCode; got != 401 {
		t.Errorf("another provider's API: %d", got)
	}
	s.BlockUser(alice, true)
	check("blocked", 401)
	s.BlockUser(alice, false)
	s.RevokeAPIKey(key)
	check("revoked", 401)
}

// Static keys: the header and the prefix, exactly.
func TestStaticKeys(t *testing.T) {
	s := newServer(t, Options{APIKeys: []APIKey{
		{Value: "dummy-1"}, {Prefix: "Token", Value: "dummy-2"}, {Header: "X-Api-Key", Value: "dummy-3"},
	}})
	get := func(name, value string) int { return send(t, "GET", s.URL()+"/v1/x", "", name, value).StatusCode }
	for _, tt := range []struct {
		name, value string
		want        int
	}{
		{"Authorization", "dummy-1", 200}, {"Authorization", "Token dummy-2", 200}, {"X-Api-Key", "dummy-3", 200},
		{"Authorization", "Bearer dummy-1", 401}, {"Authorization", "token dummy-2", 401},
		{"Authorization", "dummy-2", 401},
		{"Authorization", "Token  dummy-2", 401}, {"Authorization", "dummy-3", 401}, {"X-Api-Key", "dummy-1", 401},
		{"X-Api-Key", "x", 401},
	} {
		if got := get(tt.name, tt.value); got != tt.want {
			t.Errorf("%s: %s: %d", tt.name, tt.value, got)
		}
	}
	s.RevokeAPIKey("dummy-1")
	if got := get("Authorization", "dummy-1"); got != 401 {
		t.Errorf("revoked: %d", got)
	}
}

func TestEarthscopeProfile(t *testing.T) {
	s := newPersonServer(t, Options{Dialect: Auth0})
	for _, audience := range auth0APIs {
		r := tokens(t, s, url.Values{"audience": {audience}})
		for _, path := range []string{EarthscopeProfilePath, EarthscopeOldProfilePath} {
			if got := r.api(t, s, path); got != 200 {
				t.Errorf("%s, %s: %d", path, audience, got)
			}
		}
	}
	none := tokens(t, s, nil)
	if aud := segment(t, none.text(t, "access_token"), 1)["aud"]; aud != s.URL()+"/userinfo" {
		t.Errorf("without an audience it is for %v", aud)
	}
	if got := none.api(t, s, EarthscopeProfilePath); got != 401 {
		t.Errorf("another audience: %d", got)
	}
	if r := send(t, "GET", s.URL()+EarthscopeProfilePath, ""); r.StatusCode != 401 {
		t.Errorf("no token: %s", r.Status)
	}
	r := tokens(t, s, url.Values{"audience": {earthscopeAPIName}})
	s.Revoke(r.text(t, "access_token"))
	if got := r.api(t, s, EarthscopeProfilePath); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	r = tokens(t, s, url.Values{"audience": {earthscopeAPIName}})
	s.BlockUser(alice, true)
	if got := r.api(t, s, EarthscopeProfilePath); got != 401 {
		t.Errorf("blocked: %d", got)
	}
}

// An installed application: opaque tokens, offline only where asked, a secret that is none.
func TestGoogleInstalledApp(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Dialect: Google, Clock: func() time.Time { return now }})
	web := url.Values{"client_id": {"web"}, "client_secret": {secret}, "redirect_uri": {webCallback},
		"code_verifier": {""}}
	plain := url.Values{"client_id": {"web"}, "redirect_uri": {webCallback}, "scope": {"openid"}}
	if q := authorize(t, s, plain); q.Get("scope") != "openid" || q.Get("code") == "" {
		t.Errorf("%v", q)
	}
	request := asked(plain)
	request.Del("code_challenge")
	request.Del("code_challenge_method")
	code := func(more string) string {
		r := send(t, "GET", s.URL()+s.AuthorizePath()+"?"+request.Encode()+more, "")
		u, _ := url.Parse(r.Header.Get("Location"))
		return u.Query().Get("code")
	}
	if r := redeem(t, s, code(""), web); r.StatusCode != 200 || r.member(t, "refresh_token") != nil {
		t.Errorf("online: %s %s", r.Status, r.body)
	}
	r := redeem(t, s, code("&access_type=offline"), web)
	want := []string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}
	if d := cmp.Diff(want, members(t, r)); d != "" || r.member(t, "expires_in") != float64(3599) ||
		strings.Contains(r.text(t, "access_token"), "eyJ") {
		t.Fatalf("%s %s", d, r.body)
	}
	if got := r.api(t, s, apiPath); got != 200 {
		t.Errorf("API: %d", got)
	}
	if got := r.api(t, s, "/v1/userinfo"); got != 200 {
		t.Errorf("userinfo: %d", got)
	}
	next := refresh(t, s, r.text(t, "refresh_token"), url.Values{"client_id": {"web"}, "client_secret": {secret}})
	if next.StatusCode != 200 || next.member(t, "refresh_token") != nil {
		t.Errorf("refresh: %s %s", next.Status, next.body)
	}
	s.Revoke(r.text(t, "access_token"))
	if got := r.api(t, s, apiPath); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	now = t0.Add(time.Hour)
	if got := next.api(t, s, apiPath); got != 401 {
		t.Errorf("expired: %d", got)
	}
}

func TestGoogleServiceAccount(t *testing.T) {
	k := newTestKeys(t)
	const robot = "robot@project.iam.example"
	s := newServer(t, Options{Dialect: Google, Clock: func() time.Time { return t0 }, AssertionAudience: AudienceToken,
		Clients: []Client{{ID: robot, Key: &k.rsa.PublicKey, Alg: "RS256", KeyID: "k1"}}})
	ask := func(kid string, changes map[string]any) reply {
		claims := map[string]any{"iss": robot, "aud": s.URL() + "/token", "iat": t0.Unix(), "exp": t0.Unix() + 3600,
			"scope": "read"}
		for name, v := range changes {
			claims[name] = v
		}
		jwt := signWith(t, k.rsa, "RS256", "RS256", map[string]any{"typ": "JWT", "kid": kid}, claims)
		return postForm(t, s.URL()+"/token", url.Values{"grant_type": {grantJWT}, "assertion": {jwt}})
	}
	r := ask("k1", nil)
	if d := cmp.Diff([]string{"access_token", "expires_in", "token_type"}, members(t, r)); d != "" ||
		r.api(t, s, apiPath) != 200 {
		t.Errorf("%s %s", d, r.body)
	}
	if r := ask("k1", map[string]any{"sub": alice}); r.StatusCode != 200 {
		t.Errorf("for a person: %s %s", r.Status, r.body)
	}
	ask("k2", nil).refused(t, "another key", 400, "invalid_grant")
	ask("k1", map[string]any{"scope": ""}).refused(t, "no scope", 400, "invalid_scope")
	ask("k1", map[string]any{"aud": s.URL()}).refused(t, "issuer as audience", 400, "invalid_grant")
	ask("k1", map[string]any{"exp": t0.Unix() + 3601}).refused(t, "too long", 400, "invalid_grant")
}

func TestNonsensicalOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"dialect": {Dialect: "x"}, "path of another dialect": {Dialect: Auth0, IssuerPath: "/x"},
		"path": {IssuerPath: "x/"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			New(o)
		}()
	}
}
