package sandbox

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	earthscopeAPIName = "https://api.earthscope.org"
	planetAPIName     = "https://api.planet.com/"
)

func members(t *testing.T, r reply) []string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	names := []string{}
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// exactly checks an error of Auth0's: two members, no more.
func exactly(t *testing.T, what string, r reply, status int, code string) {
	t.Helper()
	r.refused(t, what, status, code)
	if d := cmp.Diff([]string{"error", "error_description"}, members(t, r)); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

// The way of an EarthScope or Planet user: six members, 403 and 429, a day, a refresh token that stays, a revocation in
// JSON.
func TestAuth0Device(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Dialect: Auth0, Clock: func() time.Time { return now }})
	s.SetConsent(ConsentForm)
	if s.Issuer() != s.URL()+"/" || s.TokenPath() != "/oauth/token" || s.DevicePath() != "/oauth/device/code" {
		t.Errorf("%s %s %s", s.Issuer(), s.TokenPath(), s.DevicePath())
	}
	ask := url.Values{"scope": {"openid profile email offline_access"}, "audience": {earthscopeAPIName}}
	start := func() reply { return startDevice(t, s, ask) }
	poll := func(device reply) reply { return postForm(t, s.URL()+"/oauth/token", pollForm(device, t)) }
	device := start()
	want := []string{"device_code", "expires_in", "interval", "user_code", "verification_uri",
		"verification_uri_complete"}
	if d := cmp.Diff(want, members(t, device)); d != "" || device.text(t, "verification_uri") != s.URL()+"/activate" {
		t.Errorf("%s %s", d, device.body)
	}
	exactly(t, "pending", poll(device), 403, "authorization_pending")
	exactly(t, "too soon", poll(device), 429, "slow_down")
	now = now.Add(10 * time.Second)
	exactly(t, "pending again", poll(device), 403, "authorization_pending")
	now = t0.Add(900 * time.Second)
	exactly(t, "expired", poll(device), 403, "expired_token")
	exactly(t, "expired again", poll(device), 403, "invalid_grant")
	device = start()
	s.DenyDevice(device.text(t, "user_code"))
	exactly(t, "denied", poll(device), 403, "access_denied")
	device = start()
	if err := s.ApproveDevice(device.text(t, "user_code")); err != nil {
		t.Fatal(err)
	}
	r := poll(device)
	if d := cmp.Diff([]string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"},
		members(t, r)); d != "" {
		t.Fatalf("%s %s", d, r.body)
	}
	if r.member(t, "expires_in") != float64(86400) || r.member(t, "token_type") != "Bearer" {
		t.Errorf("%s", r.body)
	}
	access := r.text(t, "access_token")
	wantClaims := map[string]any{
		"iss": s.URL() + "/", "aud": earthscopeAPIName, "azp": native,
		"sub":   "auth0|00000000-1111-4222-8333-444444444444",
		"scope": "openid profile email offline_access", "iat": float64(now.Unix()), "exp": float64(now.Unix() + 86400),
	}
	if d := cmp.Diff(wantClaims, segment(t, access, 1)); d != "" || segment(t, access, 0)["kid"] == nil {
		t.Error(d)
	}
	profile := send(t, "GET", s.URL()+EarthscopeProfilePath, "", "Authorization", "Bearer "+access)
	if profile.StatusCode != 200 || profile.member(t, "primary_email") != alice {
		t.Errorf("profile: %s %s", profile.Status, profile.body)
	}
	me := send(t, "GET", s.URL()+"/userinfo", "", "Authorization", "Bearer "+access)
	if d := cmp.Diff([]string{"email", "email_verified", "family_name", "given_name", "name", "nickname", "picture",
		"sub", "updated_at"}, members(t, me)); d != "" {
		t.Errorf("userinfo: %s", d)
	}
	testAuth0Refresh(t, s, r.text(t, "refresh_token"), access)
}

func testAuth0Refresh(t *testing.T, s *Server, rt, access string) {
	t.Helper()
	// The SDK's typing error, "scopes", is ignored.
	ask := func() reply { return refresh(t, s, rt, url.Values{"scopes": {"openid"}}) }
	if r := ask(); r.StatusCode != 200 || r.member(t, "refresh_token") != nil ||
		r.member(t, "scope") != "openid profile email offline_access" {
		t.Errorf("refresh: %s %s", r.Status, r.body)
	}
	s.BlockUser(alice, true)
	r := ask()
	exactly(t, "blocked", r, 403, "invalid_grant")
	if r.member(t, "error_description") != "user is blocked" {
		t.Errorf("%s", r.body)
	}
	s.BlockUser(alice, false)
	revoke := func() reply {
		return send(t, "POST", s.URL()+"/oauth/revoke", `{"client_id":"native","token":"`+rt+`"}`, "Content-Type",
			"application/json")
	}
	for range 2 {
		if r := revoke(); r.StatusCode != 200 || r.body != "" {
			t.Errorf("revoke: %s %q", r.Status, r.body)
		}
	}
	r = ask()
	exactly(t, "revoked", r, 403, "invalid_grant")
	if r.member(t, "error_description") != "Unknown or invalid refresh token." {
		t.Errorf("%s", r.body)
	}
	if r := send(t, "GET", s.URL()+EarthscopeProfilePath, "", "Authorization", "Bearer "+access); r.StatusCode != 200 {
		t.Errorf("Auth0's access tokens outlive their refresh token: %s", r.Status)
	}
	if r := postForm(t, s.URL()+"/oauth/revoke", url.Values{"client_id": {native},
		"token": {access}}); r.StatusCode != 200 {
		t.Errorf("revoking an access token: %s %s", r.Status, r.body)
	}
	if r := send(t, "GET", s.URL()+EarthscopeProfilePath, "", "Authorization", "Bearer "+access); r.StatusCode != 200 {
		t.Errorf("only refresh tokens are revoked: %s", r.Status)
	}
}

func TestAuth0Machine(t *testing.T) {
	s := newPersonServer(t,
		Options{Dialect: Auth0, Clients: []Client{{ID: "narrow", Secret: secret, Grants: []string{grantCode}}}})
	ask := func(changes url.Values) reply {
		return postForm(t, s.URL()+"/oauth/token", with(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret},
			"audience": {earthscopeAPIName},
		}, changes))
	}
	r := ask(nil)
	claims := segment(t, r.text(t, "access_token"), 1)
	if r.StatusCode != 200 || claims["sub"] != clientID+"@clients" || claims["azp"] != clientID ||
		r.member(t, "refresh_token") != nil {
		t.Errorf("%s %v", r.body, claims)
	}
	if r.api(t, s, "/beta/x") != 200 {
		t.Error("API")
	}
	if r := r.api(t, s, EarthscopeProfilePath); r != 401 {
		t.Errorf("a machine's profile: %d", r)
	}
	wrong := ask(url.Values{"client_secret": {"x"}})
	exactly(t, "wrong secret", wrong, 401, "access_denied")
	if wrong.member(t, "error_description") != "Unauthorized" {
		t.Errorf("%s", wrong.body)
	}
	exactly(t, "audience without its slash", ask(url.Values{"audience": {strings.TrimSuffix(planetAPIName, "/")}}), 403,
		"access_denied")
	exactly(t, "another grant", ask(url.Values{"grant_type": {"password"}}), 400, "unsupported_grant_type")
	exactly(t, "wrong secret with a refresh", ask(url.Values{"grant_type": {"refresh_token"}, "client_secret": {"x"}}),
		401, "invalid_client")
	exactly(t, "client without this grant", ask(url.Values{"client_id": {"narrow"}}), 403, "unauthorized_client")
	if got := r.Header.Get("X-Ratelimit-Limit"); got != "300" {
		t.Errorf("limit without a limit: %q", got)
	}
	exactly(t, "wrong code", redeem(t, s, "x", nil), 400, "invalid_grant")
	if r := ask(url.Values{"audience": {planetAPIName}}); r.StatusCode != 200 || r.api(t, s, "/data/v1/x") != 200 {
		t.Errorf("with its slash: %s %s", r.Status, r.body)
	}
	// JSON is as good as a form, but it must be an object of strings.
	for body, want := range map[string]int{
		`{"grant_type":"client_credentials","client_id":"` + clientID + `","client_secret":"` + secret +
			`","audience":"` + earthscopeAPIName + `"}`: 200,
		`[]`: 400, `{"grant_type":1}`: 400, `{"grant_type":null}`: 400, `{"grant_type":""}`: 400, `x`: 400,
		`{"grant_type":"client_credentials","grant_type":"client_credentials"}`: 400,
	} {
		if r := send(t, "POST", s.URL()+"/oauth/token", body, "Content-Type",
			"application/json"); r.StatusCode != want {
			t.Errorf("%s: %s %s", body, r.Status, r.body)
		}
	}
}

func TestAuth0CodeAndMetadata(t *testing.T) {
	s := newPersonServer(t, Options{Dialect: Auth0, Refresh: Refresh{Rotate: true}})
	doc := send(t, "GET", s.URL()+oidcMeta, "")
	for name, want := range map[string]any{
		"issuer": s.URL() + "/", "token_endpoint": s.URL() + "/oauth/token",
		"authorization_endpoint":        s.URL() + "/authorize",
		"device_authorization_endpoint": s.URL() + "/oauth/device/code", "userinfo_endpoint": s.URL() + "/userinfo",
		"jwks_uri": s.URL() + "/.well-known/jwks.json", "revocation_endpoint": s.URL() + "/oauth/revoke",
		"authorization_response_iss_parameter_supported": nil,
	} {
		if got := doc.member(t, name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if r := send(t, "GET", s.URL()+"/.well-known/jwks.json", ""); r.StatusCode != 200 {
		t.Errorf("keys: %s", r.Status)
	}
	q := authorize(t, s, with(url.Values{"audience": {planetAPIName}}, offline))
	if q.Get("code") == "" || q.Has("iss") {
		t.Errorf("%v", q)
	}
	r := redeem(t, s, q.Get("code"), nil)
	rt := r.text(t, "refresh_token")
	if r.StatusCode != 200 || segment(t, r.text(t, "access_token"), 1)["aud"] != planetAPIName {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	next := refresh(t, s, rt, nil).text(t, "refresh_token")
	exactly(t, "reuse", refresh(t, s, rt, nil), 403, "invalid_grant")
	exactly(t, "family", refresh(t, s, next, nil), 403, "invalid_grant")
	for _, path := range []string{"/token", oauthMeta + "/x"} {
		if r := send(t, "GET", s.URL()+path, ""); r.StatusCode != 404 {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
}

func TestAuth0Limits(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Dialect: Auth0, RateLimit: 5, Quota: 2, Clock: func() time.Time { return now }})
	machine := func() reply {
		return postForm(t, s.URL()+"/oauth/token", url.Values{"grant_type": {"client_credentials"},
			"client_id":     {clientID},
			"client_secret": {secret}, "audience": {earthscopeAPIName}})
	}
	r := machine()
	for name, want := range map[string]string{
		"x-ratelimit-limit": "5", "x-ratelimit-remaining": "4",
		"x-ratelimit-reset":        strconv.FormatInt(t0.Unix()+60, 10),
		"Auth0-Client-Quota-Limit": "b=per_hour;q=2;r=1;t=3600", "Retry-After": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	machine()
	now = now.Add(10 * time.Second)
	r = machine()
	r.refused(t, "quota", 429, "too_many_requests")
	if r.Header.Get("Retry-After") != "3590" ||
		r.Header.Get("Auth0-Client-Quota-Limit") != "b=per_hour;q=2;r=0;t=3590" {
		t.Errorf("%v", r.Header)
	}
	for range 2 {
		if r := refresh(t, s, "x", nil); r.StatusCode != 403 {
			t.Errorf("%s", r.Status)
		}
	}
	r = refresh(t, s, "x", nil)
	r.refused(t, "limit", 429, "too_many_requests")
	if r.Header.Get("X-Ratelimit-Remaining") != "0" {
		t.Errorf("%v", r.Header)
	}
	now = t0.Add(time.Minute)
	if r := refresh(t, s, "x", nil); r.StatusCode != 403 {
		t.Errorf("the next minute: %s", r.Status)
	}
	now = t0.Add(time.Hour)
	if r := machine(); r.StatusCode != 200 {
		t.Errorf("the next hour: %s %s", r.Status, r.body)
	}
}
