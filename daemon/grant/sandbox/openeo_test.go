package sandbox

import (
	"net/url"
	"testing"
)

// A back end lists versions, providers and clients, and takes tokens with their provider's name alone.
func TestOpenEO(t *testing.T) {
	s := newPersonServer(t, Options{OpenEO: &OpenEO{ID: "box", Scopes: []string{"openid"},
		Before: []string{"https://first.example"}, Clients: []OpenEOClient{{ID: native, Grants: []string{"x"}}}}})
	versions := send(t, "GET", s.URL()+OpenEOWellKnown, "").member(t, "versions").([]any)
	if v := versions[1].(map[string]any); v["url"] != s.URL()+OpenEOAPI+"/" || v["api_version"] != "1.2.0" {
		t.Errorf("%v", v)
	}
	list := send(t, "GET", s.URL()+openEOProviders, "").member(t, "providers").([]any)
	if p := list[1].(map[string]any); len(list) != 2 || p["id"] != "box" || p["issuer"] != s.Issuer() {
		t.Errorf("%v", list)
	}
	token := tokens(t, s, url.Values{"scope": {"openid"}}).text(t, "access_token")
	for value, want := range map[string]int{
		"Bearer oidc/box/" + token: 200, "Bearer " + token: 401, "Bearer oidc/egi/" + token: 401,
		"Bearer oidc/box/x": 401, "": 401,
	} {
		if r := send(t, "GET", s.URL()+OpenEOMe, "", "Authorization", value); r.StatusCode != want {
			t.Errorf("%.20s…: %s, want %d", value, r.Status, want)
		}
	}
}

// A client that must use PKCE with device codes gets no token without it.
func TestDevicePKCE(t *testing.T) {
	s := newPersonServer(t, Options{Clients: []Client{{ID: "pkce", Method: None, DevicePKCE: true}}})
	start := func(changes url.Values) reply {
		t.Helper()
		return startDevice(t, s, with(url.Values{"client_id": {"pkce"}, "code_challenge": {s256(testVerify)},
			"code_challenge_method": {"S256"}}, changes))
	}
	start(url.Values{"code_challenge": {""}}).refused(t, "no challenge", 400, "invalid_request")
	start(url.Values{"code_challenge_method": {"plain"}}).refused(t, "plain", 400, "invalid_request")
	for verifier, want := range map[string]int{testVerify: 200, "": 400, testVerify + "x": 400} {
		r := postForm(t, s.URL()+s.TokenPath(), with(pollForm(start(nil), t), url.Values{"client_id": {"pkce"},
			"code_verifier": {verifier}}))
		if r.StatusCode != want {
			t.Errorf("%q: %s %s", verifier, r.Status, r.body)
		}
	}
}
