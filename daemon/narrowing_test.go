package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// At a server that narrows a session for good, a program that wants a narrower scope takes it from the others once: the
// next default token shows it, "status" and the log say it with the command that brings the scope back, also after a
// restart, the token is served, and after that sign-in no scope is taken any more.
func TestAServerThatNarrowsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, state := &faultyStore{memory: memory{&keystore.Memory{}}}, t.TempDir()
		h := newBubbleEnv(t, sandbox.Options{TokenLifetime: 5 * time.Minute}, store)
		if err := h.server.Set("narrow", "true"); err != nil {
			t.Fatal(err)
		}
		restart, logged := h.restartsIn(t, state, store)
		restart()
		params := h.ofDevice("p")
		params.Scope = "openid read write"
		h.signIn(t, params)
		narrow := protocol.TokenParams{Profile: "p", Scope: "openid read"}
		if _, err := tokenFor(h.visit(t), narrow); err != nil {
			t.Fatal(err)
		}
		restart()
		for _, when := range []string{"at once", "after a restart"} {
			time.Sleep(4 * time.Minute)
			if _, err := h.token(t, "p"); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if st := h.statusOf(t, "p"); st.Narrows != "noticed" || st.ScopeLost != "offline_access write" &&
				st.ScopeLost != "write" {
				t.Errorf("%s: %+v", when, st)
			}
			restart()
		}
		if logs := logged.FilterMessageSnippet("narrowed").All(); len(logs) != 1 ||
			logs[0].ContextMap()["next"] != "groat login p --replace" {
			t.Errorf("the log says %+v", logs)
		}

		h.signIn(t, protocol.LoginParams{Profile: "p", Replace: true})
		for range 3 {
			_, err := tokenFor(h.visit(t), narrow)
			e := wantError(t, err, protocol.Config)
			if want := `for scope "openid read": this server keeps one scope a session: sign in another profile for ` +
				`that scope`; e.Message != want {
				t.Fatalf("%q", e.Message)
			}
			if want := "groat login NAME --issuer " + h.server.URL() + " --scope 'openid read'"; e.Hint() != want {
				t.Fatalf("%q", e.Hint())
			}
			time.Sleep(4 * time.Minute)
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
			if st := h.statusOf(t, "p"); st.Narrows != "noticed" || st.ScopeLost != "" {
				t.Errorf("after a sign-in: %+v", st)
			}
			restart()
		}
	})
}
