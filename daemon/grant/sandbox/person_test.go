package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Clients and a verifier for tests of what persons do.
const (
	native      = "native"
	callback    = "http://127.0.0.1/callback"
	portedBack  = "http://127.0.0.1:43210/callback"
	webCallback = "https://app.example/cb"
	testVerify  = "verifier-verifier-verifier-verifier-verifier-1"
)

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// newPersonServer is newServer with a public client, a confidential one, where no person is asked for anything.
func newPersonServer(t *testing.T, o Options) *Server {
	t.Helper()
	o.Clients = append(o.Clients,
		Client{ID: native, RedirectURIs: []string{callback}},
		Client{ID: "web", Secret: secret, RedirectURIs: []string{webCallback, webCallback + "?a=b"}})
	if o.Consent == ConsentForm {
		o.Consent = ConsentAllow
	}
	return newServer(t, o)
}

// asked returns the parameters of a good authorization request, with changes; an empty value removes one.
func asked(changes url.Values) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {native}, "redirect_uri": {portedBack}, "state": {"s-1"},
		"code_challenge": {s256(testVerify)}, "code_challenge_method": {"S256"},
	}
	return with(v, changes)
}

func with(v, changes url.Values) url.Values {
	for name, values := range changes {
		if v.Del(name); values[0] != "" {
			v[name] = values
		}
	}
	return v
}

// authorize makes an authorization request and returns the parameters that come back to the client.
func authorize(t *testing.T, s *Server, changes url.Values) url.Values {
	t.Helper()
	r := send(t, "GET", s.URL()+s.AuthorizePath()+"?"+asked(changes).Encode(), "")
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.StatusCode != 302 {
		t.Fatalf("%s %v %s", r.Status, err, r.body)
	}
	return u.Query()
}

// redeem exchanges a code.
func redeem(t *testing.T, s *Server, code string, changes url.Values) reply {
	t.Helper()
	return postForm(t, s.URL()+s.TokenPath(), with(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {native}, "redirect_uri": {portedBack},
		"code_verifier": {testVerify},
	}, changes))
}

// tokens signs alice in and returns the answer.
func tokens(t *testing.T, s *Server, changes url.Values) reply {
	t.Helper()
	r := redeem(t, s, authorize(t, s, changes).Get("code"), nil)
	if r.StatusCode != 200 {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	return r
}

func (r reply) text(t *testing.T, name string) string {
	t.Helper()
	v, _ := r.member(t, name).(string)
	return v
}

// refused checks an error answer.
func (r reply) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	if r.StatusCode != status || r.member(t, "error") != code {
		t.Errorf("%s: %s %s, want %d %s", what, r.Status, r.body, status, code)
	}
}

// api calls the protected API and returns the status.
func (r reply) api(t *testing.T, s *Server, path string) int {
	t.Helper()
	return send(t, "GET", s.URL()+path, "", "Authorization", "Bearer "+r.text(t, "access_token")).StatusCode
}

func refresh(t *testing.T, s *Server, token string, changes url.Values) reply {
	t.Helper()
	return postForm(t, s.URL()+s.TokenPath(), with(url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {native},
	}, changes))
}

var (
	hidden = regexp.MustCompile(`name="request" value="([^"]*)"`)
	action = regexp.MustCompile(`action="([^"]*)"`)
)

// submit fills in the form of a page and sends it, as a browser does.
func submit(t *testing.T, s *Server, page reply, fields url.Values) reply {
	t.Helper()
	handle, to := hidden.FindStringSubmatch(page.body), action.FindStringSubmatch(page.body)
	if handle == nil || to == nil || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("no form: %s %s", page.Status, page.body)
	}
	fields.Set("request", html.UnescapeString(handle[1]))
	return postForm(t, s.URL()+html.UnescapeString(to[1]), fields)
}
