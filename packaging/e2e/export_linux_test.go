package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A provider's own program works past three lives of a token on the file that groat keeps, which has no refresh token,
// and never goes to the authorization server. The programs are stand-ins: testdata/provider_programs.py says for what.
func TestProvidersProgramsReadAFile(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3")
	for _, tt := range []struct{ provider, as, file string }{
		{"planet-user", "planet", ".planet/planet-user/token.json"},
		{"earthscope", "earthscope", ".earthscope/default/tokens.json"},
		{"earthscope-0.2", "earthscope-0.2", "sso_tokens.json"},
	} {
		t.Run(tt.as, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(presetLogins, func(p presetLogin) bool { return p.provider == tt.provider })
			p := presetLogins[i]
			p.server.TokenLifetime = 12 * time.Second
			h := newPresetEnv(t, p)
			h.signsIn(p)
			file := filepath.Join(h.home, tt.file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			h.groat("", "export", "it", "--as", tt.as, "--file", file)
			out, err := h.script("provider_programs.py", tt.as, file, h.s.URL()+p.api, "37").CombinedOutput()
			if err != nil || string(out) != "done\n" {
				t.Errorf("%v\n%s", err, out)
			}
			if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			h.groat("", "export", "--stop", file)
		})
	}
}
