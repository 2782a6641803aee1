package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A workload signs in with the assertion in a file, which is read anew for each request. Nothing else of a file is sent.
func TestAnAssertionThatAnotherProgramKeepsFresh(t *testing.T) {
	for _, kind := range []string{"", "jwt_bearer"} {
		t.Run("grant "+kind, func(t *testing.T) {
			inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
				key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				h.server.AddClient(sandbox.Client{ID: "workload", Key: key.Public()})
				file := filepath.Join(t.TempDir(), "token")
				write := func(text string) {
					t.Helper()
					if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, []byte(text), 0o644)); err != nil {
						t.Fatal(err)
					}
				}
				fresh := func() {
					t.Helper()
					now := time.Now()
					text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
						"iss": "workload", "sub": "workload", "aud": h.server.URL(), "iat": now.Unix(),
						"exp": now.Add(time.Minute).Unix(), "jti": rand.Text(),
					}).SignedString(key)
					if err != nil {
						t.Fatal(err)
					}
					write(text + "\n")
				}
				fresh()
				p := protocol.LoginParams{Profile: "p", Issuer: h.server.URL(), ClientID: "workload", Grant: kind,
					AssertionFile: file}
				if _, err := h.login(t.Context(), p, unaskedButNotices(t)); err != nil {
					t.Fatal(err)
				}
				if text := h.written(t, "p"); !strings.Contains(text, "assertion_file = '"+file+"'") {
					t.Errorf("configured: %s", text)
				}
				if item := h.stored(t, "p"); !item.ClientSecret.IsZero() || !item.PrivateKey.IsZero() {
					t.Error("a secret was stored")
				}
				fresh() // each is good for one request at this server
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Errorf("a renewal: %v", err)
				}
				sent := h.posts(h.server.TokenPath())
				for name, spoil := range map[string]func(){
					"none": func() { os.Remove(file) },
					"a private key": func() {
						write("-----BEGIN PRIVATE KEY-----\nZHVtbXk=\n-----END PRIVATE KEY-----\n")
					},
					"three words": func() { write("a.b.c") },
					"everybody's": func() {
						fresh()
						if err := os.Chmod(file, 0o666); err != nil {
							t.Fatal(err)
						}
					},
					"a directory": func() {
						if err := errors.Join(os.RemoveAll(file), os.Mkdir(file, 0o755)); err != nil {
							t.Fatal(err)
						}
					},
					"a pipe": func() {
						if err := errors.Join(os.RemoveAll(file), syscall.Mkfifo(file, 0o600)); err != nil {
							t.Fatal(err)
						}
					},
					"too long": func() { write(strings.Repeat("x", 65<<10)) },
				} {
					spoil()
					h.cool("p")
					e := wantError(t, h.tokenError(t, "p"), protocol.Temporary)
					if !strings.Contains(e.Message, file) || h.posts(h.server.TokenPath()) != sent {
						t.Errorf("%s: %v, %d requests", name, e, h.posts(h.server.TokenPath())-sent)
					}
				}
				fresh()
				h.cool("p")
				if err := h.tokenError(t, "p"); err != nil {
					t.Errorf("when it is there again: %v", err)
				}
				// An edited file has no other file sent.
				fresh()
				other := filepath.Join(t.TempDir(), "other")
				text, err := os.ReadFile(file)
				if err = errors.Join(err, os.WriteFile(other, text, 0o600)); err != nil {
					t.Fatal(err)
				}
				sent = h.posts(h.server.TokenPath())
				h.edit(t, "p", func(text string) string { return strings.ReplaceAll(text, file, other) })
				if err := h.tokenError(t, "p"); err == nil || h.posts(h.server.TokenPath()) != sent {
					t.Errorf("%v, %d requests", err, h.posts(h.server.TokenPath())-sent)
				}
			})
		})
	}
}
