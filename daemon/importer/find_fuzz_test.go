package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/daemon/importer"
)

// places are where the programs keep what Find looks for, below the home.
var places = []string{
	".config/spatiafi/app_credentials.json", ".config/spatiafi/app_credentials",
	".config/spatiafi/gcp_user_credentials.json",
	".planet.json", ".planet/work/auth_client.json", ".planet/work/token.json", ".planet/work/token.sops.json",
	".earthscope/default/tokens.json", ".earthscope/config.toml", ".config/earthscope-cli/sso_tokens.json",
	".config/earthscope-cli/m2m_tokens.json",
}

// FuzzFind: whatever stands in the files of other programs, looking at them ends, changes none, and each row is sound.
func FuzzFind(f *testing.F) {
	f.Add(uint8(0), []byte(apps), []byte(secret))
	f.Add(uint8(2), []byte(`{"type":"service_account"}`), []byte(`{"key":"k"}`))
	f.Add(uint8(4), []byte(planetM2M), []byte(planetToken))
	f.Add(uint8(4), []byte(planetUser), []byte(`{}`))
	f.Add(uint8(5), []byte(planetToken), []byte(sopsFile))
	f.Add(uint8(7), []byte(`{"access_token":"a","refresh_token":"dummy-refresh-token"}`),
		[]byte("[profile.default]\nname = \"x\"\n"))
	home := f.TempDir()
	f.Setenv("PATH", home) // no sops: what is fuzzed is ours
	env := importer.Env{Home: home, GOOS: "linux", Getenv: func(string) string { return "" }}
	for _, name := range places {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, place uint8, text, other []byte) {
		first := filepath.Join(home, places[int(place)%len(places)])
		second := filepath.Join(home, places[(int(place)+1)%len(places)])
		for path, text := range map[string][]byte{first: text, second: other} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
		}
		found, err := importer.Find(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for i := range found {
			row := &found[i]
			if !validName(row.Name) || names[row.Name] || row.Importable() && row.Target.Grant == "" ||
				!row.Importable() && row.Hint == "" {
				t.Errorf("%+v", row)
			}
			names[row.Name] = true
			row.Wipe()
		}
		if back, err := os.ReadFile(first); err != nil || string(back) != string(text) {
			t.Errorf("%s was changed: %v", first, err)
		}
	})
}
