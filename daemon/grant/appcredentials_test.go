package grant_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// The whole way, with each provider's own dialect: password, temporary token, client, token.
func TestFromPasswordToToken(t *testing.T) {
	for _, name := range []string{"spatiafi", "climateengine"} {
		t.Run(name, func(t *testing.T) {
			box, server := provider(t, name)
			e := endpoint(server)
			first, err := e.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
			if err != nil {
				t.Fatal(err)
			}
			item, err := e.CreateClient(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			if item.Issuer != box.URL() || item.TokenEndpoint != server.TokenEndpoint ||
				item.ClientAuth != "client_secret_jwt" || item.ClientSecret.Len() != 43 {
				t.Errorf("item %+v", item)
			}
			if _, err := e.ClientCredentials(t.Context(), item, grant.Request{}); err != nil {
				t.Error(err)
			}
			if n := len(box.Clients()); n != 2 {
				t.Errorf("%d clients at the provider", n)
			}
			ways := []string{}
			for _, l := range box.Log() {
				ways = append(ways, l.Method+" "+l.GrantType+" "+l.Auth)
			}
			want := map[string]string{
				"spatiafi":      "[GET  basic POST  bearer POST client_credentials client_secret_jwt]",
				"climateengine": "[POST password  POST  bearer POST client_credentials client_secret_jwt]",
			}[name]
			if fmt.Sprint(ways) != want {
				t.Errorf("requests %v", ways)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	for _, name := range []string{"spatiafi", "climateengine"} {
		_, server := provider(t, name)
		for _, user := range []string{alice, "nobody@example.com"} {
			_, err := endpoint(server).FirstToken(t.Context(), user, keystore.SecretString("hunter2-canary"))
			if got := wantClass(t, err, grant.Refused); !strings.Contains(got.Error(), "user name or password") ||
				strings.Contains(got.Error(), "hunter2") {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

func TestUserNameWithColonIsNotSent(t *testing.T) {
	box, server := provider(t, "spatiafi")
	_, err := endpoint(server).FirstToken(t.Context(), "a:b", keystore.SecretString(alicePass))
	wantClass(t, err, grant.Misconfigured)
	if n := len(box.Log()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestNotOffered(t *testing.T) {
	e := endpoint(serverOf("https://auth.example.com", grant.ClientSecretJWT))
	_, err1 := e.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
	_, err2 := e.CreateClient(t.Context(), grant.Token{})
	_, err3 := e.Userinfo(t.Context(), grant.Token{})
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, grant.ErrNotOffered) {
			t.Errorf("%v", err)
		}
	}
}

// After each of these a client may exist, or certainly does not; the person must be told the right one of the two, and
// nothing of an error is ever taken for a credential.
func TestCreateClientFails(t *testing.T) {
	const id = `"client_id":"11111111-2222-4333-8444-555555555555"`
	for _, c := range []struct {
		name      string
		fault     sandbox.Fault
		ambiguous bool
		class     grant.Class
	}{
		{"expired token", sandbox.Fault{Status: 401, Body: `{"detail":"Unauthorized"}`}, false, grant.Refused},
		{"not allowed", sandbox.Fault{Status: 403, Body: `{"detail":"Forbidden"}`}, false, grant.TransientSlow},
		{"redirect", sandbox.Redirect("https://auth.example.com/api/v1/clients/"), false, grant.Misconfigured},
		{"not found", sandbox.Fault{Status: 404, Body: `{"detail":"Not Found"}`}, false, grant.TransientSlow},
		{"field missing", sandbox.Fault{Status: 422, Body: `{"detail":[{"msg":"x"}]}`}, false, grant.Misconfigured},
		{"busy", sandbox.Busy(429, "5"), false, grant.Transient},
		{"refusal that was cut off", sandbox.Fault{Status: 401, Body: `{"detail":"Unauthorized"}`, Truncate: 5}, false,
			grant.Ambiguous},
		{"error under 200", sandbox.Fault{Status: 200, Body: `{"error":"access_denied"}`}, false, grant.Refused},
		{"500", sandbox.Fault{Status: 500, Body: `{"detail":"x"}`}, true, grant.Transient},
		{"502 page", sandbox.HTML(502), true, grant.Transient},
		{"503 with Retry-After", sandbox.Busy(503, "5"), true, grant.Transient},
		{"reset before it was read", sandbox.Fault{Cut: sandbox.CutAfterBody}, true, grant.Ambiguous},
		{"reset after it was done", sandbox.Fault{Cut: sandbox.CutAfterHandling}, true, grant.Ambiguous},
		{"201 that was cut off", sandbox.Fault{Truncate: 40}, true, grant.Ambiguous},
		{"200 page", sandbox.HTML(200), true, grant.Malformed},
		{"201 not JSON", sandbox.Fault{Status: 201, Body: `{`}, true, grant.Malformed},
		{"201 empty", sandbox.Fault{Status: 201}, true, grant.Malformed},
		{"202", sandbox.Fault{Status: 202, Body: `{` + id + `,"client_secret":"x"}`}, true, grant.Malformed},
		{"204", sandbox.Fault{Status: 204}, true, grant.Malformed},
		{"201 compressed", sandbox.Fault{Status: 201, Gunzipped: 1000}, true, grant.Malformed},
		{"201 too large", sandbox.Fault{Status: 201, Endless: true, Body: " "}, true, grant.Malformed},
		{"detail under 201", sandbox.Fault{Status: 201, Body: `{"detail":"Unauthorized"}`}, true, grant.Malformed},
		{"no secret", sandbox.Fault{Set: map[string]any{"client_secret": nil}}, true, grant.Malformed},
		{"no id", sandbox.Fault{Set: map[string]any{"client_id": nil}}, true, grant.Malformed},
		{"empty secret", sandbox.Fault{Set: map[string]any{"client_secret": ""}}, true, grant.Malformed},
		{"empty id", sandbox.Fault{Set: map[string]any{"client_id": ""}}, true, grant.Malformed},
		{"null secret", sandbox.Fault{Status: 201, Body: `{` + id + `,"client_secret":null}`}, true, grant.Malformed},
		{"secret that is a number", sandbox.Fault{Set: map[string]any{"client_secret": 1}}, true, grant.Malformed},
		{"secret with a newline", sandbox.Fault{Set: map[string]any{"client_secret": "a\nb"}}, true, grant.Malformed},
		{"secret without end", sandbox.Fault{Set: map[string]any{"client_secret": strings.Repeat("x", 2000)}}, true,
			grant.Malformed},
		{"two secrets", sandbox.Fault{Status: 201, Body: `{` + id + `,"client_secret":"x","client_secret":"y"}`}, true,
			grant.Malformed},
		{"names in another case", sandbox.Fault{Status: 201, Body: `{"Client_id":"x","Client_Secret":"y"}`}, true,
			grant.Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			box, server := provider(t, "spatiafi")
			e := endpoint(server)
			first, err := e.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
			if err != nil {
				t.Fatal(err)
			}
			box.Script(sandbox.SpatiafiClientsPath, c.fault)
			item, err := e.CreateClient(t.Context(), first)
			if !item.ClientSecret.IsZero() || item.ClientID != "" {
				t.Errorf("an item: %+v", item)
			}
			got := wantClass(t, err, c.class)
			if _, ambiguous := errors.AsType[*grant.AmbiguousCreateError](err); ambiguous != c.ambiguous {
				t.Errorf("ambiguous %v: %v", ambiguous, err)
			}
			if n := box.Count(sandbox.SpatiafiClientsPath); n != 1 {
				t.Errorf("%d requests", n)
			}
			if strings.Contains(err.Error(), first.Access.Reveal()) || got.Where == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCreateClientUnreachableCreatesNothing(t *testing.T) {
	_, server := provider(t, "spatiafi")
	server.Apps.ClientsEndpoint = "http://127.0.0.1:1/api/v1/clients/"
	_, err := endpoint(server).CreateClient(t.Context(), issued(server, "dummy", "http://127.0.0.1:1"))
	wantClass(t, err, grant.Transient)
	if e, ambiguous := errors.AsType[*grant.AmbiguousCreateError](err); ambiguous {
		t.Errorf("%v", e)
	}
}

func TestCreateClientHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t)
		first, err := b.endpoint.FirstToken(t.Context(), alice, keystore.SecretString(alicePass))
		if err != nil {
			t.Fatal(err)
		}
		b.server.Script(sandbox.SpatiafiClientsPath, sandbox.Fault{Cut: sandbox.Hang})
		_, err = b.endpoint.CreateClient(t.Context(), first)
		if e, ok := errors.AsType[*grant.AmbiguousCreateError](err); !ok || e.Cause.Class != grant.Ambiguous {
			t.Errorf("%v", err)
		}
	})
}

func TestCreateClientSendsAnEmptyBody(t *testing.T) {
	var got string
	address, _ := handler(t, func(w http.ResponseWriter, r *http.Request) {
		got = fmt.Sprintf("%s %s %d %v %s", r.Method, r.URL.Path, r.ContentLength, r.TransferEncoding,
			r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"user_id":"u","client_id":"i d","client_secret":"\u0061 b"}`)
	})
	server := fromPreset(t, "spatiafi", address)
	item, err := endpoint(server).CreateClient(t.Context(), issued(server, "dummy"))
	if err != nil || item.ClientID != "i d" || item.ClientSecret.Reveal() != "a b" {
		t.Errorf("%+v, %v", item, err)
	}
	if want := "POST /api/v1/clients/ 0 [] Bearer dummy"; got != want {
		t.Errorf("sent %s", got)
	}
}
