package sandbox

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestPAR(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{RequirePAR: true, Clock: func() time.Time { return now }})
	push := func(changes url.Values, headers ...string) reply {
		t.Helper()
		return postForm(t, s.URL()+s.PARPath(), asked(changes), headers...)
	}
	open := func(client, uri string) reply {
		return send(t, "GET", s.URL()+"/authorize?"+url.Values{"client_id": {client}, "request_uri": {uri},
			"state": {"other"}}.Encode(), "")
	}
	pushed := push(nil)
	uri := pushed.text(t, "request_uri")
	if pushed.StatusCode != 201 || !strings.HasPrefix(uri, requestURI) ||
		pushed.member(t, "expires_in") != float64(60) {
		t.Fatalf("%s %s", pushed.Status, pushed.body)
	}
	if r := open("web", uri); r.StatusCode != 400 || !strings.Contains(r.body, "request_uri") {
		t.Errorf("another client: %s %s", r.Status, r.body)
	}
	r := open(native, uri)
	u, _ := url.Parse(r.Header.Get("Location"))
	if r.StatusCode != 302 || u.Query().Get("state") != "s-1" { // RFC 9126 §4: parameters outside do not count
		t.Fatalf("%s %s %s", r.Status, u, r.body)
	}
	if r := redeem(t, s, u.Query().Get("code"), nil); r.StatusCode != 200 {
		t.Errorf("%s %s", r.Status, r.body)
	}
	if r := open(native, uri); r.StatusCode != 400 {
		t.Errorf("second use: %s", r.Status)
	}
	uri = push(nil).text(t, "request_uri")
	now = t0.Add(60 * time.Second)
	if r := open(native, uri); r.StatusCode != 400 || !strings.Contains(r.body, "expired") {
		t.Errorf("late: %s %s", r.Status, r.body)
	}
	if q := authorize(t, s, nil); q.Get("error") != "invalid_request" || q.Get("state") != "s-1" {
		t.Errorf("not pushed: %v", q)
	}
	web := url.Values{"client_id": {"web"}, "redirect_uri": {webCallback}}
	if r := push(web, "Authorization", basicHeader("web", secret)); r.StatusCode != 201 {
		t.Errorf("confidential: %s %s", r.Status, r.body)
	}
	push(web).refused(t, "confidential without its secret", 401, "invalid_client")
	push(url.Values{"client_id": {"x"}}).refused(t, "unknown client", 401, "invalid_client")
	push(url.Values{"request_uri": {"x"}}).refused(t, "request_uri", 400, "invalid_request")
	push(url.Values{"redirect_uri": {webCallback}}).refused(t, "redirect URI", 400, "invalid_request")
	push(url.Values{"code_challenge_method": {"plain"}}).refused(t, "plain", 400, "invalid_request")
	push(url.Values{"scope": {`"`}}).refused(t, "scope", 400, "invalid_scope")

	doc := send(t, "GET", s.URL()+oauthMeta, "")
	if doc.member(t, "require_pushed_authorization_requests") != true ||
		doc.member(t, "pushed_authorization_request_endpoint") != s.URL()+"/par" {
		t.Errorf("metadata: %s", doc.body)
	}
	s.SetRequirePAR(false)
	if q := authorize(t, s, nil); q.Get("code") == "" {
		t.Errorf("no longer required: %v", q)
	}
}
