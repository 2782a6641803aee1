package login

import (
	"maps"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// Every key of a profile is a flag of a login: one of its own, or --set.
func TestEveryKeyIsAFlag(t *testing.T) {
	flags := map[string]bool{}
	for _, a := range parameters {
		flags[a.flag] = true
	}
	for _, k := range config.Keys() {
		own := k.Login != "" && !strings.HasPrefix(k.Login, config.ByName) ||
			flags[strings.ReplaceAll(k.Name, "_", "-")]
		if _, set := idleKeys[k.Name]; own == set {
			t.Errorf("%s: a flag of its own: %v; by --set: %v", k.Name, own, set)
		}
	}
}

// What --set says stands in the profile's file and counts.
func TestALoginSetsKeys(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		p := h.ofDevice("p")
		p.Set = map[string]string{"session_idle": "7200", "keep_session": "true", "session_scope": "given",
			"refresh_ends_tokens": "true", "introspection_endpoint": h.server.URL() + "/introspect"}
		h.signIn(t, p)
		text := h.written(t, "p")
		for _, want := range []string{"session_idle = 7200", "keep_session = true", "session_scope = 'given'",
			"refresh_ends_tokens = true", "/introspect'"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		asked := false
		for _, e := range h.server.Log() {
			asked = asked || e.Path == "/device/code" && strings.Contains(e.Scope, "given")
		}
		if !asked {
			t.Error("the session's scope was not asked for")
		}
	})
}

// A key that a login does not set, or has no use for, is refused by its name before anything is sent.
func TestAKeyThatIsNotUsedIsRefused(t *testing.T) {
	machine := (*harness).ofMachine
	for _, c := range []struct {
		key, value string
		login      func(*harness, string) protocol.LoginParams
		says       string
	}{
		{"scope", "a", machine, "--scope"},
		{"client_auth", "none", machine, "--client-auth METHOD"},
		{"resources", "https://a", machine, "--api ORIGIN"},
		{"nonsense", "a", machine, "token_chars"},
		{"keep_session", "true", machine, "has no session"},
		{"session_scope", "a", machine, "has no session"},
		{"assertion_life", "60", machine, "signs no assertion"},
		{"scope_in_assertion", "true", machine, "jwt_bearer"},
		{"token_chars", "all", machine, "token_chars"},
		{"session_idle", "soon", (*harness).ofDevice, "a number"},
		{"keep_session", "perhaps", (*harness).ofDevice, "true or false"},
		{"introspection_endpoint", "https://elsewhere.example/i", (*harness).ofDevice, "introspection_endpoint"},
	} {
		inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
			p := c.login(h, "p")
			p.Set = map[string]string{c.key: c.value}
			_, asked, err := h.attend(p)
			e := wantError(t, err, "")
			if !strings.Contains(e.Message, c.key) || !strings.Contains(e.Message, c.says) ||
				strings.Contains(e.Hint(), c.key) || len(asked) > 0 {
				t.Errorf("%s: %s, hint %s, asked %+v", c.key, e.Message, e.Hint(), asked)
			}
			for _, sent := range h.server.Log() {
				if !strings.Contains(sent.Path, ".well-known") {
					t.Errorf("%s: sent %+v", c.key, sent)
				}
			}
		})
	}
}

// The hint where nobody can be asked about a server's tokens is a command that agrees to them.
func TestTokenCharsAreAgreedToByAFlag(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		p := h.ofMachine("p")
		h.odd(1)
		_, _, err := h.attend(p)
		if e := wantError(t, err, protocol.Config); !strings.Contains(e.Hint(), "--set token_chars=visible") {
			t.Fatalf("%s", e.Hint())
		}
		p.Set = map[string]string{tokenChars: "visible"}
		h.odd(1)
		if _, _, err := h.attend(p); err != nil || !maps.Equal(p.Set, map[string]string{tokenChars: "visible"}) {
			t.Error(err)
		}
	})
}
