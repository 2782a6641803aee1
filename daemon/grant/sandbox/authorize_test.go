package sandbox

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The errors that are shown on a page instead of a redirect, and those that a redirect carries to the client.
func TestAuthorizationRequests(t *testing.T) {
	s := newPersonServer(t, Options{Scopes: []string{"openid", "read"}})
	web := func(v url.Values) url.Values {
		all := url.Values{"client_id": {"web"}, "redirect_uri": {webCallback}}
		maps.Copy(all, v)
		return all
	}
	for _, tt := range []struct {
		name    string
		changes url.Values
		want    string // the error; "" means a code, "page" means that there is no redirect
	}{
		{"good", nil, ""},
		{"without state", url.Values{"state": {""}}, ""},
		{"registered port", url.Values{"redirect_uri": {callback}}, ""},
		{"known scope", url.Values{"scope": {"openid read"}}, ""},
		{"confidential without PKCE", web(url.Values{"code_challenge": {""}, "code_challenge_method": {""}}), ""},
		{"confidential with its query", web(url.Values{"redirect_uri": {webCallback + "?a=b"}}), ""},
		{"no client", url.Values{"client_id": {""}}, "page"},
		{"unknown client", url.Values{"client_id": {"x"}}, "page"},
		{"no redirect URI", url.Values{"redirect_uri": {""}}, "page"},
		{"another path", url.Values{"redirect_uri": {portedBack + "/x"}}, "page"},
		{"another client's redirect URI", url.Values{"redirect_uri": {webCallback}}, "page"},
		{"repeated parameter", url.Values{"state": {"a", "b"}}, "page"},
		{"not UTF-8", url.Values{"state": {"\xff"}}, "page"},
		{"unknown request_uri", url.Values{"request_uri": {requestURI + "x"}}, "page"},
		{"no response type", url.Values{"response_type": {""}}, "invalid_request"},
		{"implicit", url.Values{"response_type": {"token"}}, "unsupported_response_type"},
		{"hybrid", url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
		{"fragment", url.Values{"response_mode": {"fragment"}}, "invalid_request"},
		{"request object", url.Values{"request": {"x"}}, "request_not_supported"},
		{"unknown scope", url.Values{"scope": {"admin"}}, "invalid_scope"},
		{"malformed scope", url.Values{"scope": {"read  openid"}}, "invalid_scope"},
		{"public without PKCE", url.Values{"code_challenge": {""}, "code_challenge_method": {""}}, "invalid_request"},
		{"plain", url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
		{"no method, which means plain", url.Values{"code_challenge_method": {""}}, "invalid_request"},
		{"challenge too short", url.Values{"code_challenge": {"x"}}, "invalid_request"},
		{"method without challenge", web(url.Values{"code_challenge": {""}}), "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := asked(tt.changes)
			r := send(t, "GET", s.URL()+"/authorize?"+params.Encode(), "")
			if tt.want == "page" {
				if r.StatusCode != 400 || r.Header.Get("Location") != "" || !strings.Contains(r.body, "<html") {
					t.Errorf("%s %s %s", r.Status, r.Header.Get("Location"), r.body)
				}
				return
			}
			u, _ := url.Parse(r.Header.Get("Location"))
			q := u.Query()
			if r.StatusCode != 302 || !strings.HasPrefix(u.String(), params.Get("redirect_uri")) ||
				q.Get("error") != tt.want ||
				(q.Get("code") != "") != (tt.want == "") {
				t.Fatalf("%s %s", r.Status, u)
			}
			if q.Get("state") != params.Get("state") || q.Get("iss") != s.Issuer() { // RFC 6749 §4.1.2, RFC 9207 §2
				t.Errorf("state or iss: %s", u)
			}
		})
	}
	if r := send(t, "POST", s.URL()+"/authorize", asked(nil).Encode(), "Content-Type",
		"application/x-www-form-urlencoded"); r.StatusCode != 303 {
		t.Errorf("by POST: %s %s", r.Status, r.body)
	}
}

// RFC 8252 §7.3: any port, of a loopback address only.
func TestSameRedirect(t *testing.T) {
	for _, tt := range []struct {
		known, uri  string
		exact, want bool
	}{
		{"http://127.0.0.1/cb", "http://127.0.0.1:1/cb", false, true},
		{"http://127.0.0.1/cb", "http://127.0.0.1/cb", false, true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1:9090/cb", false, true},
		{"http://127.0.0.1", "http://127.0.0.1:65535", false, true},
		{"http://[::1]/cb?x=y", "http://[::1]:1/cb?x=y", false, true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1:8080/cb", true, true},
		{"http://127.0.0.1:8080/cb", "http://127.0.0.1:9090/cb", true, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:1/", false, false},
		{"http://127.0.0.1", "http://127.0.0.1:1/", false, false},
		{"http://127.0.0.1/cb", "http://[::1]:1/cb", false, false},
		{"http://127.0.0.1/cb", "https://127.0.0.1:1/cb", false, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", false, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:1x/cb", false, false},
		{"http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x", false, false},
		{"http://localhost/cb", "http://localhost:1/cb", false, false},
		{"http://localhost:1/cb", "http://localhost:1/cb", false, true},
		{"https://app.example/cb", "https://app.example:443/cb", false, false},
		{"https://app.example/cb", "https://APP.example/cb", false, false},
		{"http://127.0.0.1/cb#f", "http://127.0.0.1/cb#f", false, false},
		{"", "", false, false},
	} {
		if got := sameRedirect(tt.known, tt.uri, tt.exact); got != tt.want {
			t.Errorf("%q for %q (exact %v): %v", tt.uri, tt.known, tt.exact, got)
		}
	}
}

// A person with the forms: wrong password, then the right one, then the decision; each form counts once.
func TestForms(t *testing.T) {
	s := newPersonServer(t, Options{})
	s.SetConsent(ConsentForm)
	open := func() reply {
		return send(t, "GET", s.URL()+"/authorize?"+asked(url.Values{"login_hint": {`a"<b>`},
			"scope": {"read"}}).Encode(), "")
	}
	login := open()
	for _, id := range []string{`id="login"`, `id="password"`, `id="go"`, `id="deny"`} {
		if !strings.Contains(login.body, id) {
			t.Errorf("no %s in %s", id, login.body)
		}
	}
	if strings.Contains(login.body, "<b>") || login.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", login.Header, login.body)
	}
	credentials := url.Values{"login": {alice}, "password": {alicePass}}
	if r := submit(t, s, login, url.Values{"consent": {"allow"}}); r.StatusCode != 403 {
		t.Errorf("allowed without a signed-in person: %s", r.Status)
	}
	if r := submit(t, s, login, url.Values{"login": {alice}, "password": {"x"},
		"consent": {"allow"}}); r.StatusCode != 403 || !strings.Contains(r.body, `<p id="problem">wrong name`) {
		t.Errorf("wrong password: %s %s", r.Status, r.body)
	}
	elsewhere := reply{login.Response, strings.ReplaceAll(login.body, `action="/interaction"`,
		`action="`+KeycloakIssuerPath+`/login-actions/authenticate"`)}
	if r := submit(t, s, elsewhere, url.Values{"consent": {"deny"}}); r.StatusCode != 400 {
		t.Errorf("another server's form: %s", r.Status)
	}
	consent := submit(t, s, login, credentials)
	for _, part := range []string{`id="allow"`, `id="deny"`, native, alice, `<span id="scope">read</span>`} {
		if !strings.Contains(consent.body, part) {
			t.Errorf("no %s in %s", part, consent.body)
		}
	}
	done := submit(t, s, consent, url.Values{"consent": {"allow"}})
	u, _ := url.Parse(done.Header.Get("Location"))
	if done.StatusCode != 303 || u.Query().Get("code") == "" || u.Query().Get("state") != "s-1" {
		t.Fatalf("%s %s", done.Status, u)
	}
	if r := redeem(t, s, u.Query().Get("code"), nil); r.StatusCode != 200 ||
		segment(t, r.text(t, "access_token"), 1)["sub"] == "" {
		t.Errorf("%s %s", r.Status, r.body)
	}
	if r := submit(t, s, consent, url.Values{"consent": {"allow"}}); r.StatusCode != 400 {
		t.Errorf("second decision: %s", r.Status)
	}
	for _, page := range []reply{open(), submit(t, s, open(), credentials)} {
		r := submit(t, s, page, url.Values{"consent": {"deny"}})
		if u, _ := url.Parse(r.Header.Get("Location")); u.Query().Get("error") != "access_denied" ||
			u.Query().Get("state") != "s-1" {
			t.Errorf("denied: %s %s", r.Status, u)
		}
	}
	// All in one form.
	r := submit(t, s, open(), url.Values{"login": {alice}, "password": {alicePass}, "consent": {"allow"}})
	if r.StatusCode != 303 || !strings.Contains(r.Header.Get("Location"), "code=") {
		t.Errorf("in one: %s %s", r.Status, r.body)
	}
}

func TestFormsExpire(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now }})
	s.SetConsent(ConsentForm)
	page := send(t, "GET", s.URL()+"/authorize?"+asked(nil).Encode(), "")
	now = t0.Add(openFor)
	if r := submit(t, s, page, url.Values{"login": {alice}, "password": {alicePass}}); r.StatusCode != 400 {
		t.Errorf("late form: %s %s", r.Status, r.body)
	}
}

func TestConsentWithoutForm(t *testing.T) {
	s := newPersonServer(t, Options{})
	s.AddUser(User{Name: "bob@example.com", ID: "bob-id"})
	subject := func(hint string) any {
		r := redeem(t, s, authorize(t, s, url.Values{"login_hint": {hint}}).Get("code"), nil)
		return segment(t, r.text(t, "access_token"), 1)["sub"]
	}
	if got := subject("bob@example.com"); got != "bob-id" {
		t.Errorf("hint: %v", got)
	}
	if got := subject(""); got != "00000000-1111-4222-8333-444444444444" {
		t.Errorf("no hint: %v", got)
	}
	s.SetConsent(ConsentDeny)
	if q := authorize(t, s, nil); q.Get("error") != "access_denied" {
		t.Errorf("deny: %v", q)
	}
	s.SetConsent(ConsentForm)
	if q := authorize(t, s, url.Values{"prompt": {"none"}}); q.Get("error") != "login_required" {
		t.Errorf("prompt=none: %v", q)
	}
	s.SetConsent(ConsentAllow)
	s.BlockUser(alice, true)
	if q := authorize(t, s, nil); q.Get("error") != "login_required" {
		t.Errorf("blocked: %v", q)
	}
}

// A fault changes what comes back to the client: another state, another issuer, no code.
func TestSpoiltCallback(t *testing.T) {
	s := newPersonServer(t, Options{})
	s.Script("/authorize", Fault{Set: map[string]any{"state": "other", "iss": "https://evil.example", "code": nil}})
	want := url.Values{"state": {"other"}, "iss": {"https://evil.example"}}
	if d := cmp.Diff(want, authorize(t, s, nil)); d != "" {
		t.Error(d)
	}
	if q := authorize(t, s, nil); q.Get("state") != "s-1" || q.Get("code") == "" {
		t.Errorf("the fault stayed: %v", q)
	}
}

func TestGrantedScope(t *testing.T) {
	s := newPersonServer(t, Options{})
	s.SetGrantedScope("read")
	if r := tokens(t, s, url.Values{"scope": {"read write offline_access"}}); r.member(t, "scope") != "read" ||
		r.member(t, "refresh_token") != nil {
		t.Errorf("%s", r.body)
	}
}
