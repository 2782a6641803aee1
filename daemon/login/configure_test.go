package login

import (
	"errors"
	"slices"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A login of a profile that groat wrote changes what it names, and keeps the rest.
func TestASecondLoginChangesWhatItNames(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofMachine("p"))
		changed := h.ofMachine("p")
		changed.Scope = "read"
		if r := h.signIn(t, changed); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		token, err := h.token(t, "p")
		if err != nil || token.Scope != "read" {
			t.Errorf("%q, %v", token.Scope, err)
		}
		if p := h.Profiles.Named("p"); p.Scope != "read" || p.Issuer != h.server.URL() ||
			p.ClientAuth != "client_secret_post" {
			t.Errorf("%+v", p.Profile)
		}
	})
}

// What a person names is looked at before it is written: no login leaves a configuration behind that cannot be read.
func TestNoLoginBreaksTheConfiguration(t *testing.T) {
	prefix := "a\nb'\x00"
	for name, change := range map[string]func(*protocol.LoginParams){
		"header":            func(p *protocol.LoginParams) { p.Header = "X Y" },
		"scope, delete":     func(p *protocol.LoginParams) { p.Scope = "a\x7fb" },
		"scope, control":    func(p *protocol.LoginParams) { p.Scope = "a\x01b" },
		"scope, quote":      func(p *protocol.LoginParams) { p.Scope = `a"b\` },
		"prefix":            func(p *protocol.LoginParams) { p.Prefix = &prefix },
		"audience, lines":   func(p *protocol.LoginParams) { p.Audience = "x\u2028\r\ny" },
		"resource":          func(p *protocol.LoginParams) { p.Resources = []string{"no origin"} },
		"resource, control": func(p *protocol.LoginParams) { p.Resources = []string{"https://a.example/\x00"} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				params := h.ofMachine("p")
				params.Issuer, params.TokenURL = "", h.server.URL()+h.server.TokenPath()
				change(&params)
				_, err := h.login(t.Context(), params, h.willing(t))
				if _, broken := h.Profiles.Config.Load(); broken != nil {
					t.Fatalf("login: %v; the configuration afterwards: %v", err, broken)
				}
				if known := h.Profiles.Named("p") != nil; known != (err == nil) {
					t.Errorf("login: %v; a profile is there: %v", err, known)
				}
			})
		})
	}
}

// A login goes by the configuration as it is on the disk, also where no reload was asked for.
func TestALoginReadsTheConfiguration(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.write(t, "config.toml", "[profiles.work]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		params := protocol.LoginParams{Profile: "work", Username: person}
		r, err := h.login(t.Context(), params, typing(password))
		if err != nil || !r.Created {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := h.token(t, "work"); err != nil {
			t.Error(err)
		}
		if _, err := h.Profiles.Config.Load(); err != nil {
			t.Error(err)
		}
	})
}

// A profile of the person's own file is not changed by a login, and that is said before anything is asked or created.
func TestALoginThatWouldChangeThePersonsFile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.write(t, "config.toml", "[profiles.work]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		params := protocol.LoginParams{Profile: "work", Username: person, Scope: "read"}
		_, err := h.login(t.Context(), params, unasked(t))
		wantError(t, err, protocol.Config)
		if n := len(h.server.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// Where there is no provider of a name, the hint has the one that was meant, or leads to the list.
func TestAnUnknownProviderHintsAtTheNearest(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		for typed, want := range map[string]string{
			"spatialfi": "groat login p --provider spatiafi", "erthscope": "groat login p --provider earthscope",
			"climate": "groat login", "x": "groat login", "Google": "groat login p --provider google",
		} {
			_, err := h.login(t.Context(), protocol.LoginParams{Profile: "p", Provider: typed}, h.willing(t))
			if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Hint() != want {
				t.Errorf("%s: %v, want the hint %s", typed, err, want)
			}
		}
	})
}

// A new profile that is named like a provider has that provider; one that is there keeps its own.
func TestAProfileNamedLikeAProvider(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		var e *protocol.Error
		_, err := h.login(t.Context(), protocol.LoginParams{Profile: "globus"}, h.willing(t))
		if !errors.As(err, &e) || !slices.Equal(e.Data.Missing, []string{"client_id"}) {
			t.Errorf("named like a provider: %v, want that the client is missing", err)
		}
		_, err = h.login(t.Context(), protocol.LoginParams{Profile: "openeo"}, h.willing(t))
		if !errors.As(err, &e) || !slices.Equal(e.Data.Missing, []string{"backend"}) {
			t.Errorf("named like the provider of all back ends: %v, want that the back end is missing", err)
		}
		_, err = h.login(t.Context(), protocol.LoginParams{Profile: "spatiafi", AuthServer: h.server.URL()}, h.willing(t))
		if !errors.As(err, &e) || !slices.Equal(e.Data.Missing, []string{"username", "client_id"}) {
			t.Errorf("named like a provider, at another URL of it: %v, want that a person is missing", err)
		}
		_, err = h.login(t.Context(), protocol.LoginParams{Profile: "globes"}, unasked(t))
		if !errors.As(err, &e) || !slices.Equal(e.Data.Missing, []string{"provider", "issuer"}) {
			t.Errorf("named like none: %v, want that the provider is missing", err)
		}
		h.write(t, "config.toml", "[profiles.globus]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		_, err = h.login(t.Context(), protocol.LoginParams{Profile: "globus"}, unasked(t))
		if !errors.As(err, &e) || !slices.Equal(e.Data.Missing, []string{"username", "client_id"}) {
			t.Errorf("a profile that is there: %v, want that a person of its own provider is missing", err)
		}
	})
}
