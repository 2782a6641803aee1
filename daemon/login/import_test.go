package login

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// planetMachine writes an auth_client.json of Planet's tools, for a machine account at the harness's server.
func (h *harness) planetMachine(t *testing.T, secret string) (file, text string) {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"client_type": "oidc_client_credentials_secret", "auth_server": h.server.URL() + sandbox.KeycloakIssuerPath,
		"client_id": "machine", "client_secret": secret, "scopes": []string{},
		"audiences": []string{"https://api.planet.com/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), ".planet", "robot", "auth_client.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, string(b)
}

// importInto runs an import as the daemon does, without variables of the environment.
func (h *harness) importInto(t *testing.T, r *protocol.ImportResult, p protocol.ImportParams) (err error) {
	t.Helper()
	*r, err = h.Import(t.Context(), p, nil, nil)
	return err
}

// importing looks at a file, and then takes what was found.
func (h *harness) importing(t *testing.T, file string) protocol.ImportFound {
	t.Helper()
	var r protocol.ImportResult
	if err := h.importInto(t, &r, protocol.ImportParams{From: file}); err != nil {
		t.Fatal(err)
	}
	if len(r.Found) != 1 || r.Found[0].Imported || len(h.server.Log()) != 0 {
		t.Fatalf("looking: %+v, %d requests", r, len(h.server.Log()))
	}
	if err := h.importInto(t, &r, protocol.ImportParams{From: file, Take: []string{r.Found[0].ID},
		Trust: []string{h.server.URL()}}); err != nil {
		t.Fatal(err)
	}
	if len(r.Found) != 1 {
		t.Fatalf("taking: %+v", r)
	}
	return r.Found[0]
}

// A machine account of Planet's tools is proven, stored, and a profile from then on; the file stays as it was.
func TestImportOfAPlanetMachineAccount(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		file, text := h.planetMachine(t, clientSecret)
		f := h.importing(t, file)
		if !f.Imported || f.Error != nil || f.System != "Planet" || f.What != "machine account" ||
			f.ClientID != "machine" || len(f.Copies) != 1 || f.Copies[0].Remove == "" {
			t.Fatalf("%+v", f)
		}
		if n := h.server.Count(sandbox.KeycloakTokenPath); n != 1 {
			t.Errorf("it was proven with %d token requests", n)
		}
		got := h.stored(t, f.Profile)
		if got.ClientID != "machine" || got.ClientSecret.Reveal() != clientSecret ||
			got.Issuer != h.server.URL()+sandbox.KeycloakIssuerPath {
			t.Errorf("the keystore has %q at %s", got.ClientID, got.Issuer)
		}
		c, err := h.Profiles.Config.Load()
		if p := c.Profiles[f.Profile]; err != nil || p.TokenEndpoint != h.server.URL()+sandbox.KeycloakTokenPath ||
			p.ClientAuth != "client_secret_post" || p.Audience != "https://api.planet.com/" {
			t.Errorf("%+v, %v", p, err)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("the file has changed, or: %v", err)
		}
		if !h.holds(f.Profile) {
			t.Fatal("the token of the proof is not handed out")
		}
		h.cool(f.Profile)
		if _, err := h.token(t, f.Profile); err != nil {
			t.Error(err)
		}
	})
}

// What the provider refuses is not taken, and leaves nothing behind.
func TestImportOfARefusedMachineAccount(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *harness) {
		file, text := h.planetMachine(t, "dummy-wrong-secret")
		f := h.importing(t, file)
		if f.Imported || f.Error == nil || f.Error.Hint() == "" {
			t.Errorf("%+v", f)
		}
		if h.Profiles.Named(f.Profile) != nil || h.stored(t, f.Profile).ClientID != "" || h.holds(f.Profile) {
			t.Error("something of it was kept")
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			t.Errorf("the file has changed, or: %v", err)
		}
	})
}

// Two at once: what is found is proven by one of them. A proof may use a refresh token up, and the second one of the
// same would end the session.
func TestTwoImportsAtOnceProveOnce(t *testing.T) {
	inBubble(t, sandbox.Options{Latency: time.Second}, func(t *testing.T, h *harness) {
		file, _ := h.planetMachine(t, clientSecret)
		var looked protocol.ImportResult
		if err := h.importInto(t, &looked, protocol.ImportParams{From: file}); err != nil {
			t.Fatal(err)
		}
		var imported, refused atomic.Int64
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				var r protocol.ImportResult
				if err := h.importInto(t, &r, protocol.ImportParams{From: file, Take: []string{looked.Found[0].ID},
					Trust: []string{h.server.URL()}}); err != nil {
					t.Error(err)
					return
				}
				switch f := r.Found[0]; {
				case f.Imported:
					imported.Add(1)
				case f.Error != nil && f.Error.Kind() == protocol.Temporary:
					refused.Add(1)
				}
			})
		}
		both.Wait()
		if n := h.server.Count(sandbox.KeycloakTokenPath); n != 1 || imported.Load() != 1 || refused.Load() != 1 {
			t.Errorf("%d proofs, %d imported, %d refused", n, imported.Load(), refused.Load())
		}
		if got := h.stored(t, looked.Found[0].Profile); got.ClientID != "machine" {
			t.Errorf("the keystore has %q", got.ClientID)
		}
	})
}
