package login

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// look asks what there is in a file, or takes it.
func (h *harness) look(t *testing.T, file string, take, trust []string) (protocol.ImportResult, error) {
	t.Helper()
	var r protocol.ImportResult
	err := h.importInto(t, &r, protocol.ImportParams{From: file, Take: take, Trust: trust})
	return r, err
}

// rewrite changes a file of another program.
func rewrite(t *testing.T, file, from, to string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q", file, from)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), from, to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unsigned is a JWT that says something; nothing here checks a signature.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + enc.EncodeToString(b) + "." +
		enc.EncodeToString([]byte("sig"))
}

// A server that only a file names is shown, and is sent nothing until a person has named exactly its origin.
func TestL50AnUnusualDestinationNeedsAWord(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		file, _ := h.planetMachine(t, clientSecret)
		looked, err := h.look(t, file, nil, nil)
		if err != nil || len(looked.Found) != 1 {
			t.Fatalf("%+v, %v", looked, err)
		}
		f := looked.Found[0]
		if f.Destination != h.server.URL() || !f.Unusual {
			t.Fatalf("it goes to %q, unusual: %v", f.Destination, f.Unusual)
		}
		for _, trust := range [][]string{nil, {"https://login.planet.com"}, {h.server.URL() + ":8080"},
			{strings.Replace(h.server.URL(), "http:", "https:", 1)}} {
			r, err := h.look(t, file, []string{f.ID}, trust)
			if err != nil || r.Found[0].Imported || r.Found[0].Error == nil {
				t.Fatalf("%q: %+v, %v", trust, r, err)
			}
			if e := r.Found[0].Error; !strings.Contains(e.Message, h.server.URL()) ||
				e.Hint() != strings.Join(append([]string{"groat import --from " + file},
					append(slices.Clone(trust), h.server.URL())...), " --trust ") {
				t.Errorf("%q: %v, hint %q", trust, e, e.Hint())
			}
			if n := len(h.server.Log()); n != 0 {
				t.Fatalf("%q: %d requests", trust, n)
			}
		}
		for _, none := range []string{"", h.server.URL() + "/path", "http://me@127.0.0.1"} {
			if _, err := h.look(t, file, []string{f.ID}, []string{none}); err == nil {
				t.Errorf("%q was taken for an origin", none)
			}
		}
		r, err := h.look(t, file, []string{f.ID}, []string{h.server.URL()})
		if err != nil || !r.Found[0].Imported {
			t.Errorf("%+v, %v", r, err)
		}
		if got := h.stored(t, "robot"); got.ClientID != "machine" {
			t.Errorf("the keystore has %q", got.ClientID)
		}
	})
}

// What the named server's own document names is no server that the person has named.
func TestL51TheServersDocumentNamesAnother(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		const elsewhere = "http://localhost:9"
		h.server.Script(sandbox.KeycloakIssuerPath+"/.well-known/openid-configuration",
			sandbox.Fault{Status: 200, Body: `{"issuer":"` +
				h.server.URL() + sandbox.KeycloakIssuerPath + `","token_endpoint":"` + elsewhere +
				`/token","token_endpoint_auth_methods_supported":["client_secret_post"]}`})
		file, _ := h.planetMachine(t, clientSecret)
		looked, err := h.look(t, file, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.look(t, file, []string{looked.Found[0].ID}, []string{h.server.URL()})
		if err != nil || r.Found[0].Error == nil ||
			!strings.Contains(r.Found[0].Error.Message, strings.TrimPrefix(elsewhere, "http://")) ||
			!strings.HasSuffix(r.Found[0].Error.Hint(), " --trust "+elsewhere) {
			t.Fatalf("%+v, %v", r, err)
		}
		if n := h.server.Count("/token") + h.server.Count(sandbox.KeycloakTokenPath); n != 0 ||
			h.stored(t, "robot").ClientID != "" {
			t.Errorf("%d token requests, or something was kept", n)
		}
	})
}

// An ID stands for a destination and a grant too: a file that has changed since it was shown is not taken, nor is
// anything else.
func TestL52AFileThatChangesAfterItWasShown(t *testing.T) {
	for name, change := range map[string][2]string{
		"the server":   {sandbox.KeycloakIssuerPath, "/auth/realms/other"},
		"the grant":    {"oidc_client_credentials_secret", "static_apikey"},
		"the client":   {`"machine"`, `"other-machine"`},
		"the audience": {"https://api.planet.com/", "https://api.example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				file, _ := h.planetMachine(t, clientSecret)
				looked, err := h.look(t, file, nil, nil)
				if err != nil || len(looked.Found[0].ID) != 32 {
					t.Fatalf("%+v, %v", looked, err)
				}
				rewrite(t, file, change[0], change[1])
				_, err = h.look(t, file, []string{looked.Found[0].ID}, []string{h.server.URL()})
				if e := wantError(t, err, protocol.Config); e.Hint() != "groat import" ||
					!strings.Contains(e.Message, "nothing was sent") {
					t.Errorf("%v, hint %q", e, e.Hint())
				}
				if n := len(h.server.Log()); n != 0 || h.stored(t, "robot").ClientID != "" {
					t.Errorf("%d requests, or something was kept", n)
				}
			})
		})
	}
}

// A credential whose own JWT names another server than it would be sent to is refused, and both are named.
func TestL53ACredentialThatNamesAnotherServer(t *testing.T) {
	const other = "https://login.example.com/realms/a"
	issuer := func(h *harness) string { return h.server.URL() + sandbox.KeycloakIssuerPath }
	for name, test := range map[string]struct {
		member string
		claims func(h *harness) map[string]any
		fits   bool
	}{
		"access token": {"access_token",
			func(*harness) map[string]any { return map[string]any{"iss": other} }, false},
		"ID token": {"id_token",
			func(*harness) map[string]any { return map[string]any{"iss": other} }, false},
		"refresh token": {"refresh_token",
			func(*harness) map[string]any { return map[string]any{"iss": other} }, false},
		"another realm of the same server": {"access_token",
			func(h *harness) map[string]any { return map[string]any{"iss": h.server.URL() + "/auth/realms/b"} }, false},
		"client assertion": {"client_assertion",
			func(*harness) map[string]any { return map[string]any{"iss": "machine", "aud": other + "/token"} }, false},
		"its own access token": {"access_token",
			func(h *harness) map[string]any { return map[string]any{"iss": issuer(h)} }, true},
		"its own assertion": {"client_assertion",
			func(h *harness) map[string]any { return map[string]any{"iss": "machine", "aud": issuer(h) + "/token"} },
			true},
		"no address": {"access_token",
			func(*harness) map[string]any { return map[string]any{"iss": "planet"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				file, _ := h.planetMachine(t, clientSecret)
				b, err := json.Marshal(map[string]string{test.member: unsigned(t, test.claims(h))})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token.json"), b, 0o600); err != nil {
					t.Fatal(err)
				}
				r, err := h.look(t, file, nil, nil)
				if err != nil || len(r.Found) != 1 {
					t.Fatalf("%+v, %v", r, err)
				}
				f := r.Found[0]
				named, _ := test.claims(h)["iss"].(string)
				if aud, ok := test.claims(h)["aud"].(string); ok {
					named = aud
				}
				switch {
				case test.fits && f.Reason != "":
					t.Errorf("refused: %s", f.Reason)
				case !test.fits && (!strings.Contains(f.Reason, named) || !strings.Contains(f.Reason, h.server.URL())):
					t.Errorf("reason %q, want both servers", f.Reason)
				}
				if test.fits {
					return
				}
				_, err = h.look(t, file, []string{f.ID}, []string{h.server.URL()})
				wantError(t, err, protocol.Config)
				if n := len(h.server.Log()); n != 0 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// A permanent credential that the keystore has under the name is not overwritten by an import.
func TestL54AnImportTakesNobodysPlace(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		kept := h.apiKeyItem()
		if err := h.store.Memory.Set(t.Context(), "robot", kept); err != nil {
			t.Fatal(err)
		}
		file, _ := h.planetMachine(t, clientSecret)
		looked, err := h.look(t, file, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.look(t, file, []string{looked.Found[0].ID}, []string{h.server.URL()})
		if err != nil || r.Found[0].Error == nil || h.server.Count(sandbox.KeycloakTokenPath) != 0 ||
			!h.stored(t, "robot").Equal(kept) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// What a JWT claims is shown as an address only, whatever else stands in it.
func TestL58AnIssuerThatHidesASecret(t *testing.T) {
	const canary = "dummy-canary-not-real"
	for _, iss := range []string{
		"https://ann:" + canary + "@login.example.com/", "https://login.example.com/?code=" + canary,
		"https://login.example.com/#" + canary,
	} {
		inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
			file, _ := h.planetMachine(t, clientSecret)
			b, err := json.Marshal(map[string]string{"access_token": unsigned(t, map[string]any{"iss": iss})})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "token.json"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := h.look(t, file, nil, nil)
			if err != nil || len(r.Found) != 1 || !strings.Contains(r.Found[0].Reason, "https://login.example.com") {
				t.Fatalf("%+v, %v", r, err)
			}
			if all, err := json.Marshal(r); err != nil || strings.Contains(string(all), canary) {
				t.Errorf("%s, %v", all, err)
			}
		})
	}
}

// A file names the issuer that its tokens are from, and a token endpoint on another host: the tokens name where they
// are from, and are not sent to the other, whatever a person has said of it.
func TestL70ATokenEndpointBesideItsIssuer(t *testing.T) {
	for name, test := range map[string]struct{ issuer, member, claim string }{
		"Planet's own tokens":      {"https://login.planet.com/", "access_token", "iss"},
		"another server's tokens":  {"https://honest.example/realms/a", "refresh_token", "iss"},
		"an assertion for another": {"https://honest.example", "client_assertion", "aud"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				file, text := h.planetMachine(t, clientSecret)
				text = strings.Replace(text, h.server.URL()+sandbox.KeycloakIssuerPath, test.issuer, 1)
				text = strings.Replace(text, "{", `{"token_endpoint":"`+h.server.URL()+`/token",`, 1)
				token, err := json.Marshal(map[string]string{test.member: unsigned(t,
					map[string]any{test.claim: test.issuer})})
				if err != nil {
					t.Fatal(err)
				}
				for path, b := range map[string][]byte{file: []byte(text),
					filepath.Join(filepath.Dir(file), "token.json"): token} {
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r, err := h.look(t, file, nil, nil)
				if err != nil || len(r.Found) != 1 || !strings.Contains(r.Found[0].Reason, test.issuer) ||
					!strings.Contains(r.Found[0].Reason, h.server.URL()) {
					t.Fatalf("%+v, %v", r, err)
				}
				_, err = h.look(t, file, []string{r.Found[0].ID}, []string{h.server.URL()})
				wantError(t, err, protocol.Config)
				if n := len(h.server.Log()); n != 0 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}
