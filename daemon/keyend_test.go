package daemon

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// Earthdata's token is served for its sixty days, also where groatd is started again each day. One warning comes in
// time, no renewal is ever announced, and when the token has ended, or an API refuses it, a sign-in is what helps: it
// brings a token of sixty days more.
func TestAUserTokenIsServedUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, state := &faultyStore{memory: memory{&keystore.Memory{}}}, t.TempDir()
		h := newBubbleEnv(t, sandbox.Options{}, store)
		restart, logged := h.restartsIn(t, state, store)
		restart()
		signIn := func() {
			t.Helper()
			if _, err := h.visit(t).Login(t.Context(), protocol.LoginParams{
				Profile: "p", Provider: "earthdata", AuthServer: h.server.URL(), Username: person,
			}, typing(password)); err != nil {
				t.Fatal(err)
			}
		}
		signIn()
		end := time.Now().Add(sandbox.EarthdataLifetime)
		first, err := h.token(t, "p")
		if err != nil || first.Static || first.TokenType != "Bearer" || first.ExpiresAt != end.Unix() ||
			first.SessionEndsAt != end.Unix() || first.Header != "Authorization: Bearer "+first.AccessToken {
			t.Fatalf("%+v, %v", first, err)
		}
		for day := 1; day < 60; day++ {
			time.Sleep(24 * time.Hour)
			if got, err := h.token(t, "p"); err != nil || got.AccessToken != first.AccessToken ||
				got.ExpiresAt-end.Unix() > 1 || got.ExpiresAt-end.Unix() < -1 {
				t.Fatalf("day %d: %v", day, err)
			}
			synctest.Wait()
			if st := h.statusOf(t, "p"); st.RenewIn != 0 || !st.Last || st.State != "fresh" || st.SessionEndsAt == 0 {
				t.Fatalf("day %d: %+v", day, st)
			}
			n := 0
			for _, e := range logged.All() {
				if strings.HasPrefix(e.Message, "a sign-in ends soon") {
					n++
				}
			}
			if want := min(max(day-53, 0), 1); n != want {
				t.Errorf("day %d: %d warnings, want %d", day, n, want)
			}
			restart()
		}
		asked := len(h.server.Log())
		time.Sleep(24 * time.Hour)
		_, err = h.token(t, "p")
		if n := len(h.server.Log()); n != asked || !needsLogin(err, "the token ended at") {
			t.Errorf("%d requests; %v", n-asked, err)
		}

		signIn()
		second, err := h.token(t, "p")
		if err != nil || second.AccessToken == first.AccessToken {
			t.Fatalf("%+v, %v", second, err)
		}
		h.server.Revoke(second.AccessToken)
		err = h.visit(t).Call(t.Context(), protocol.MethodReject, protocol.RejectParams{
			TokenParams: protocol.TokenParams{Profile: "p"}, AccessToken: second.AccessToken,
		}, nil)
		_, again := h.token(t, "p")
		if !needsLogin(err, "refused the token") || !needsLogin(again, "refused the token") {
			t.Errorf("%v; then %v", err, again)
		}
		signIn()
		if third, err := h.token(t, "p"); err != nil || third.AccessToken == second.AccessToken {
			t.Errorf("%+v, %v", third, err)
		}
	})
}

func needsLogin(err error, text string) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && e.Kind() == protocol.LoginRequired && e.Hint() == "groat login p" && strings.Contains(e.Message, text)
}
