package daemon

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// The userinfo endpoint of a profile is edited during a sign-in: the token of the old configuration does not go there,
// also where the issuer is edited to fit.
func TestNoTokenGoesWhereAnEditLeads(t *testing.T) {
	const elsewhere = "http://localhost:9" // in a bubble every name leads to the env's server
	for name, test := range map[string]struct {
		issuer string // empty: as it was
	}{
		"the address alone": {""},
		"the issuer too":    {elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
				profile := func(issuer, userinfo string) string {
					return "issuer = \"" + issuer + "\"\ntoken_endpoint = \"" + h.server.URL() + h.server.TokenPath() +
						"\"\nclient_auth = \"client_secret_post\"\nuserinfo_endpoint = \"" + userinfo + "\"\n"
				}
				h.write(t, "profiles.d/p.toml", profile(h.server.URL(), h.server.URL()+h.server.UserinfoPath()))
				h.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "machine"})
				h.write(t, "profiles.d/p.toml", profile(cmp.Or(test.issuer, h.server.URL()), elsewhere+"/me"))
				c := h.visit(t)
				if err := c.Call(t.Context(), protocol.MethodReload, nil, nil); err != nil {
					t.Fatal(err)
				}
				wantError(t, c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "p"}, nil),
					protocol.Config)
				if n := h.server.Count("/me"); n != 0 {
					t.Errorf("the new host was asked %d times", n)
				}
			})
		})
	}
}

// A hundred callers of a profile that is not signed in: all are told at once, the server is not asked, and no person
// is asked for anything.
func TestAHundredCallersOfASignedOutProfile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.write(t, "profiles.d/p.toml", "provider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		came := make(chan error, 100)
		for range cap(came) {
			c := h.visit(t)
			go func() { came <- c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "p"}, nil) }()
		}
		for range cap(came) {
			if e := wantError(t, <-came, protocol.LoginRequired); e.Hint() != "groat login p" {
				t.Errorf("%q", e.Hint())
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("they were told after %s", waited)
		}
		if n := len(h.server.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// Where the server gives no refresh token the session ends with its access token, and the next command is said. A
// refresh token that the keystore cannot take is held in memory: tokens go on coming, status says so, and it is stored
// as soon as that works again.

func TestARotationThatCannotBeStored(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		h.signIn(t, h.ofDevice("p"))
		first := stored(t, store, "p").RefreshToken
		store.unwritable.Store(true)
		renew := func() {
			t.Helper()
			h.cool("p")
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
		}
		renew()
		renew() // with the one that is in memory only
		if !stored(t, store, "p").RefreshToken.Equal(first) {
			t.Fatal("the keystore was written")
		}
		message := func() (string, string) {
			var st protocol.StatusResult
			if err := h.visit(t).Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: "p"},
				&st); err != nil {
				t.Fatal(err)
			}
			return st.Profiles[0].State, st.Profiles[0].Message
		}
		const degraded = "the newest credential is in groatd's memory only: the keystore is not available"
		if state, text := message(); state != "fresh" || text != degraded {
			t.Errorf("%s: %q", state, text)
		}
		store.unwritable.Store(false)
		renew()
		if state, text := message(); state != "fresh" || text != "" {
			t.Errorf("%s: %q", state, text)
		}
		newest := stored(t, store, "p").RefreshToken
		if newest.Equal(first) || h.server.RefreshUses()[sandbox.Digest(newest.Reveal())] != 0 {
			t.Error("what is stored is not the newest refresh token")
		}
	})
}

// A client's profile has no person behind it, and whoami says so: another login would change nothing.
// Nobody can say whose an API key is.
func TestWhoamiOfAClientAndOfAKey(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.ofMachine("team"))
		err := h.visit(t).Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "team"}, nil)
		e := wantError(t, err, protocol.Config)
		if !strings.Contains(e.Message, `profile "team" is a client's, and has no person behind it`) ||
			e.Hint() != "groat status team" {
			t.Errorf("%s, %s", e.Message, e.Hint())
		}
		h.signIn(t, protocol.LoginParams{Profile: "key", Provider: "planet-key"})
		err = h.visit(t).Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "key"}, nil)
		if e := wantError(t, err, protocol.Config); e.Message != `profile "key" has an API key, and its server has no `+
			`endpoint that says whose it is` || e.Hint() != "groat status key" {
			t.Errorf("%s, %s", e.Message, e.Hint())
		}
	})
}

// An API key does not expire, and status names no time at which it would.
func TestTheStatusOfAnAPIKey(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, protocol.LoginParams{Profile: "key", Provider: "planet-key"})
		if _, err := h.token(t, "key"); err != nil {
			t.Fatal(err)
		}
		status, err := h.visit(t).Status(t.Context(), "key")
		if err != nil || len(status.Profiles) != 1 {
			t.Fatalf("%+v, %v", status, err)
		}
		if p := status.Profiles[0]; p.State != "fresh" || !p.Static || p.ExpiresAt != 0 || p.ExpiresIn != 0 ||
			p.Lifetime != 0 || p.RenewIn != 0 {
			t.Errorf("%+v", p)
		}
	})
}
