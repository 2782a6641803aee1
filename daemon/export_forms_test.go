package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// exportedAs has a file kept, and returns its path.
func (h *env) exportedAs(t *testing.T, p protocol.ExportParams) string {
	t.Helper()
	p.File = filepath.Join(t.TempDir(), "file")
	var r protocol.ExportResult
	if err := h.visit(t).Call(t.Context(), protocol.MethodExport, p, &r); err != nil {
		t.Fatal(err)
	}
	return p.File
}

// members are those of the JSON object in a file.
func members(t *testing.T, path string) (m map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// For four lives of a token a file in a provider's own form holds one that its program would not renew by itself yet,
// and no refresh token.
func TestAFileInAProvidersForm(t *testing.T) {
	for _, tt := range []struct {
		as      string
		life    time.Duration
		left    time.Duration // with which the program renews by itself
		members []string
	}{
		{protocol.FormPlanet, 15 * time.Minute, 15 * time.Minute / 4,
			[]string{"_exp", "_iat", "access_token", "expires_in", "scope", "token_type"}},
		{protocol.FormPlanet, 8 * time.Hour, 2 * time.Hour,
			[]string{"_exp", "_iat", "access_token", "expires_in", "scope", "token_type"}},
		{protocol.FormEarthScope, 24 * time.Hour, time.Minute, []string{"access_token"}},
		{protocol.FormEarthScope02, 24 * time.Hour, time.Hour,
			[]string{"access_token", "expires_at", "issued_at", "scope"}},
		{protocol.FormEarthScope02, 3 * time.Hour, time.Hour,
			[]string{"access_token", "expires_at", "issued_at", "scope"}},
	} {
		inBubble(t, sandbox.Options{TokenLifetime: tt.life}, func(t *testing.T, h *env, _ *faultyStore) {
			h.signIn(t, h.known("p"))
			path := h.exportedAs(t, protocol.ExportParams{Profile: "p", As: tt.as})
			if kept := h.exportsNow(t); kept[0].Form != tt.as || kept[0].Message != "" {
				t.Errorf("%s: %+v", tt.as, kept)
			}
			tokens := map[any]bool{}
			for range 400 {
				m := members(t, path)
				if !h.taken(t, m["access_token"].(string)) {
					t.Fatalf("%s: the server does not take what is in the file after %d tokens", tt.as, len(tokens))
				}
				tokens[m["access_token"]] = true
				ends, issued := m["_exp"], m["_iat"]
				if tt.as == protocol.FormEarthScope02 {
					ends, issued = m["expires_at"], m["issued_at"]
				}
				if tt.as != protocol.FormEarthScope { // which leaves it to the token
					left := time.Duration(ends.(float64)-float64(time.Now().Unix())) * time.Second
					life := time.Duration(ends.(float64)-issued.(float64)) * time.Second
					if left < tt.left || life > tt.life || life < tt.life-time.Second {
						t.Fatalf("%s of %s: the file says %s, and %s is left", tt.as, tt.life, life, left)
					}
				}
				var names []string
				for name := range m {
					names = append(names, name)
				}
				if slices.Sort(names); !slices.Equal(names, tt.members) {
					t.Fatalf("%s has %q, want %q", tt.as, names, tt.members)
				}
				time.Sleep(4 * tt.life / 400)
				synctest.Wait()
			}
			if len(tokens) < 4 {
				t.Errorf("%s of %s: %d tokens in four lives", tt.as, tt.life, len(tokens))
			}
		})
	}
}

// A token of another scope has a file of its own, which is current for a day without a request to groatd; the default
// token is not renewed for that.
func TestAFileOfAnotherScope(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		p := h.ofDevice("p")
		p.Scope = "openid email"
		h.signIn(t, p)
		path := h.exported(t, protocol.ExportParams{Profile: "p", Scope: "openid"})
		for range 24 * 4 {
			if !h.taken(t, bearer(t, path)) {
				t.Fatal("the server does not take what is in the file")
			}
			time.Sleep(15 * time.Minute)
			synctest.Wait()
		}
		kept := h.exportsNow(t)
		if kept[0].Scope != "openid" || kept[0].State != protocol.ExportCurrent || h.holds("p") {
			t.Errorf("%+v", kept)
		}
		for _, e := range h.server.Log() {
			late := time.Since(e.Time) < 12*time.Hour
			if late && e.Path == "/token" && e.GrantType == "refresh_token" && e.Scope != "openid" {
				t.Errorf("the default token is renewed: %+v", e)
			}
		}
	})
}
