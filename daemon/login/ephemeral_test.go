package login

import (
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A profile that a file describes is not replaced by one in memory: its tokens would not come from where the file says.
func TestAnEphemeralLoginOverAProfileOfAFile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofMachine("p"))
		was, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		requests := h.server.Count(h.server.TokenPath())
		params := protocol.LoginParams{
			Profile: "p", TokenURL: h.server.URL() + sandbox.KeycloakTokenPath, ClientID: "other-machine",
			ClientAuth: "client_secret_post", Ephemeral: true,
		}
		for name, params := range map[string]protocol.LoginParams{
			"of another server": params,
			"of the same":       {Profile: "p", Ephemeral: true},
		} {
			_, err := h.login(t.Context(), params, unasked(t))
			if e := wantError(t, err, protocol.Config); e.Hint() != "groat login ANOTHER-NAME --ephemeral …" {
				t.Errorf("%s: %q", name, e.Hint())
			}
		}
		now, err := h.token(t, "p")
		if err != nil || now.Access.Reveal() != was.Access.Reveal() || h.stored(t, "p").ClientID != "machine" {
			t.Errorf("the profile of the file is another one now, or: %v", err)
		}
		if n := h.server.Count(h.server.TokenPath()) + h.server.Count(sandbox.KeycloakTokenPath) - requests; n != 0 {
			t.Errorf("%d token requests", n)
		}
	})
}

// Signed out of, an ephemeral profile is gone, and its session at the provider too.
func TestALogoutOfAnEphemeralProfile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofDevice("p")
		params.Ephemeral = true
		h.signIn(t, params)
		if r, err := h.logout(t, protocol.LogoutParams{Profile: "p"}); err != nil || !r.Forgotten || !r.Revoked {
			t.Errorf("%+v, %v", r, err)
		}
		h.gone(t, "p")
	})
}
