package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var offline = url.Values{"scope": {"read write offline_access"}}

func TestRefreshWithoutRotation(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now }, Clients: []Client{{ID: "other"}}})
	if r := tokens(t, s, nil); r.member(t, "refresh_token") != nil {
		t.Errorf("a refresh token without a request for it: %s", r.body)
	}
	first := tokens(t, s, offline)
	rt := first.text(t, "refresh_token")
	for range 3 {
		now = now.Add(365 * 24 * time.Hour)
		r := refresh(t, s, rt, nil)
		if r.StatusCode != 200 || r.member(t, "refresh_token") != nil ||
			r.member(t, "scope") != "read write offline_access" || r.api(t, s, apiPath) != 200 {
			t.Fatalf("%s %s", r.Status, r.body)
		}
	}
	refresh(t, s, rt, url.Values{"client_id": {"other"}}).refused(t, "another client", 400, "invalid_grant")
	refresh(t, s, rt, url.Values{"client_id": {""}}).refused(t, "no client", 401, "invalid_client")
	refresh(t, s, rt+"x", nil).refused(t, "unknown", 400, "invalid_grant")
	refresh(t, s, "", nil).refused(t, "missing", 400, "invalid_request")
	refresh(t, s, first.text(t, "access_token"), nil).refused(t, "an access token", 400, "invalid_grant")

	// Counted by hash, in the log and beside it; refused ones too.
	if n := s.RefreshUses()[Digest(rt)]; n != 5 {
		t.Errorf("%d uses", n)
	}
	inLog := 0
	for _, e := range s.Log() {
		if e.Refresh == Digest(rt) {
			inLog++
		}
		if b, _ := json.Marshal(e); strings.Contains(string(b), rt) {
			t.Errorf("the log holds the token: %s", b)
		}
	}
	if inLog != 5 {
		t.Errorf("%d in the log", inLog)
	}

	s.BlockUser(alice, true)
	r := refresh(t, s, rt, nil)
	r.refused(t, "blocked", 400, "invalid_grant")
	if r.member(t, "error_description") != "user is blocked" {
		t.Errorf("%s", r.body)
	}
	s.BlockUser(alice, false)
	if r := refresh(t, s, rt, nil); r.StatusCode != 200 {
		t.Errorf("no longer blocked: %s", r.Status)
	}
	s.EndSessions(alice)
	refresh(t, s, rt, nil).refused(t, "signed out", 400, "invalid_grant")
}

// RFC 6749 §6: less, never more, and a refusal uses nothing up.
func TestRefreshNarrows(t *testing.T) {
	s := newPersonServer(t, Options{Refresh: Refresh{Rotate: true},
		Audiences: []string{"https://a.example", "https://b.example"}})
	first := tokens(t, s, url.Values{"scope": {"read write offline_access"}, "audience": {"https://a.example"}})
	rt := first.text(t, "refresh_token")
	refresh(t, s, rt, url.Values{"scope": {"read admin"}}).refused(t, "more", 400, "invalid_scope")
	refresh(t, s, rt, url.Values{"scope": {`read "`}}).refused(t, "malformed", 400, "invalid_scope")
	refresh(t, s, rt, url.Values{"audience": {"https://c.example"}}).refused(t, "unknown API", 400, "invalid_target")
	r := refresh(t, s, rt, url.Values{"scope": {"read"}, "audience": {"https://b.example"}})
	claims := segment(t, r.text(t, "access_token"), 1)
	if r.member(t, "scope") != "read" || claims["scope"] != "read" || claims["aud"] != "https://b.example" {
		t.Errorf("%s %v", r.body, claims)
	}
	r = refresh(t, s, r.text(t, "refresh_token"), nil)
	claims = segment(t, r.text(t, "access_token"), 1)
	// the grant is as wide as before
	if r.member(t, "scope") != "read write offline_access" || claims["aud"] != "https://a.example" {
		t.Errorf("%s %v", r.body, claims)
	}
}

func TestRotationWithoutOverlap(t *testing.T) {
	s := newPersonServer(t, Options{Refresh: Refresh{Rotate: true}})
	first, other := tokens(t, s, offline), tokens(t, s, offline)
	r0 := first.text(t, "refresh_token")
	second := refresh(t, s, r0, nil)
	r1 := second.text(t, "refresh_token")
	if second.StatusCode != 200 || r1 == "" || r1 == r0 {
		t.Fatalf("%s %s", second.Status, second.body)
	}
	third := refresh(t, s, r1, nil)
	if third.StatusCode != 200 {
		t.Fatalf("%s %s", third.Status, third.body)
	}
	refresh(t, s, r0, nil).refused(t, "reuse", 400, "invalid_grant")
	refresh(t, s, third.text(t, "refresh_token"), nil).refused(t, "the newest after reuse", 400, "invalid_grant")
	if got := third.api(t, s, apiPath); got != 401 {
		t.Errorf("access token after reuse: %d", got)
	}
	if r := refresh(t, s, other.text(t, "refresh_token"), nil); r.StatusCode != 200 {
		t.Errorf("another family: %s %s", r.Status, r.body)
	}
}

// Only the immediately previous token, only for so long, and each use forks the family.
func TestRotationWithOverlap(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now },
		Refresh: Refresh{Rotate: true, Overlap: 3 * time.Second}})
	start := func() (r0, r1 string) {
		now = t0
		r0 = tokens(t, s, offline).text(t, "refresh_token")
		return r0, refresh(t, s, r0, nil).text(t, "refresh_token")
	}
	r0, r1 := start()
	now = t0.Add(3*time.Second - time.Millisecond)
	fork := refresh(t, s, r0, nil)
	if fork.StatusCode != 200 || fork.text(t, "refresh_token") == r1 {
		t.Fatalf("inside: %s %s", fork.Status, fork.body)
	}
	for _, rt := range []string{r1, fork.text(t, "refresh_token")} {
		if r := refresh(t, s, rt, nil); r.StatusCode != 200 {
			t.Errorf("both live: %s %s", r.Status, r.body)
		}
	}
	r0, r1 = start()
	now = t0.Add(3 * time.Second)
	refresh(t, s, r0, nil).refused(t, "outside", 400, "invalid_grant")
	refresh(t, s, r1, nil).refused(t, "family", 400, "invalid_grant")

	r0, r1 = start()
	if r := refresh(t, s, r1, nil); r.StatusCode != 200 {
		t.Fatal(r.body)
	}
	refresh(t, s, r0, nil).refused(t, "the one before the previous, in time", 400, "invalid_grant")
}

// FAPI 2.0: the old one works until the new one was used, however long that takes.
func TestRotationUntilUsed(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now },
		Refresh: Refresh{Rotate: true, UntilUsed: true}})
	r0 := tokens(t, s, offline).text(t, "refresh_token")
	var r1 string
	for range 3 {
		now = now.Add(time.Hour)
		r1 = refresh(t, s, r0, nil).text(t, "refresh_token")
	}
	if r := refresh(t, s, r1, nil); r1 == "" || r.StatusCode != 200 {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	refresh(t, s, r0, nil).refused(t, "after the new one was used", 400, "invalid_grant")
}

// A server that only refuses what was used.
func TestRotationKeepsFamily(t *testing.T) {
	s := newPersonServer(t, Options{Refresh: Refresh{Rotate: true, KeepFamily: true}})
	r0 := tokens(t, s, offline).text(t, "refresh_token")
	second := refresh(t, s, r0, nil)
	for range 2 {
		refresh(t, s, r0, nil).refused(t, "reuse", 400, "invalid_grant")
	}
	if got := second.api(t, s, apiPath); got != 200 {
		t.Errorf("access token after reuse: %d", got)
	}
	if r := refresh(t, s, second.text(t, "refresh_token"), nil); r.StatusCode != 200 {
		t.Errorf("the newest after reuse: %s %s", r.Status, r.body)
	}
}

func TestRefreshLifetimes(t *testing.T) {
	now := t0
	s := newPersonServer(t, Options{Clock: func() time.Time { return now },
		Refresh: Refresh{Always: true, Idle: time.Hour, Absolute: 100 * time.Minute}})
	rt := tokens(t, s, nil).text(t, "refresh_token")
	now = t0.Add(59 * time.Minute)
	if r := refresh(t, s, rt, nil); r.StatusCode != 200 {
		t.Fatalf("%s %s", r.Status, r.body)
	}
	now = t0.Add(100 * time.Minute)
	refresh(t, s, rt, nil).refused(t, "absolute", 400, "invalid_grant")
	now = t0
	rt = tokens(t, s, nil).text(t, "refresh_token")
	now = t0.Add(time.Hour)
	refresh(t, s, rt, nil).refused(t, "idle", 400, "invalid_grant")
	now = t0
	refresh(t, s, rt, nil).refused(t, "ended for good", 400, "invalid_grant")
}

func TestClientWithoutRefresh(t *testing.T) {
	s := newPersonServer(t,
		Options{Clients: []Client{{ID: "short", RedirectURIs: []string{callback}, Grants: []string{grantCode}}}})
	code := authorize(t, s, with(url.Values{"client_id": {"short"}}, offline)).Get("code")
	r := redeem(t, s, code, url.Values{"client_id": {"short"}})
	if r.StatusCode != 200 || r.member(t, "refresh_token") != nil {
		t.Errorf("%s %s", r.Status, r.body)
	}
	refresh(t, s, "x", url.Values{"client_id": {"short"}}).refused(t, "grant type", 400, "unauthorized_client")
}

// bubble posts forms inside a synctest bubble.
func bubble(t *testing.T, c *http.Client, to string, form url.Values) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "POST", to, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(b)}
}

// The overlap counts in the server's time, latency included: a client whose answer was lost has what is left of it.
func TestOverlapInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := inBubble(t, Options{
			Latency: time.Second, PasswordGrant: true, Clients: []Client{{ID: native}},
			Refresh: Refresh{Always: true, Rotate: true, Overlap: 3 * time.Second},
		})
		ask := func(form url.Values) reply { return bubble(t, c, s.URL()+"/token", form) }
		r := ask(url.Values{"grant_type": {"password"}, "client_id": {native}, "username": {alice},
			"password": {alicePass}})
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {native},
			"refresh_token": {r.text(t, "refresh_token")}}
		for i, want := range []int{200, 200, 200, 400} { // asked at 0, 1, 2 and 3 s
			if r := ask(form); r.StatusCode != want {
				t.Errorf("use %d: %s %s", i, r.Status, r.body)
			}
		}
	})
}
