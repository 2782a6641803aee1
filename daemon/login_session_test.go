package daemon

import (
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

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
