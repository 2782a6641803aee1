package login

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// attend takes part in a login as a person who knows the client secret and approves of every device, and returns the
// notices in one text.
func (h *harness) attend(params protocol.LoginParams) (protocol.LoginResult, string, error) {
	v, said := h.watch(params), ""
	take := func(p protocol.Prompt) {
		switch p.Kind {
		case protocol.PromptSecret:
			v.answer(p, clientSecret)
		case protocol.PromptDevice:
			h.server.ApproveDevice(p.Code)
		case protocol.PromptNotice:
			said += p.Text + "\n"
		}
	}
	for {
		select {
		case p := <-v.prompts:
			take(p)
		case o := <-v.over:
			for len(v.prompts) > 0 {
				take(<-v.prompts)
			}
			return o.result, said, o.err
		}
	}
}

// granting makes the server's next token answer have this scope.
func (h *harness) granting(scope string) {
	h.server.Script(h.server.TokenPath(), sandbox.Fault{Set: map[string]any{"scope": scope}})
}

// A server grants more than a person asked for: the sign-in succeeds and says what. A strict profile refuses it.
func TestAWiderGrantIsANotice(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofMachine("p")
		params.Scope = "read"
		h.granting("admin,read openid")
		r, said, err := h.attend(params)
		if err != nil || r.Outcome != protocol.SignedIn {
			t.Fatal(err)
		}
		if !strings.Contains(said, `granted more than was asked for: "admin"`) ||
			!strings.Contains(said, "strict_scope") {
			t.Errorf("notices: %q", said)
		}
		token, err := h.token(t, "p")
		if err != nil || token.Scope != "admin read openid" {
			t.Errorf("the first token has the scope %q, %v", token.Scope, err)
		}

		file := filepath.Join(h.config, "profiles.d", "p.toml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h.write(t, "profiles.d/p.toml", string(text)+"strict_scope = true\n")
		h.reload(t)
		again := h.ofMachine("p") // names its server anew, and takes no restriction away
		again.Scope, again.ClientID, again.Secret = "read", "machine", true
		h.granting("admin read")
		_, _, err = h.attend(again)
		if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, `also "admin"`) {
			t.Errorf("%v", e)
		}
	})
}

// A device sign-in that is granted more is no lost code.
func TestAWiderGrantToAPerson(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		params := h.ofDevice("p")
		params.Scope = "read"
		h.granting("read offline_access admin")
		if _, said, err := h.attend(params); err != nil || !strings.Contains(said, `"offline_access admin"`) {
			t.Errorf("%q, %v", said, err)
		}
	})
}
