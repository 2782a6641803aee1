package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// Copernicus: the password is taken with the one-time code of an account that has one, and what its answer says.
func TestCopernicus(t *testing.T) {
	s := newPersonServer(t, Options{Dialect: Copernicus})
	s.AddUser(User{Name: alice, Password: alicePass, Code: "123456"})
	form := url.Values{"grant_type": {grantPassword}, "client_id": {native}, "username": {alice},
		"password": {alicePass}}
	to := s.URL() + CopernicusTokenPath
	postForm(t, to, form).refused(t, "no code", 400, "invalid_grant")
	postForm(t, to, with(form, url.Values{"totp": {"654321"}})).refused(t, "a wrong code", 400, "invalid_grant")
	r := postForm(t, to, with(form, url.Values{"totp": {"123456"}}))
	if r.StatusCode != 200 || r.member(t, "expires_in") != float64(600) ||
		r.member(t, "refresh_expires_in") != float64(3600) || r.text(t, "refresh_token") == "" {
		t.Errorf("%s %s", r.Status, r.body)
	}
}

// EUMETSAT: a machine gets the token that it has, with what is left of it, until that ends.
func TestEUMETSATRepeatsATokenThatIsGood(t *testing.T) {
	now := time.Now()
	s := newPersonServer(t, Options{Dialect: EUMETSAT, Clock: func() time.Time { return now }})
	ask := func() reply {
		return postForm(t, s.URL()+"/token", url.Values{"grant_type": {grantClient}}, "Authorization",
			basicHeader(clientID, secret))
	}
	first := ask()
	now = now.Add(10 * time.Minute)
	again := ask()
	if again.text(t, "access_token") != first.text(t, "access_token") ||
		again.member(t, "expires_in") != float64(3000) {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	now = now.Add(time.Hour)
	if next := ask(); next.text(t, "access_token") == first.text(t, "access_token") ||
		next.member(t, "expires_in") != float64(3600) {
		t.Errorf("after its end: %s", next.body)
	}
}

// GitHub: forms unless JSON is asked for, errors under 200, commas between scopes, and tokens of two kinds.
func TestGitHub(t *testing.T) {
	s := newPersonServer(t, Options{Dialect: GitHub})
	s.SetConsent(ConsentForm)
	json := []string{"Accept", "application/json"}
	begin := func() reply {
		return postForm(t, s.URL()+"/login/device/code", url.Values{"client_id": {native}, "scope": {"repo gist"}},
			json...)
	}
	poll := func(client, code string, header ...string) reply {
		return postForm(t, s.URL()+"/login/oauth/access_token", url.Values{"grant_type": {grantDevice},
			"client_id": {client}, "device_code": {code}}, header...)
	}
	start := begin()
	if got := strings.Join(members(t, start), " "); got !=
		"device_code expires_in interval user_code verification_uri" {
		t.Errorf("%s", got)
	}
	to := s.URL() + "/login/oauth/access_token"
	if r := poll(native, start.text(t, "device_code")); r.StatusCode != 200 || !strings.Contains(r.Header.Get("Content-Type"), "form") ||
		!strings.HasPrefix(r.body, "error=authorization_pending&") {
		t.Errorf("%s %s", r.Status, r.body)
	}
	poll(native, "x", json...).refused(t, "another code", 200, "incorrect_device_code")
	poll("x", "x", json...).refused(t, "another client", 200, "incorrect_client_credentials")
	postForm(t, to, url.Values{"grant_type": {grantRefresh}, "client_id": {native}, "refresh_token": {"x"}}, json...).
		refused(t, "a refresh token", 200, "bad_refresh_token")
	for _, expiring := range []bool{false, true} {
		s.Set("refresh_always", map[bool]string{true: "true", false: "false"}[expiring])
		start := begin()
		if err := s.ApproveDevice(start.text(t, "user_code")); err != nil {
			t.Fatal(err)
		}
		r := poll(native, start.text(t, "device_code"), json...)
		want, prefix := "access_token scope token_type", "gho_"
		if expiring {
			want, prefix = "access_token expires_in refresh_token refresh_token_expires_in scope token_type", "ghu_"
		}
		if got := strings.Join(members(t, r), " "); got != want || r.text(t, "scope") != "repo,gist" ||
			!strings.HasPrefix(r.text(t, "access_token"), prefix) {
			t.Errorf("expiring %t: %s", expiring, r.body)
		}
	}
}

// Globus names the service of a token; GitLab has no refresh token for a device.
func TestGlobusAndGitLab(t *testing.T) {
	s := newPersonServer(t, Options{Dialect: Globus})
	r := postForm(t, s.URL()+"/v2/oauth2/token", url.Values{"grant_type": {grantClient},
		"scope": {"urn:globus:auth:scope:transfer.api.globus.org:all"}}, "Authorization", basicHeader(clientID, secret))
	if r.text(t, "resource_server") != "transfer.api.globus.org" || r.member(t, "expires_in") != float64(172800) {
		t.Errorf("%s %s", r.Status, r.body)
	}
	s = newPersonServer(t, Options{Dialect: GitLab})
	s.SetConsent(ConsentForm)
	start := postForm(t, s.URL()+"/oauth/authorize_device", url.Values{"client_id": {native}, "scope": {"read_api"}})
	if err := s.ApproveDevice(start.text(t, "user_code")); err != nil {
		t.Fatal(err)
	}
	r = postForm(t, s.URL()+"/oauth/token", url.Values{"grant_type": {grantDevice}, "client_id": {native},
		"device_code": {start.text(t, "device_code")}})
	if got := strings.Join(members(t, r), " "); got != "access_token expires_in scope token_type" ||
		r.member(t, "expires_in") != float64(7200) {
		t.Errorf("%s %s", r.Status, r.body)
	}
}
