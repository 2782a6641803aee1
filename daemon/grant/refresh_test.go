package grant_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

func rotating(o *sandbox.Options) { o.Refresh.Rotate = true }

func TestRefresh(t *testing.T) {
	box, e, item := signedIn(t, nil)
	for range 3 {
		token, rotated, err := e.Refresh(t.Context(), item, grant.Request{})
		if err != nil || !rotated.IsZero() || token.Access.IsZero() {
			t.Fatalf("%+v, %v", token, err)
		}
	}
	if uses := box.RefreshUses()[sandbox.Digest(item.RefreshToken.Reveal())]; uses != 3 {
		t.Errorf("presented %d times", uses)
	}
	log := box.Log()
	if last := log[len(log)-1]; last.Scope != "" || last.Audience != "" || last.Auth != "none" {
		t.Errorf("sent %+v", last)
	}
}

// Each refresh token of a rotating server is presented once, and the session goes on.
func TestRefreshWithRotation(t *testing.T) {
	box, e, item := signedIn(t, rotating)
	for range 5 {
		_, rotated, err := e.Refresh(t.Context(), item, grant.Request{})
		if err != nil || rotated.IsZero() || rotated.Equal(item.RefreshToken) {
			t.Fatal(err)
		}
		item.RefreshToken = rotated
	}
	uses := box.RefreshUses()
	if len(uses) != 5 {
		t.Errorf("%d refresh tokens were presented", len(uses))
	}
	for _, n := range uses {
		if n != 1 {
			t.Errorf("one was presented %d times", n)
		}
	}
}

// C45 of a rotating server: the answer is lost once it has acted. It is not asked again here, and the error says what
// that means.
func TestRefreshAnswerLost(t *testing.T) {
	box, e, item := signedIn(t, rotating)
	path := strings.TrimPrefix(e.Server().TokenEndpoint, box.URL())
	before := box.Count(path)
	box.Script(path, sandbox.Fault{Cut: sandbox.CutAfterHandling})
	_, rotated, err := e.Refresh(t.Context(), item, grant.Request{})
	if got := wantClass(t, err, grant.Ambiguous); !got.RotationLost || !rotated.IsZero() {
		t.Errorf("%+v", got)
	}
	if n := box.Count(path) - before; n != 1 {
		t.Errorf("%d requests", n)
	}
	_, _, err = e.Refresh(t.Context(), item, grant.Request{})
	if got := wantClass(t, err, grant.Refused); got.RotationLost ||
		!strings.Contains(got.Error(), "has ended the session") {
		t.Errorf("%v", got)
	}
}

// The same where the server lets the previous one work until the new one was used (FAPI 2.0), or for a while (Auth0).
func TestRefreshAnswerLostIsHealed(t *testing.T) {
	for name, mode := range map[string]sandbox.Refresh{
		"until used": {Always: true, Rotate: true, UntilUsed: true},
		"overlap":    {Always: true, Rotate: true, Overlap: 30e9},
	} {
		box, e, item := signedIn(t, func(o *sandbox.Options) { o.Refresh = mode })
		box.Script(strings.TrimPrefix(e.Server().TokenEndpoint, box.URL()),
			sandbox.Fault{Cut: sandbox.CutAfterHandling})
		_, _, err := e.Refresh(t.Context(), item, grant.Request{})
		wantClass(t, err, grant.Ambiguous)
		if _, rotated, err := e.Refresh(t.Context(), item, grant.Request{}); err != nil || rotated.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// C22 to C26, and what a new refresh token is worth beside an answer that is not.
func TestRefreshRows(t *testing.T) {
	const old = "dummy-old-refresh-token"
	const ok = `"access_token":"abc","expires_in":60`
	for _, c := range []struct {
		name, body string
		status     int
		rotated    string
		class      grant.Class
		lost       bool
	}{
		{name: "C22 absent", body: `{` + ok + `}`},
		{name: "C22 null", body: `{` + ok + `,"refresh_token":null}`},
		{name: "C23 new", body: `{` + ok + `,"refresh_token":"dummy-new"}`, rotated: "dummy-new"},
		{name: "C23 new, with a space and slashes", body: `{` + ok + `,"refresh_token":"1//0a b\"c"}`,
			rotated: `1//0a b"c`},
		{name: "C24 identical", body: `{` + ok + `,"refresh_token":"` + old + `"}`},
		{name: "C25 empty", body: `{` + ok + `,"refresh_token":""}`},
		{name: "C26 line feed", body: `{` + ok + `,"refresh_token":"a\nb"}`, class: grant.Malformed, lost: true},
		{name: "C26 not ASCII", body: `{` + ok + `,"refresh_token":"é"}`, class: grant.Malformed, lost: true},
		{name: "C26 1 MB", body: `{` + ok + `,"refresh_token":"` + strings.Repeat("a", 1e6) + `"}`,
			class: grant.Malformed, lost: true},
		{name: "C26 a number", body: `{` + ok + `,"refresh_token":1}`, class: grant.Malformed, lost: true},
		{name: "C26 an object", body: `{` + ok + `,"refresh_token":{}}`, class: grant.Malformed, lost: true},
		{name: "C28 two of them", body: `{` + ok + `,"refresh_token":"a","refresh_token":"b"}`,
			class: grant.Malformed, lost: true},
		{name: "C3 no access token", body: `{"expires_in":60}`, class: grant.Malformed, lost: true},
		{name: "C3 no access token, but a new refresh token", body: `{"refresh_token":"dummy-new"}`,
			rotated: "dummy-new", class: grant.Malformed},
		{name: "C15 expired at once, with a new one",
			body: `{"access_token":"abc","expires_in":-1,"refresh_token":"dummy-new"}`, rotated: "dummy-new",
			class: grant.Malformed},
		{name: "C20 unusable access token, with a new one",
			body: `{"access_token":"a\nb","expires_in":9,"refresh_token":"dummy-new"}`, rotated: "dummy-new",
			class: grant.Malformed},
		{name: "C27 wider, with a new one", body: `{` + ok + `,"scope":"read write","refresh_token":"dummy-new"}`,
			rotated: "dummy-new", class: grant.Misconfigured},
		{name: "C1 a page", body: `<html>`, class: grant.Malformed, lost: true},
		{name: "C32 use_dpop_nonce", status: 400, body: `{"error":"use_dpop_nonce"}`, class: grant.Misconfigured},
		{name: "C29 dead", status: 400, body: `{"error":"invalid_grant"}`, class: grant.Refused},
		{name: "C29 blocked (Auth0)", status: 403,
			body: `{"error":"invalid_grant","error_description":"user is blocked"}`, class: grant.Refused},
		{name: "C30 client", status: 401, body: `{"error":"invalid_client"}`, class: grant.InvalidClient},
		{name: "C35 500", status: 500, body: `{}`, class: grant.Transient},
		{name: "C41 429", status: 429, body: `{}`, class: grant.Transient},
		{name: "a new one beside an error is not believed", status: 400,
			body: `{"error":"server_error","refresh_token":"dummy-new"}`, class: grant.Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, requests := handler(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				w.Write([]byte(c.body))
			})
			server := serverOf(url, grant.None)
			item := server.NewItem(publicID, grant.ByDeviceCode)
			item.RefreshToken = keystore.SecretString(old)
			token, rotated, err := endpoint(server).Refresh(t.Context(), item,
				grant.Request{Scope: []string{"read"}, Narrow: true})
			if c.class == grant.OK {
				if err != nil || token.Access.Reveal() != "abc" {
					t.Errorf("%+v, %v", token, err)
				}
			} else if e := wantClass(t, err, c.class); e.RotationLost != c.lost || !token.Access.IsZero() {
				t.Errorf("lost %v, %+v", e.RotationLost, e)
			}
			if rotated.Reveal() != c.rotated || item.RefreshToken.Reveal() != old {
				t.Errorf("rotated to %q", rotated.Reveal())
			}
			if requests.Load() != 1 {
				t.Errorf("%d requests", requests.Load())
			}
		})
	}
}

// C27: what is narrower is recorded; what was not granted cannot be asked for.
func TestRefreshScope(t *testing.T) {
	box, server := generic(t, grant.None, func(o *sandbox.Options) { o.Refresh.Always = true })
	server.Scope = []string{"read", "write"}
	e, item := endpoint(server), server.NewItem(publicID, grant.ByAuthorizationCode)
	box.SetGrantedScope("read")
	s := throughBrowser(t, e, item, grant.Request{})
	if s.Token.Scope != "read" {
		t.Fatalf("granted %q", s.Token.Scope)
	}
	item.RefreshToken = s.Refresh
	token, _, err := e.Refresh(t.Context(), item, grant.Request{Scope: []string{"read"}})
	if err != nil || token.Scope != "read" {
		t.Errorf("%q, %v", token.Scope, err)
	}
	_, _, err = e.Refresh(t.Context(), item, grant.Request{Scope: []string{"write"}})
	if got := wantClass(t, err, grant.Misconfigured); got.Code != "invalid_scope" {
		t.Errorf("%v", got)
	}
}

func TestRefreshOfAnotherServer(t *testing.T) {
	url, requests := handler(t, func(http.ResponseWriter, *http.Request) {})
	server := serverOf(url, grant.None)
	item := server.NewItem(publicID, grant.ByDeviceCode)
	if _, _, err := endpoint(server).Refresh(t.Context(), item, grant.Request{}); !errors.Is(err, grant.ErrNotOffered) {
		t.Errorf("without a refresh token: %v", err)
	}
	item.RefreshToken = keystore.SecretString("dummy")
	item.TokenEndpoint = "https://moved.example.com/token"
	if _, _, err := endpoint(server).Refresh(t.Context(), item, grant.Request{}); !errors.Is(err,
		grant.ErrEndpointChanged) {
		t.Errorf("the token endpoint moved: %v", err)
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests", requests.Load())
	}
}

func TestRefreshForm(t *testing.T) {
	var got string
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		b, _ := json.Marshal(r.PostForm)
		got = string(b) + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"access_token":"abc"}`))
	})
	server := serverOf(url, grant.None)
	item := server.NewItem(publicID, grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString("1//a+b&c")
	if _, _, err := endpoint(server).Refresh(t.Context(), item, grant.Request{}); err != nil {
		t.Fatal(err)
	}
	want := `{"client_id":["public-client"],"grant_type":["refresh_token"],"refresh_token":["1//a+b\u0026c"]}`
	if got != want {
		t.Errorf("sent %s", got)
	}
}

// A token that may do more is never taken for a caller's narrower request, whatever the server is known for.
func TestANarrowerRequestIsNotAnsweredWithMore(t *testing.T) {
	url, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"access_token":"abc","token_type":"Bearer","expires_in":60,"scope":"read write"}`))
	})
	server := serverOf(url, grant.None)
	item := server.NewItem(publicID, grant.ByDeviceCode)
	item.RefreshToken = keystore.SecretString("dummy-old")
	for _, wider := range []bool{false, true} {
		server.WiderScope = wider
		_, _, err := endpoint(server).Refresh(t.Context(), item,
			grant.Request{Scope: []string{"read"}, Narrow: true})
		if wantClass(t, err, grant.Misconfigured); !strings.Contains(err.Error(), `"write"`) {
			t.Errorf("%v", err)
		}
		token, _, err := endpoint(server).Refresh(t.Context(), item, grant.Request{Scope: []string{"read"}})
		if err != nil || (token.Wider == nil) != wider {
			t.Errorf("the profile's own scope: %q, %v", token.Wider, err)
		}
	}
}
