package login

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// A sign-in that would replace App Credentials, a client secret or an API key asks first, and is refused where the
// client cannot ask. Nothing is typed or sent before that. --replace says yes.
func TestJ30WhatIsPermanentIsNotGivenUpInSilence(t *testing.T) {
	spatiafi := func(h *harness) protocol.LoginParams {
		return protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
	}
	machine := func(h *harness) protocol.LoginParams { return h.ofMachine("p") }
	apiKey := func(h *harness) protocol.LoginParams {
		return protocol.LoginParams{Profile: "p", Provider: "planet-key", AuthServer: h.server.URL()}
	}
	for name, test := range map[string]struct {
		has, then func(h *harness) protocol.LoginParams
	}{
		"App Credentials, another provider": {spatiafi, func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Provider: "climateengine", AuthServer: h.server.URL(),
				Username: person}
		}},
		"App Credentials, another provider's new client": {spatiafi, func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Provider: "climateengine", AuthServer: h.server.URL(),
				Username: person, NewClient: true}
		}},
		"App Credentials, another client": {spatiafi, func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", ClientID: "machine"}
		}},
		"App Credentials, another person": {spatiafi, func(*harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Username: "bob@example.com"}
		}},
		"App Credentials, another server": {spatiafi, machine},
		"App Credentials, a session":      {spatiafi, func(h *harness) protocol.LoginParams { return h.ofDevice("p") }},
		"App Credentials, an API key":     {spatiafi, apiKey},
		"App Credentials, another way to prove the client": {spatiafi, func(*harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", ClientAuth: "client_secret_post", Username: person}
		}},
		"a client, another client": {machine, func(h *harness) protocol.LoginParams {
			other := h.ofMachine("p")
			other.ClientID = "other-machine"
			return other
		}},
		"a client, a session":          {machine, func(h *harness) protocol.LoginParams { return h.ofDevice("p") }},
		"a client, App Credentials":    {machine, spatiafi},
		"an API key, App Credentials":  {apiKey, spatiafi},
		"an API key, another provider": {apiKey, machine},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				h.server.AddUser(sandbox.User{Name: "bob@example.com", Password: password})
				var asked []protocol.Prompt
				if _, err := h.login(t.Context(), test.has(h), h.saying("", &asked)); err != nil {
					t.Fatal(err)
				}
				before, sent := h.stored(t, "p"), len(h.server.Log())
				kept := func(when string, err error) {
					t.Helper()
					e := wantError(t, err, "")
					if e.Code != protocol.CodeInvalidParams || !strings.Contains(e.Message, before.ClientID) ||
						!strings.Contains(e.Message, "--replace") ||
						!strings.Contains(e.Hint(), "groat login p-2") {
						t.Errorf("%s: %q, hint %q", when, e.Message, e.Hint())
					}
					if !h.stored(t, "p").Equal(before) {
						t.Errorf("%s: the credential is another one", when)
					}
					for _, entry := range h.server.Log()[sent:] {
						if !strings.Contains(entry.Path, ".well-known") {
							t.Errorf("%s: %+v was sent", when, entry)
						}
					}
				}
				params := test.then(h)
				_, err := h.login(t.Context(), params, unaskedButNotices(t))
				kept("nobody to ask", err)
				params.Confirm, asked = true, nil
				_, err = h.login(t.Context(), params, h.saying("no", &asked))
				kept("no", err)
				if q := questions(asked, protocol.PromptConfirm); len(q) != 1 ||
					!strings.Contains(q[0], before.ClientID) || len(questions(asked, protocol.PromptSecret)) != 0 {
					t.Errorf("%+v", asked)
				}
				params.Confirm, params.Replace = false, true
				if _, err = h.login(t.Context(), params, h.saying("", &asked)); err != nil {
					t.Fatal(err)
				}
				if h.stored(t, "p").Equal(before) {
					t.Error("--replace replaced nothing")
				}
			})
		})
	}
}

// The commands of a hint are such as a person may type: with the server where the profile is new, and quoted for a
// shell.
func TestJ35TheHintsCommandsWork(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofMachine("p"))
		given := protocol.LoginParams{Profile: "p", ClientID: "my other's", Scope: "a b"}
		_, err := h.login(t.Context(), given, unasked(t))
		at := h.server.URL() + h.server.TokenPath()
		want := "groat login p-2 --token-url " + at +
			` --client-auth client_secret_post --client-id 'my other'\''s' --scope 'a b'`
		if e := wantError(t, err, ""); e.Hint() != want {
			t.Errorf("%q\nwant %q", e.Hint(), want)
		}
		first := protocol.LoginParams{Profile: "q", TokenURL: at, ClientID: "no body", ClientAuth: "client_secret_post"}
		h.server.Script(h.server.TokenPath(), sandbox.Fault{Status: 503})
		_, err = h.login(t.Context(), first, h.willing(t))
		if e := wantError(t, err,
			protocol.Temporary); e.Hint() != "groat login q --token-url "+at+
			" --client-auth client_secret_post --client-id 'no body'" {
			t.Errorf("a profile that is not there: %q", e.Hint())
		}
		_, err = h.login(t.Context(), first, h.willing(t))
		if e := wantError(t, err, protocol.LoginRequired); !strings.HasSuffix(e.Hint(), " --client-id 'no body'") {
			t.Errorf("a refusal: %q", e.Hint())
		}
	})
}

// Where the person says yes and the new credential is refused, the old one is there as before.
func TestJ31TheOldCredentialIsReplacedAfterTheProof(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		var asked []protocol.Prompt
		first := protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
		if _, err := h.login(t.Context(), first, h.saying("", &asked)); err != nil {
			t.Fatal(err)
		}
		before := h.stored(t, "p")
		for name, then := range map[string]protocol.LoginParams{
			"a client that the server does not know": {Profile: "p", ClientID: "nobody", Confirm: true},
			"App Credentials that cannot be used": {
				Profile: "p", Provider: "climateengine", AuthServer: h.server.URL(), Username: person, Confirm: true,
			},
		} {
			if then.Provider != "" { // the password is taken, the new client is not
				h.server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{}, sandbox.Fault{Status: 500})
			}
			asked = nil
			if r, err := h.login(t.Context(), then, h.saying("yes", &asked)); err == nil {
				t.Errorf("%s: %+v", name, r)
			}
			if len(questions(asked, protocol.PromptConfirm)) != 1 || !h.stored(t, "p").Equal(before) {
				t.Errorf("%s: %+v, or the credential is another one", name, asked)
			}
			h.cool("p")
			if _, err := h.token(t, "p"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A session can be obtained again by signing in, so its replacement needs no question. Neither does a client's new
// secret, nor the same person's sign-in.
func TestJ32WhatCanBeHadAgainNeedsNoQuestion(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		h.signIn(t, h.ofDevice("session"))
		other := h.ofDevice("session")
		other.ClientID, other.Confirm = "other-app", true
		if r, err := h.login(t.Context(), other, h.willing(t)); err != nil || r.ClientID != "other-app" {
			t.Errorf("%+v, %v", r, err)
		}
		h.signIn(t, h.ofMachine("machine"))
		if r := h.signIn(t, h.ofMachine("machine")); r.Outcome != protocol.SignedIn {
			t.Errorf("%+v", r)
		}
		var asked []protocol.Prompt
		person := protocol.LoginParams{Profile: "work", Provider: "spatiafi", AuthServer: h.server.URL(),
			Username: person}
		first, err := h.login(t.Context(), person, h.saying("", &asked))
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.login(t.Context(), person, unasked(t))
		if err != nil || again.Outcome != protocol.AlreadySignedIn || again.ClientID != first.ClientID {
			t.Errorf("%+v, %v", again, err)
		}
		person.NewClient, asked = true, nil
		if r, err := h.login(t.Context(), person, h.saying("", &asked)); err != nil || r.ClientID == first.ClientID {
			t.Errorf("%+v, %v", r, err)
		}
		if !strings.Contains(strings.Join(questions(asked, protocol.PromptNotice), "\n"),
			"This gives up the App Credentials "+first.ClientID) {
			t.Errorf("the client that is given up is not named: %+v", asked)
		}
	})
}

// A secret at hand on an existing profile is the stored client's new one: it is proven and then stored. A secret that
// the sign-in has no use for is refused.
func TestJ33ASecretAtHandIsUsedOrRefused(t *testing.T) {
	for name, of := range map[string]func(h *harness) protocol.LoginParams{
		"a client": func(h *harness) protocol.LoginParams { return h.ofMachine("p") },
		"App Credentials": func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(),
				Username: person}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				var asked []protocol.Prompt
				if _, err := h.login(t.Context(), of(h), h.saying("", &asked)); err != nil {
					t.Fatal(err)
				}
				before := h.stored(t, "p")
				with := protocol.LoginParams{Profile: "p", Secret: true}
				_, err := h.login(t.Context(), with, typing("dummy-wrong-secret"))
				wantError(t, err, protocol.LoginRequired)
				if !h.stored(t, "p").Equal(before) {
					t.Error("a secret was stored that the server refuses")
				}
				h.server.AddClient(sandbox.Client{ID: before.ClientID, Secret: "dummy-next-secret"})
				r, err := h.login(t.Context(), with, typing("dummy-next-secret"))
				if err != nil || r.Outcome != protocol.SignedIn || r.ClientID != before.ClientID {
					t.Fatalf("%+v, %v", r, err)
				}
				if got := h.stored(t, "p"); got.ClientSecret.Reveal() != "dummy-next-secret" ||
					got.ClientID != before.ClientID {
					t.Error("what was proven is not what is stored")
				}
				h.cool("p")
				if _, err := h.token(t, "p"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A sign-in that can never work is refused with the reason before a person types a secret.
func TestJ34WhatCannotWorkIsRefusedBeforeASecretIsAsked(t *testing.T) {
	token := func(h *harness) protocol.LoginParams {
		return protocol.LoginParams{Profile: "p", TokenURL: h.server.URL() + h.server.TokenPath(), ClientID: "machine"}
	}
	for name, test := range map[string]struct {
		change func(p *protocol.LoginParams)
		says   string
	}{
		"client credentials of a public client": {func(p *protocol.LoginParams) { p.ClientAuth = "none" },
			"RFC 6749, section 4.4.2"},
		"the same by name": {func(p *protocol.LoginParams) {
			p.ClientAuth, p.Grant = "none",
				"client_credentials"
		}, "RFC 6749, section 4.4.2"},
		"client credentials without a client": {func(p *protocol.LoginParams) { p.ClientID = "" }, "--client-id"},
		"a device code without an endpoint": {func(p *protocol.LoginParams) { p.Grant = "device_code" },
			"--grant device_code"},
		"a browser without an endpoint": {func(p *protocol.LoginParams) { p.Grant = "authorization_code" },
			"--grant authorization_code"},
		"App Credentials where there are none": {func(p *protocol.LoginParams) {
			p.Grant, p.Username,
				p.ClientID = "app_credentials", person, ""
		}, "--grant app_credentials"},
		"an API key login where there is none": {func(p *protocol.LoginParams) {
			p.Grant, p.Username,
				p.ClientID = "key_login", person, ""
		}, "--grant key_login"},
		"a key assertion without a key": {func(p *protocol.LoginParams) { p.Grant = "jwt_bearer" }, "--key"},
		"private_key_jwt without a key": {func(p *protocol.LoginParams) { p.ClientAuth = "private_key_jwt" },
			"--key"},
		"tls_client_auth without a certificate": {func(p *protocol.LoginParams) {
			p.ClientAuth,
				p.Key = "tls_client_auth", "/k.pem"
		}, "--certificate"},
		"App Credentials that prove nothing": {func(p *protocol.LoginParams) {
			*p = protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: "http://localhost:9",
				Username: person, ClientAuth: "none"}
		}, "--client-auth none"},
		"another provider's server by --issuer": {func(p *protocol.LoginParams) { p.AuthServer = "http://localhost:9" },
			"--auth-server goes with --provider"},
		"two servers": {func(p *protocol.LoginParams) { p.Provider = "spatiafi" },
			"(--provider, --issuer, --token-url)"},
		"a secret for a public client's session": {func(p *protocol.LoginParams) {
			p.ClientAuth, p.Grant, p.Secret = "none", "token_exchange", false
			p.Username = "bob"
		}, "--username"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				params := token(h)
				test.change(&params)
				_, err := h.login(t.Context(), params, unaskedButNotices(t))
				e := wantError(t, err, "")
				if e.Code != protocol.CodeInvalidParams || !strings.Contains(e.Message, test.says) {
					t.Errorf("%v, hint %q", e, e.Hint())
				}
				if n := len(h.server.Log()); n != 0 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// A profile's file was edited since: what a logout forgets is what is stored, and that is still permanent at its own
// server.
func TestJ40ALogoutNamesWhatIsStored(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		var asked []protocol.Prompt
		first := protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person}
		r, err := h.login(t.Context(), first, h.saying("", &asked))
		if err != nil {
			t.Fatal(err)
		}
		for name, edit := range map[string]string{
			"another server": "issuer = \"http://localhost:9\"\ntoken_endpoint = \"http://localhost:9/token\"\n" +
				"client_auth = \"client_secret_post\"\n",
			"the same addresses": "issuer = \"" + h.server.URL() + "\"\ntoken_endpoint = \"" + h.stored(t,
				"p").TokenEndpoint + "\"\nclient_auth = \"client_secret_post\"\n",
			"another issuer": "issuer = \"http://localhost:9\"\ntoken_endpoint = \"" + h.stored(t,
				"p").TokenEndpoint + "\"\nclient_auth = \"client_secret_post\"\n",
			"a session": "issuer = \"http://localhost:9\"\ntoken_endpoint = \"http://localhost:9/token\"\n" +
				"client_auth = \"none\"\ngrant = \"device_code\"\n",
		} {
			h.write(t, "profiles.d/p.toml", edit)
			h.reload(t)
			out, err := h.logout(t, protocol.LogoutParams{Profile: "p"})
			if err != nil {
				t.Fatal(err)
			}
			if out.Forgotten || !out.Permanent || out.ClientID != r.ClientID ||
				h.stored(t, "p").ClientID != r.ClientID {
				t.Errorf("%s: %+v", name, out)
			}
		}
	})
}

// newer is a keystore with an item that a later groat has written.
type newer struct{ *picky }

func (n newer) Get(ctx context.Context, profile string) (keystore.Item, error) {
	text := keystore.SecretString(`{"v":99,"issuer":"i"}`)
	return keystore.DecodeItem(text)
}

// A credential that a later groat has written is whole, though this one cannot read it: no login takes its place.
func TestJ41ACredentialOfALaterGroat(t *testing.T) {
	store := newer{&picky{}}
	inBubbleWith(t, sandbox.Options{}, store, func(t *testing.T, h *harness) {
		written := func() { t.Error("the keystore was written") }
		store.write.Store(&written)
		for _, params := range []protocol.LoginParams{h.ofMachine("p"),
			{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(), Username: person, Replace: true}} {
			_, err := h.login(t.Context(), params, unaskedButNotices(t))
			if e := wantError(t, err, protocol.Config); !strings.Contains(e.Message, "upgrade groat") ||
				e.Hint() != "groat version" {
				t.Errorf("%v, hint %q", e, e.Hint())
			}
		}
	})
}

// A sign-in succeeds, and the configuration cannot be written: the credential of before is the profile's as it was, and
// a client that was created on the way, which is permanent too, is kept beside it, under a name that the hint's command
// signs in.
func TestJ61ASignInThatCannotBeSavedCostsNothing(t *testing.T) {
	broken := func(h *harness) { h.write(t, "config.toml", "[profiles.p]\nprovider = \"spatiafi\"\n") }
	silent := func(h *harness) {
		h.server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{}, sandbox.Fault{Status: 500})
	}
	for name, test := range map[string]struct {
		then    func(h *harness) protocol.LoginParams
		hinder  func(h *harness)
		created bool
		kind    protocol.Kind
	}{
		"another client": {func(h *harness) protocol.LoginParams { return h.ofMachine("p") }, broken, false,
			protocol.Config},
		"another provider's client": {func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Provider: "climateengine", AuthServer: h.server.URL(),
				Username: person}
		}, broken, true, protocol.Config},
		"a client that nobody could try": {func(h *harness) protocol.LoginParams {
			return protocol.LoginParams{Profile: "p", Provider: "climateengine", AuthServer: h.server.URL(),
				Username: person}
		}, silent, true, protocol.Temporary},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				var asked []protocol.Prompt
				first := protocol.LoginParams{Profile: "p", Provider: "spatiafi", AuthServer: h.server.URL(),
					Username: person}
				if _, err := h.login(t.Context(), first, h.saying("", &asked)); err != nil {
					t.Fatal(err)
				}
				before := h.stored(t, "p")
				answer := h.saying("yes", &asked)
				p := test.then(h)
				p.Replace = true
				_, err := h.login(t.Context(), p, func(ctx context.Context, q protocol.Prompt) (keystore.Secret,
					error) {
					if q.Kind == protocol.PromptSecret {
						test.hinder(h)
					}
					return answer(ctx, q)
				})
				e := wantError(t, err, test.kind)
				if !h.stored(t, "p").Equal(before) {
					t.Errorf("%v: the credential is another one", e)
				}
				os.Remove(filepath.Join(h.config, "config.toml"))
				h.server.Script(sandbox.SpatiafiTokenPath)
				h.reload(t)
				if _, err := h.token(t, "p"); err != nil {
					t.Errorf("the old client: %v", err)
				}
				beside := h.stored(t, "p-2")
				if test.created != (beside.ClientID != "") || test.created &&
					!strings.Contains(e.Message, beside.ClientID) {
					t.Fatalf("%v: kept beside: %q", e, beside.ClientID)
				}
				if !test.created {
					return
				}
				want := "groat login p-2 --provider climateengine --auth-server " + h.server.URL()
				if !strings.HasSuffix(e.Hint(), want) {
					t.Errorf("hint %q", e.Hint())
				}
				second := protocol.LoginParams{Profile: "p-2", Provider: "climateengine", AuthServer: h.server.URL()}
				r, err := h.login(t.Context(), second, unaskedButNotices(t))
				if err != nil || r.Outcome != protocol.AlreadySignedIn || r.ClientID != beside.ClientID {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}
