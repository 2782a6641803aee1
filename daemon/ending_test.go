package daemon

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// taken reports whether the server takes an access token.
func (h *env) taken(t *testing.T, token string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL()+"/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := h.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// At a server whose refresh ends the session's earlier access tokens, a program that wants another scope ends the token
// of the others once: the first refusal shows it, "status" says it, also after a restart, and no dead token is handed
// out from then on.
func TestAServerWhoseRefreshEndsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{memory: memory{&keystore.Memory{}}}
		i := &incident{store: store, asking: make(chan struct{}, 1), state: t.TempDir()}
		i.env = newBubbleEnv(t, sandbox.Options{
			TokenLifetime: 5 * time.Minute, Latency: 300 * time.Millisecond,
		}, i.store)
		if err := i.server.Set("end_access", "true"); err != nil {
			t.Fatal(err)
		}
		i.client = i.HTTP
		i.restart(t)
		params := i.ofDevice("p")
		params.Scope = "openid read write"
		i.signIn(t, params)

		first, err := i.token(t, "p")
		if err != nil || !i.taken(t, first.AccessToken) {
			t.Fatalf("the first token is not taken: %v", err)
		}
		narrow := protocol.TokenParams{Profile: "p", Scope: "openid read"}
		if _, err := tokenFor(i.visit(t), narrow); err != nil {
			t.Fatal(err)
		}
		if i.taken(t, first.AccessToken) {
			t.Fatal("the server ends no tokens")
		}
		if got := i.statusOf(t, "p").EndsEarlier; got != "" {
			t.Errorf("before anything is refused the status says %q", got)
		}
		var second protocol.TokenResult
		if err := i.visit(t).Call(t.Context(), protocol.MethodReject, protocol.RejectParams{
			TokenParams: protocol.TokenParams{Profile: "p"}, AccessToken: first.AccessToken,
		}, &second); err != nil || !i.taken(t, second.AccessToken) {
			t.Fatalf("in its place: %v", err)
		}

		for _, when := range []string{"at once", "after a restart"} {
			if got := i.statusOf(t, "p").EndsEarlier; got != "refused" {
				t.Errorf("%s: the status says %q", when, got)
			}
			before := i.statusOf(t, "p").Requests
			for range 60 {
				got, err := i.token(t, "p")
				if err != nil || !i.taken(t, got.AccessToken) {
					t.Fatalf("%s: a token that is not taken: %v", when, err)
				}
				_, err = tokenFor(i.visit(t), narrow)
				e := wantError(t, err, protocol.Config)
				if want := `for scope "openid read": this server keeps one token a session: sign in another ` +
					`profile for that scope`; e.Message != want {
					t.Fatalf("%s: %q", when, e.Message)
				}
				if want := "groat login NAME --issuer " + i.server.URL() + " --scope 'openid read'"; e.Hint() != want {
					t.Fatalf("%s: %q", when, e.Hint())
				}
				time.Sleep(20 * time.Second)
			}
			if n := i.statusOf(t, "p").Requests - before; n > 6 {
				t.Errorf("%s: %d requests in 20 minutes", when, n)
			}
			i.restart(t)
		}
	})
}

// A server that says of its tokens whether they are good is asked after the first renewal, and no API need refuse one. A
// public client, which such a server tells nothing, finds out as before.
func TestAServerIsAskedWhetherARenewalEndsTokens(t *testing.T) {
	for name, want := range map[string]string{"browserless": "introspected", "app": ""} {
		inBubble(t, sandbox.Options{
			TokenLifetime: 5 * time.Minute, Latency: 300 * time.Millisecond,
			Clients: []sandbox.Client{{ID: "browserless", Secret: clientSecret, Method: sandbox.ClientSecretPost,
				Grants: []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}}},
		}, func(t *testing.T, h *env, _ *faultyStore) {
			if err := h.server.Set("end_access", "true"); err != nil {
				t.Fatal(err)
			}
			params := h.ofDevice("p")
			if params.ClientID = name; name != "app" {
				params.ClientAuth = sandbox.ClientSecretPost
			}
			h.signIn(t, params)
			time.Sleep(4 * time.Minute)
			synctest.Wait()
			if got := h.statusOf(t, "p").EndsEarlier; got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
			if n := h.server.Count(h.server.IntrospectPath()); n == 0 || n > 2 {
				t.Errorf("%s: asked %d times", name, n)
			}
		})
	}
}
