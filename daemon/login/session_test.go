package login

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A person signs in again while a renewal with the old session is under way. The renewal's answer, with the old
// session's next refresh token, comes after the new session and overwrites nothing.
func TestNoLateRenewalOverwritesANewSignIn(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
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
		time.Sleep(pauseTime) // the renewal is over
		if got := h.stored(t, "p"); got.ClientID != "other-app" {
			t.Errorf("the keystore has the session of %q", got.ClientID)
		}
		h.cool("p")
		if _, err := h.token(t, "p"); err != nil {
			t.Error("the new session does not work:", err)
		}
	})
}

// A renewal takes longer than a login waits for it, in a keychain that a person must unlock. The new session is stored
// all the same, and the renewal's late answer does not replace it.
func TestANewSignInDoesNotWaitForEver(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		h.cool("p")
		var reads atomic.Int64
		stuck := func() {
			if reads.Add(1) == 1 {
				time.Sleep(2 * pauseTime)
			}
		}
		h.store.read.Store(&stuck)
		renewed := h.asking(t, "p")
		if r := h.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"}); r.ClientID != "other-app" {
			t.Errorf("%+v", r)
		}
		<-renewed
		time.Sleep(2 * pauseTime)
		if got := h.stored(t, "p"); got.ClientID != "other-app" {
			t.Errorf("the keystore has the session of %q", got.ClientID)
		}
		h.cool("p")
		if _, err := h.token(t, "p"); err != nil {
			t.Error("the new session does not work:", err)
		}
	})
}

// The answer with the next refresh token is lost, and the server ends the session when the old token comes again. The
// error says so, with the next command.
func TestALostRotationIsCalledByItsName(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
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

// A proof renews the session, and a request for another scope renews it again meanwhile: the newest refresh token is
// the one that stays.
func TestAProofPutsNoOldRefreshTokenBack(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofDevice("p")
		params.Scope = "read write"
		h.signIn(t, params)
		// The server is not asked what a renewal ends, for which the keystore is read once more.
		h.edit(t, "p", func(text string) string { return text + "refresh_ends_tokens = false\n" })
		requests := func() int { return h.server.Count(h.server.TokenPath()) }
		before := requests()
		var reads atomic.Int64
		renew := func() { // after the proof the keystore is read by its owner, who rotates, and then by the login
			if requests() != before+1 || reads.Add(1) != 2 {
				return
			}
			if _, err := h.Broker.Token(t.Context(),
				broker.Query{Profile: "p", Scope: "read", MinTTL: broker.Unset}); err != nil {
				t.Error(err)
			}
		}
		h.store.read.Store(&renew)
		r := h.signIn(t, protocol.LoginParams{Profile: "p"})
		h.store.read.Store(nil)
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

// A session without a refresh token ends with its access token, and the error names the next command.
func TestASessionWithoutARefreshToken(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.server.SetRefresh(sandbox.Refresh{})
		p := h.ofDevice("p")
		p.Set = map[string]string{"session_idle": "86400"} // of a session that is renewed
		r := h.signIn(t, p)
		if _, err := h.token(t, "p"); err != nil {
			t.Fatal(err)
		}
		requests := h.server.Count(h.server.TokenPath())
		if st, _ := h.Broker.Status("p"); !st.Last || st.RenewIn != 0 || !st.Session.Idle.IsZero() {
			t.Errorf("its end is not known: %+v", st)
		}
		time.Sleep(time.Duration(r.ExpiresIn-10) * time.Second)
		if _, err := h.token(t, "p"); err != nil {
			t.Error("ten seconds before its end:", err)
		}
		if st, _ := h.Broker.Status("p"); st.Err != nil {
			t.Error("while its token lives:", st.Err)
		}
		time.Sleep(11 * time.Second)
		for range 2 {
			_, err := h.token(t, "p")
			if e := wantError(t, err, protocol.LoginRequired); e.Hint() != "groat login p" {
				t.Errorf("%q", e.Hint())
			}
		}
		if n := h.server.Count(h.server.TokenPath()) - requests; n != 0 {
			t.Errorf("%d requests without a credential", n)
		}
		if again := h.signIn(t, protocol.LoginParams{Profile: "p"}); again.Outcome != protocol.SignedIn ||
			again.Grant != string(grant.ByDeviceCode) {
			t.Errorf("%+v", again)
		}
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
		if got := h.stored(t, "p"); !got.RefreshToken.IsZero() {
			t.Error("a refresh token was stored")
		}
		out, err := h.Logout(h.Profiles.Named("p"), false, false)
		if err != nil || out.Revoked || !strings.Contains(out.NotEnded, "no refresh token") {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// The keystore has a session of which the configuration says nothing any more: a file was tidied up. Signing in again
// proves the session that is there, and what the proof has rotated is stored like any other.
func TestASessionThatIsNotConfiguredIsRotatedByItsProof(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("p"))
		before := h.stored(t, "p")
		if err := os.Remove(filepath.Join(h.config, "profiles.d", "p.toml")); err != nil {
			t.Fatal(err)
		}
		h.reload(t)
		again := h.ofDevice("p")
		again.ClientID = "" // or it would be another sign-in
		if r := h.signIn(t, again); r.Outcome != protocol.AlreadySignedIn {
			t.Fatalf("%+v", r)
		}
		if h.stored(t, "p").RefreshToken.Equal(before.RefreshToken) {
			t.Error("the keystore has the refresh token that the proof has used up")
		}
		for range 2 { // the server ends a session whose old refresh token comes back
			h.cool("p")
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
