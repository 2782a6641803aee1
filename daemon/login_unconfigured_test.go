package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// The keystore has a session of which the configuration says nothing any more: a file was tidied up. Signing in again proves
// the session that is there, and what the proof has rotated is stored like any other.
func TestASessionThatIsNotConfiguredIsRotatedByItsProof(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		h.signIn(t, h.ofDevice("p"))
		before := stored(t, store, "p")
		if err := os.Remove(filepath.Join(h.config, "profiles.d", "p.toml")); err != nil {
			t.Fatal(err)
		}
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		again := h.ofDevice("p")
		again.ClientID = "" // or it would be another sign-in
		if r := h.signIn(t, again); r.Outcome != protocol.AlreadySignedIn {
			t.Fatalf("%+v", r)
		}
		if stored(t, store, "p").RefreshToken.Equal(before.RefreshToken) {
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
