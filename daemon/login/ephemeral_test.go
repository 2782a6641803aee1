package login

import (
	"slices"
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
			if e := wantError(t, err, protocol.Config); e.Hint() != "groat login p-2 --ephemeral" {
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

// A profile in memory stays there where a person signs in again, and is told; where its server is named anew it is kept.
func TestALoginOfAnEphemeralProfile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofMachine("p")
		params.Ephemeral = true
		h.signIn(t, params)
		var asked []protocol.Prompt
		again := protocol.LoginParams{Profile: "p", Replace: true}
		r, err := h.login(t.Context(), again, h.saying("yes", &asked))
		if err != nil || r.Keystore != "memory" || !h.Profiles.Named("p").Ephemeral {
			t.Errorf("%+v, %v", r, err)
		}
		says := "Profile p stays in memory only, and is gone when groatd ends."
		if got := questions(asked, protocol.PromptNotice); !slices.Contains(got, says) {
			t.Errorf("%q", got)
		}
		asked = nil
		if _, err := h.login(t.Context(), h.ofMachine("p"), h.saying("yes", &asked)); err != nil {
			t.Fatal(err)
		}
		if h.Profiles.Named("p").Ephemeral || len(questions(asked, protocol.PromptNotice)) == 0 {
			t.Errorf("it is not kept, or nobody was told: %v", asked)
		}
	})
}
