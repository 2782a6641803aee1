package login

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// odd makes the server's next token answers have a token as Salesforce's.
func (h *harness) odd(times int) {
	h.server.Script(h.server.TokenPath(),
		sandbox.Fault{Times: times, Set: map[string]any{"access_token": "00D!AQ|x:y"}})
}

// A server's tokens have characters that RFC 6750 does not allow. A person is asked once, and the profile keeps the
// answer; where nobody can be asked they are refused, and so they are where the file does not say it any more.
func TestTokenCharsAreAgreedTo(t *testing.T) {
	for _, params := range []func(*harness, string) protocol.LoginParams{(*harness).ofMachine, (*harness).ofDevice} {
		inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
			p := params(h, "p")
			session := grant.Kind(p.Grant).Session()
			h.odd(1)
			_, _, err := h.attend(p)
			if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, "RFC 6750") ||
				h.stored(t, "p").Issuer != "" {
				t.Fatalf("%v", e)
			}
			p.Confirm = true
			var asked []protocol.Prompt
			h.odd(1)
			_, err = h.login(t.Context(), p, h.saying("no", &asked))
			wantError(t, err, protocol.Config)
			h.odd(1)
			if _, err = h.login(t.Context(), p, h.saying("yes", &asked)); err != nil {
				t.Fatal(err)
			}
			if n := len(questions(asked, protocol.PromptConfirm)); n != 2 {
				t.Errorf("asked %d times", n)
			}
			file := filepath.Join(h.config, "profiles.d", "p.toml")
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), "token_chars = 'visible'") {
				t.Fatalf("%s, %v", text, err)
			}
			h.cool("p")
			h.odd(1)
			if token, err := h.token(t, "p"); err != nil || !token.Visible {
				t.Errorf("a renewal: %v", err)
			}
			h.write(t, "profiles.d/p.toml", strings.ReplaceAll(string(text), "token_chars = 'visible'\n", ""))
			h.reload(t)
			h.cool("p")
			h.odd(1)
			e := wantError(t, h.tokenError(t, "p"), protocol.Config)
			if !strings.Contains(e.Message, "token_chars") {
				t.Errorf("%v", e)
			}
			if session { // the rotated refresh token is not lost
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
