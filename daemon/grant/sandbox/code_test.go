package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// A code works once, for its client, its redirect URI and its verifier; a wrong presentation uses it up.
func TestCodeChecks(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now },
		Clients: []Client{{ID: "other", RedirectURIs: []string{callback}}}})
	for _, tt := range []struct {
		name    string
		changes url.Values
		after   time.Duration
		status  int
		code    string
	}{
		{"good", nil, 59 * time.Second, 200, ""},
		{"too late", nil, 60 * time.Second, 400, "invalid_grant"},
		{"no code", url.Values{"code": {""}}, 0, 400, "invalid_request"},
		{"unknown code", url.Values{"code": {"x"}}, 0, 400, "invalid_grant"},
		{"another client", url.Values{"client_id": {"other"}}, 0, 400, "invalid_grant"},
		{"no client", url.Values{"client_id": {""}}, 0, 401, "invalid_client"},
		{"another port", url.Values{"redirect_uri": {callback}}, 0, 400, "invalid_grant"},
		{"no redirect URI", url.Values{"redirect_uri": {""}}, 0, 400, "invalid_grant"},
		{"no verifier", url.Values{"code_verifier": {""}}, 0, 400, "invalid_grant"},
		{"another verifier", url.Values{"code_verifier": {testVerify + "x"}}, 0, 400, "invalid_grant"},
		{"the challenge as verifier", url.Values{"code_verifier": {s256(testVerify)}}, 0, 400, "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now = t0
			code := authorize(t, s, nil).Get("code")
			now = t0.Add(tt.after)
			r := redeem(t, s, code, tt.changes)
			if r.StatusCode != tt.status || tt.code != "" && r.member(t, "error") != tt.code {
				t.Errorf("%s %s", r.Status, r.body)
			}
			if tt.code == "invalid_grant" && tt.changes.Has("code_verifier") {
				redeem(t, s, code, nil).refused(t, "after a wrong try", 400, "invalid_grant")
			}
		})
	}
	now = t0
	code := authorize(t, s, nil).Get("code")
	s.BlockUser(alice, true)
	redeem(t, s, code, nil).refused(t, "blocked", 400, "invalid_grant")
}

func TestVerifier(t *testing.T) {
	for v, want := range map[string]bool{
		testVerify: true, strings.Repeat("a", 43): true, strings.Repeat("a", 128): true,
		strings.Repeat("a", 42): false, strings.Repeat("a", 129): false, testVerify + "+": false, "": false,
		testVerify + "\n": false,
	} {
		if got := verifies(v, s256(v)); got != want {
			t.Errorf("%q: %v", v, got)
		}
	}
	if !verifies("", "") || verifies(testVerify, "") { // RFC 9700 §4.8.2
		t.Error("without a challenge there can be no verifier")
	}
}

// RFC 6749 §4.1.2: a code that comes twice takes everything with it that came of it.
func TestCodeReuseRevokes(t *testing.T) {
	s := newPersonServer(t, Options{})
	code := authorize(t, s, url.Values{"scope": {"offline_access"}}).Get("code")
	first := redeem(t, s, code, nil)
	second := refresh(t, s, first.text(t, "refresh_token"), nil)
	if first.api(t, s, apiPath) != 200 || second.api(t, s, apiPath) != 200 {
		t.Fatalf("%s %s", first.body, second.body)
	}
	redeem(t, s, code, url.Values{"client_id": {"web"}, "client_secret": {secret}}).refused(t, "another client's reuse",
		400, "invalid_grant")
	if got := first.api(t, s, apiPath); got != 200 {
		t.Errorf("another client can end the session: %d", got)
	}
	redeem(t, s, code, nil).refused(t, "reuse", 400, "invalid_grant")
	if a, b := first.api(t, s, apiPath), second.api(t, s, apiPath); a != 401 || b != 401 {
		t.Errorf("access tokens after reuse: %d, %d", a, b)
	}
	refresh(t, s, first.text(t, "refresh_token"), nil).refused(t, "refresh after reuse", 400, "invalid_grant")
}

// The id_token of OpenID Connect Core §2, and the claims that the scope allows.
func TestIDToken(t *testing.T) {
	s := newPersonServer(t, Options{Clock: func() time.Time { return t0 }})
	r := tokens(t, s, url.Values{"scope": {"openid email"}, "nonce": {"n-1"}})
	id := r.text(t, "id_token")
	if j, err := parseJWT(id); err != nil || !j.verifyRSA(&s.key.PublicKey) || segment(t, id, 0)["kid"] != keyID {
		t.Errorf("signature or kid: %v", err)
	}
	claims := segment(t, id, 1)
	for name, want := range map[string]any{
		"iss": s.Issuer(), "aud": native, "sub": "00000000-1111-4222-8333-444444444444", "nonce": "n-1", "email": alice,
		"iat": float64(t0.Unix()), "exp": float64(t0.Unix() + 900), "auth_time": float64(t0.Unix()), "name": nil,
	} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	if claims["at_hash"] == "" || claims["at_hash"] == nil {
		t.Error("no at_hash")
	}
	// It is not an access token.
	for _, path := range []string{apiPath, "/userinfo"} {
		if r := send(t, "GET", s.URL()+path, "", "Authorization", "Bearer "+id); r.StatusCode != 401 {
			t.Errorf("id_token at %s: %s", path, r.Status)
		}
	}
	if r := tokens(t, s, url.Values{"scope": {"email"}}); r.member(t, "id_token") != nil {
		t.Errorf("an id_token without a request for it: %s", r.body)
	}
}

func TestUserinfo(t *testing.T) {
	s := newPersonServer(t, Options{Audiences: []string{"https://api.example"}})
	get := func(r reply) reply {
		return send(t, "GET", s.URL()+"/userinfo", "", "Authorization", "Bearer "+r.text(t, "access_token"))
	}
	person := tokens(t, s, url.Values{"scope": {"openid email profile"}, "audience": {"https://api.example"}})
	if r := get(person); r.StatusCode != 200 || r.member(t, "email") != alice || r.member(t, "given_name") != "alice" {
		t.Errorf("%s %s", r.Status, r.body)
	}
	if r := get(tokens(t, s, url.Values{"scope": {"openid"}})); r.StatusCode != 200 || r.member(t, "email") != nil {
		t.Errorf("only openid: %s %s", r.Status, r.body)
	}
	machine := postForm(t, s.URL()+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}},
		"Authorization", basicHeader(clientID, secret))
	if r := send(t, "GET", s.URL()+"/userinfo", ""); r.Header.Get("WWW-Authenticate") != "Bearer" { // RFC 6750 §3.1
		t.Errorf("challenge without a token: %q", r.Header.Get("WWW-Authenticate"))
	}
	for name, r := range map[string]reply{
		"without openid": get(tokens(t, s, url.Values{"scope": {"email"}})),
		"machine":        get(machine),
		"no token":       send(t, "GET", s.URL()+"/userinfo", ""),
	} {
		if r.StatusCode != 401 || r.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s %s", name, r.Status, r.body)
		}
	}
	s.BlockUser(alice, true)
	if r := get(person); r.StatusCode != 401 {
		t.Errorf("blocked: %s", r.Status)
	}
}
