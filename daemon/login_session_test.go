package daemon

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

func TestNoLateRenewalOverwritesANewSignIn(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		h.signIn(t, h.ofDevice("p"))
		h.cool("p")
		h.late(h.server.TokenPath())
		renewed := h.asking(t, "p")
		r := h.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"})
		if r.Outcome != protocol.SignedIn || r.ClientID != "other-app" {
			t.Errorf("%+v", r)
		}
		if err := <-renewed; err != nil {
			t.Error("whoever waited for the renewal:", err)
		}
		time.Sleep(drain) // the renewal is over, whoever waited for it
		if got := stored(t, store, "p"); got.ClientID != "other-app" {
			t.Errorf("the keystore has the session of %q", got.ClientID)
		}
		h.cool("p")
		if _, err := h.token(t, "p"); err != nil {
			t.Error("the new session does not work:", err)
		}
	})
}

func TestANewSignInDoesNotWaitForEver(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		h.signIn(t, h.ofDevice("p"))
		h.cool("p")
		var reads atomic.Int64
		stuck := func() {
			if reads.Add(1) == 1 {
				time.Sleep(2 * drain)
			}
		}
		store.read.Store(&stuck)
		renewed := h.asking(t, "p")
		if r := h.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"}); r.ClientID != "other-app" {
			t.Errorf("%+v", r)
		}
		<-renewed
		time.Sleep(2 * drain)
		if got := stored(t, store, "p"); got.ClientID != "other-app" {
			t.Errorf("the keystore has the session of %q", got.ClientID)
		}
		h.cool("p")
		if _, err := h.token(t, "p"); err != nil {
			t.Error("the new session does not work:", err)
		}
	})
}

func TestANewClientDoesNotWaitForEver(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		params := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
		if _, err := h.visit(t).Login(t.Context(), params, typing(password)); err != nil {
			t.Fatal(err)
		}
		old := stored(t, store, "work").ClientID
		h.cool("work")
		var reads atomic.Int64
		stuck := func() {
			if reads.Add(1) == 1 {
				time.Sleep(2 * drain)
			}
		}
		store.read.Store(&stuck)
		renewed := h.asking(t, "work")
		params.NewClient = true
		r, err := h.visit(t).Login(t.Context(), params, typing(password))
		if err != nil || !r.Created || r.ClientID == old {
			t.Errorf("%+v, %v", r, err)
		}
		<-renewed
		time.Sleep(2 * drain)
		if got := stored(t, store, "work"); got.ClientID != r.ClientID {
			t.Errorf("the keystore has %q, want %q", got.ClientID, r.ClientID)
		}
	})
}

func TestALostRotationIsCalledByItsName(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		h.signIn(t, h.ofDevice("p"))
		h.cool("p")
		h.server.Script(h.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterHandling})
		_, err := h.token(t, "p")
		wantError(t, err, protocol.Temporary)
		time.Sleep(time.Minute)
		_, err = h.token(t, "p")
		e := wantError(t, err, protocol.LoginRequired)
		if e.Hint() != "groat login p" || !strings.Contains(e.Message, "by one that never arrived") {
			t.Errorf("%v, %q", e, e.Hint())
		}
		if r := h.signIn(t, protocol.LoginParams{Profile: "p"}); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
}

func TestAProofPutsNoOldRefreshTokenBack(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		params := h.ofDevice("p")
		params.Scope = "read write"
		h.signIn(t, params)
		requests := func() int { return h.server.Count(h.server.TokenPath()) }
		before := requests()
		var reads atomic.Int64
		renew := func() { // after the proof the keystore is read by its owner, who rotates, and then by the login
			if requests() != before+1 || reads.Add(1) != 2 {
				return
			}
			if err := h.visit(t).Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "p", Scope: "read"}, nil); err != nil {
				t.Error(err)
			}
		}
		store.read.Store(&renew)
		r := h.signIn(t, protocol.LoginParams{Profile: "p"})
		store.read.Store(nil)
		if r.Outcome != protocol.AlreadySignedIn || requests() != before+2 {
			t.Fatalf("%+v after %d requests", r, requests()-before)
		}
		for range 2 { // the server ends a session whose old refresh token comes back
			h.cool("p")
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestASessionWithoutARefreshToken(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		h.server.SetRefresh(sandbox.Refresh{})
		r := h.signIn(t, h.ofDevice("p"))
		if _, err := h.token(t, "p"); err != nil {
			t.Fatal(err)
		}
		requests := h.server.Count(h.server.TokenPath())
		time.Sleep(time.Duration(r.ExpiresIn+1) * time.Second)
		for range 2 {
			_, err := h.token(t, "p")
			if e := wantError(t, err, protocol.LoginRequired); e.Hint() != "groat login p" {
				t.Errorf("%q", e.Hint())
			}
		}
		if n := h.server.Count(h.server.TokenPath()) - requests; n != 0 {
			t.Errorf("%d requests without a credential", n)
		}
		if again := h.signIn(t, protocol.LoginParams{Profile: "p"}); again.Outcome != protocol.SignedIn || again.Grant != string(grant.ByDeviceCode) {
			t.Errorf("%+v", again)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
		if got := stored(t, store, "p"); !got.RefreshToken.IsZero() {
			t.Error("a refresh token was stored")
		}
	})
}

func TestARotationThatCannotBeStored(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
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
			if err := h.visit(t).Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: "p"}, &st); err != nil {
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
