package daemon

import (
	"cmp"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A person signs in anew while a renewal with the old session is under way. Its answer, with the old session's next refresh
// token, comes after the new session was had, and overwrites nothing.
// The renewal takes longer than anybody waits for it, in a keychain that a person must unlock: the new session is kept all
// the same, and the renewal's late answer does not replace it.
// The same with a new client, which the provider shows once.
// The answer with the next refresh token was lost, and the server ends the session when the old one comes again: it is said
// why, and what to type.
// A proof renews the session, and so may somebody who asks for another scope meanwhile: what stays is the newest refresh
// token, whoever had it.
// A profile that groat wrote can be signed in to with something changed, and keeps the rest.
func TestASecondLoginChangesWhatItNames(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
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
		if p := h.profiles.Named("p"); p.Scope != "read" || p.Issuer != h.server.URL() || p.ClientAuth != "client_secret_post" {
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
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
				params := h.ofMachine("p")
				params.Issuer, params.TokenURL = "", h.server.URL()+h.server.TokenPath()
				change(&params)
				_, err := h.visit(t).Login(t.Context(), params, h.willing(t))
				if _, broken := h.Config.Load(); broken != nil {
					t.Fatalf("login: %v; the configuration afterwards: %v", err, broken)
				}
				if known := h.profiles.Named("p") != nil; known != (err == nil) {
					t.Errorf("login: %v; a profile is there: %v", err, known)
				}
			})
		})
	}
}

// A login goes by the configuration as it is on the disk, also where nobody has told the daemon to read it again.
func TestALoginReadsTheConfiguration(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		h.write(t, "config.toml", "[profiles.work]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		params := protocol.LoginParams{Profile: "work", Username: person}
		r, err := h.visit(t).Login(t.Context(), params, typing(password))
		if err != nil || !r.Created {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := h.token(t, "work"); err != nil {
			t.Error(err)
		}
		if _, err := h.Config.Load(); err != nil {
			t.Error(err)
		}
	})
}

// A profile of the person's own file is not changed by a login, and that is said before anything is asked or created.
func TestALoginThatWouldChangeThePersonsFile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		h.write(t, "config.toml", "[profiles.work]\nprovider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		params := protocol.LoginParams{Profile: "work", Username: person, Scope: "read"}
		_, err := h.visit(t).Login(t.Context(), params, unasked(t))
		wantError(t, err, protocol.Config)
		if n := len(h.server.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// The client was created and could not be stored: the next command, as the hint has it, stores that one.
func TestTheHintAfterAClientThatCouldNotBeStored(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, store *picky) {
		store.unwritable.Store(true)
		params := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
		_, err := h.visit(t).Login(t.Context(), params, typing(password))
		e := wantError(t, err, protocol.KeystoreUnavailable)
		const hint = "groat login work (stores it, and creates nothing)"
		if e.Hint() != hint {
			t.Fatalf("%q, want %q", e.Hint(), hint)
		}
		store.unwritable.Store(false)
		r, err := h.visit(t).Login(t.Context(), protocol.LoginParams{Profile: "work"}, unasked(t))
		if err != nil || r.Created || r.ClientID == "" {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := stored(t, store, "work"); got.ClientID != r.ClientID {
			t.Errorf("the keystore has %q, want %q", got.ClientID, r.ClientID)
		}
		if n := h.server.Count(sandbox.SpatiafiClientsPath); n != 1 {
			t.Errorf("%d clients were created", n)
		}
	})
}

// Somebody edits where a profile asks who a person is: the token of the old configuration does not go there, also where the
// issuer is edited to fit.
func TestNoTokenGoesWhereAnEditLeads(t *testing.T) {
	const elsewhere = "http://localhost:9" // in a bubble every name leads to the house's server
	for name, test := range map[string]struct {
		issuer string // empty: as it was
	}{
		"the address alone": {""},
		"the issuer too":    {elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
				profile := func(issuer, userinfo string) string {
					return "issuer = \"" + issuer + "\"\ntoken_endpoint = \"" + h.server.URL() + h.server.TokenPath() +
						"\"\nclient_auth = \"client_secret_post\"\nuserinfo_endpoint = \"" + userinfo + "\"\n"
				}
				h.write(t, "profiles.d/p.toml", profile(h.server.URL(), h.server.URL()+h.server.UserinfoPath()))
				h.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "machine"})
				h.write(t, "profiles.d/p.toml", profile(cmp.Or(test.issuer, h.server.URL()), elsewhere+"/me"))
				c := h.visit(t)
				if err := c.Call(t.Context(), protocol.MethodReload, nil, nil); err != nil {
					t.Fatal(err)
				}
				wantError(t, c.Call(t.Context(), protocol.MethodWhoami, protocol.WhoamiParams{Profile: "p"}, nil), protocol.Config)
				if n := h.server.Count("/me"); n != 0 {
					t.Errorf("the new host was asked %d times", n)
				}
			})
		})
	}
}

// A hundred callers of a profile that nobody has signed in: all are told at once, nobody asks the server, and no person is asked
// for anything.
func TestAHundredCallersOfASignedOutProfile(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *house, _ *picky) {
		h.write(t, "profiles.d/p.toml", "provider = \"spatiafi\"\nauth_server = \""+h.server.URL()+"\"\n")
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		came := make(chan error, 100)
		for range cap(came) {
			c := h.visit(t)
			go func() { came <- c.Call(t.Context(), protocol.MethodToken, protocol.TokenParams{Profile: "p"}, nil) }()
		}
		for range cap(came) {
			if e := wantError(t, <-came, protocol.LoginRequired); e.Hint() != "groat login p" {
				t.Errorf("%q", e.Hint())
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("they were told after %s", waited)
		}
		if n := len(h.server.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// Where the server gives no refresh token the session ends with its access token, and the next command is said.
// A refresh token that the keystore cannot take is held in memory: tokens go on coming, status says so, and it is stored as
// soon as that works again.
