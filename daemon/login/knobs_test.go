package login

import (
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A resource indicator is part of every request but a refresh, for each way to sign in (RFC 8707).
func TestAResourceIndicatorIsSent(t *testing.T) {
	const api = "https://api.given.example/v1"
	for _, kind := range []grant.Kind{grant.ByClientCredentials, grant.ByDeviceCode, grant.ByPassword} {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, sandbox.Options{PasswordGrant: true, Audiences: []string{api}}, func(t *testing.T, h *harness) {
				p := h.ofMachine("p")
				p.Grant, p.ResourceIndicator = string(kind), api
				if kind == grant.ByDeviceCode {
					p = h.ofDevice("p")
					p.ResourceIndicator = api
				}
				if kind == grant.ByPassword {
					p.Username = person
				}
				var asked []protocol.Prompt
				if _, err := h.login(t.Context(), p, h.saying("yes", &asked)); err != nil {
					t.Fatal(err)
				}
				with := 0
				for _, e := range h.server.Log() {
					if e.Resource == api {
						with++
					}
				}
				if with == 0 {
					t.Error("no request was for it")
				}
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Errorf("a renewal: %v", err)
				}
				log := h.server.Log()
				if last := log[len(log)-1]; (last.Resource == api) != (kind == grant.ByClientCredentials) {
					t.Errorf("%+v", last)
				}
			})
		})
	}
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		p := h.ofMachine("p")
		p.ResourceIndicator = api + "#x"
		_, err := h.login(t.Context(), p, nil)
		if e := wantError(t, err, ""); !strings.Contains(e.Message, "--resource-indicator") {
			t.Errorf("%v", e)
		}
	})
}

// A person's password signs in at any server that takes it, with a warning, also where the server's list of grants
// leaves it out. A server that does not take it says so.
func TestAPasswordAtAnyServer(t *testing.T) {
	for _, c := range []struct {
		name             string
		offered, byToken bool
		listed           []string
	}{
		{"by its issuer", true, false, nil}, {"by its token endpoint", true, true, nil},
		{"left out of its list", true, false, []string{"authorization_code"}}, {"not taken", false, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sandbox.Options{PasswordGrant: c.offered}, func(t *testing.T, h *harness) {
				p := h.ofMachine("p")
				p.Grant, p.Username = "password", person
				if c.byToken {
					p.Issuer, p.TokenURL = "", h.server.URL()+h.server.TokenPath()
				}
				if c.listed != nil {
					for _, at := range []string{"/.well-known/openid-configuration",
						"/.well-known/oauth-authorization-server"} {
						h.server.Script(at, sandbox.Fault{Times: -1,
							Set: map[string]any{"grant_types_supported": c.listed}})
					}
				}
				var asked []protocol.Prompt
				r, err := h.login(t.Context(), p, h.saying("yes", &asked))
				if !c.offered {
					if err == nil || !strings.Contains(err.Error(), "unsupported_grant_type") {
						t.Errorf("%v, asked %+v", err, asked)
					}
					return
				}
				warned := slices.ContainsFunc(asked, func(p protocol.Prompt) bool {
					return p.Kind == protocol.PromptNotice && strings.Contains(p.Text, "RFC 9700")
				})
				if err != nil || !warned || r.Grant != "password" {
					t.Fatalf("%+v, %v; asked %+v", r, err, asked)
				}
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Errorf("a renewal: %v", err)
				}
				h.server.Script(h.server.TokenPath(), sandbox.Refuse(400, "invalid_grant"))
				r, err = h.login(t.Context(), protocol.LoginParams{Profile: "p", Username: person},
					h.saying("yes", &asked))
				if err != nil || r.Outcome != protocol.SignedIn {
					t.Errorf("again: %+v, %v", r, err)
				}
			})
		})
	}
}

// A person's sign-in that names no scope asks for openid where the server offers it.
func TestOpenIDByDefault(t *testing.T) {
	for _, c := range []struct {
		name, scope, want string
		offered           []string
	}{
		{"offered", "", "openid", []string{"openid", "read"}},
		{"a scope was named", "read", "read", []string{"openid", "read"}},
		{"not offered", "", "", []string{"read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sandbox.Options{Scopes: c.offered}, func(t *testing.T, h *harness) {
				p := h.ofDevice("p")
				p.Scope = c.scope
				h.signIn(t, p)
				for _, e := range h.server.Log() {
					if e.Path == "/device/code" && e.Scope != c.want {
						t.Errorf("asked for %q", e.Scope)
					}
				}
				if text := h.written(t, "p"); c.scope == "" && strings.Contains(text, "scope") {
					t.Errorf("configured: %s", text)
				}
			})
		})
	}
}

// A token with more scope is taken with a notice, without one, or not at all.
func TestWiderAndStrictScope(t *testing.T) {
	for name, change := range map[string]func(*protocol.LoginParams){
		"noted": func(*protocol.LoginParams) {}, "wider": func(p *protocol.LoginParams) { p.WiderScope = true },
		"strict": func(p *protocol.LoginParams) { p.StrictScope = true },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				h.server.SetGrantedScope("read write")
				p := h.ofDevice("p")
				p.Scope = "read"
				change(&p)
				var asked []protocol.Prompt
				_, err := h.login(t.Context(), p, h.saying("yes", &asked))
				noted := slices.ContainsFunc(asked, func(p protocol.Prompt) bool {
					return p.Kind == protocol.PromptNotice && strings.Contains(p.Text, "write")
				})
				if (err != nil) != (name == "strict") || noted != (name == "noted") {
					t.Errorf("%v, %+v", err, asked)
				}
			})
		})
	}
}
