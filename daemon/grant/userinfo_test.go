package grant_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

func TestUserinfo(t *testing.T) {
	box, server := provider(t, "spatiafi")
	e := endpoint(server)
	token, err := e.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Userinfo(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "id") // a new one each time
	want := map[string]any{"email": alice, "is_active": true, "is_superuser": false, "is_verified": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	box.Revoke(token.Access.Reveal())
	_, err = e.Userinfo(t.Context(), token)
	wantClass(t, err, grant.Refused)
	if e.Requests() != 1 {
		t.Errorf("counted %d requests for tokens", e.Requests())
	}
}

func TestUserinfoShowsOnlyWhatCanBeShown(t *testing.T) {
	many := map[string]any{}
	for i := range 100 {
		many[fmt.Sprintf("k%03d", i)] = i
	}
	const token = "dummy-access-token"
	for _, c := range []struct {
		name string
		in   any
		want map[string]any
	}{
		{"scalars", map[string]any{"s": "x", "n": json.Number("1700000000"), "f": json.Number("-1.5"), "t": true,
			"f2": false},
			map[string]any{"s": "x", "n": json.Number("1700000000"), "f": json.Number("-1.5"), "t": true, "f2": false}},
		{"others", map[string]any{"null": nil, "list": []int{1}, "object": map[string]any{"a": 1}}, map[string]any{}},
		{"terminal", map[string]any{"name": "Zoë\x1b[31m\u202e\u200b\r\n"}, map[string]any{"name": "Zoë?[31m????"}},
		{"long", map[string]any{"name": strings.Repeat("é", 400)}, map[string]any{"name": strings.Repeat("é", 256)}},
		{"token", map[string]any{"a": "x " + token, token: "b"}, map[string]any{"a": "x [removed]", "[removed]": "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(c.in)
			})
			server := serverOf(address, grant.ClientSecretJWT)
			server.Userinfo = address + "/me"
			got, err := endpoint(server).Userinfo(t.Context(), issued(server, token))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	address, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(many)
	})
	server := serverOf(address, grant.ClientSecretJWT)
	server.Userinfo = address + "/me"
	got, err := endpoint(server).Userinfo(t.Context(), issued(server, token))
	if err != nil || len(got) != 32 || got["k000"] != json.Number("0") || got["k031"] != json.Number("31") {
		t.Errorf("%d members, %v", len(got), err)
	}
}

// An answer about another person than the sign-in's ID token is not shown (OpenID Connect Core §5.3.2).
func TestUserinfoIsAboutWhoSignedIn(t *testing.T) {
	for body, good := range map[string]bool{
		`{"sub":"alice"}`: true, `{"email":"alice@example.com"}`: true, `{"sub":null}`: true,
		`{"sub":"mallory"}`: false, `{"sub":["alice"]}`: false, `{"sub":""}`: false, `{"sub":5}`: false,
	} {
		address, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		})
		server := serverOf(address, grant.None)
		server.Userinfo = address + "/me"
		item := server.NewItem(publicID, grant.ByDeviceCode)
		e := endpoint(server)
		for subject, shown := range map[string]bool{"": true, "alice": good} {
			item.IDSubject = subject
			got, err := e.Userinfo(t.Context(), grant.Token{Access: keystore.SecretString("dummy-access-token"),
				Type: "Bearer", Destinations: e.DestinationsOf(item)})
			if shown != (err == nil) || err != nil && !strings.Contains(err.Error(), "somebody else than who signed in") {
				t.Errorf("%s for %q: %v, %v", body, subject, got, err)
			}
		}
	}
}
