package login

import (
	"slices"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A second profile lists an API that another one lists: the person is told once, with what keeps git as it was.
func TestASharedAPIIsTold(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		for _, name := range []string{"a", "b", "b"} {
			p := h.ofMachine(name)
			p.Resources = []string{"https://git.example/team"}
			known := h.Profiles.Named(name) != nil
			var asked []protocol.Prompt
			if _, err := h.login(t.Context(), p, h.saying("yes", &asked)); err != nil {
				t.Fatal(err)
			}
			told := slices.Contains(questions(asked, protocol.PromptNotice),
				"Profile a lists https://git.example/team too, so that whoever asks for it must name one of them.")
			if want := name == "b" && !known; told != want {
				t.Errorf("%s: told %v: %v", name, told, asked)
			}
		}
	})
}

// A sign-in that ends with its token says how one may be had that goes on.
func TestWithoutARefreshTokenTheHintAsksForOne(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.server.Set("refresh_always", "false")
		p := h.ofDevice("p")
		p.Scope = "read"
		var asked []protocol.Prompt
		if _, err := h.login(t.Context(), p, h.saying("yes", &asked)); err != nil {
			t.Fatal(err)
		}
		want := h.server.URL() + " gave no refresh token: this sign-in ends with its access token. Some servers give " +
			"one for the scope offline_access: groat login p --issuer " + h.server.URL() +
			" --grant device_code --client-auth none --client-id app --scope 'read offline_access'"
		if got := questions(asked, protocol.PromptNotice); !slices.Contains(got, want) {
			t.Errorf("%q", got)
		}
	})
}
