package setup_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// What two profiles need in a file stays until it is taken back for both, in whatever order; then everything is as it
// was.
func TestTwoProfilesNeedTheSame(t *testing.T) {
	tier.Needs(t, "go")
	first := setup.Profile{Name: "first", APIs: []string{"https://both.example", "https://first.example"}}
	second := setup.Profile{Name: "second", APIs: []string{"https://both.example"}}
	other := map[string]string{"first": "second", "second": "first"}
	const ours = "/opt/groat/bin/groat helper go"
	for name, tt := range map[string]struct {
		tool, path, before string
		alone              map[string]string // :: profile → what the file has where only that one is set up
	}{
		"go": {"go", "go/env", "GOAUTH=git /x\nGOFLAGS=-mod=mod",
			map[string]string{"first": "GOAUTH=" + ours + ";git /x\nGOFLAGS=-mod=mod",
				"second": "GOAUTH=" + ours + ";git /x\nGOFLAGS=-mod=mod"}},
		"go, no file": {"go", "go/env", "", map[string]string{"first": "GOAUTH=" + ours + ";netrc\n",
			"second": "GOAUTH=" + ours + ";netrc\n"}},
		"docker": {"docker", ".docker/config.json", `{"credHelpers":{"both.example":"pass"}}`,
			map[string]string{"first": `{"credHelpers":{"both.example":"groat","first.example":"groat"}}`,
				"second": `{"credHelpers":{"both.example":"groat"}}`}},
		"docker, no file": {"docker", ".docker/config.json", "",
			map[string]string{"first": "{\n\t\"credHelpers\": {\n\t\t\"both.example\": \"groat\",\n\t\t" +
				"\"first.example\": \"groat\"\n\t}\n}\n",
				"second": "{\n\t\"credHelpers\": {\n\t\t\"both.example\": \"groat\"\n\t}\n}\n"}},
	} {
		for _, order := range [][]setup.Profile{{first, second}, {second, first}} {
			for _, undone := range []string{"first", "second"} {
				t.Run(name+", "+order[0].Name+" set up first, "+undone+" undone first", func(t *testing.T) {
					m := dockerMachine(t)
					if tt.tool == "go" {
						m = machine(t)
					}
					path := filepath.Join(m.Home, tt.path)
					t.Setenv("GOENV", path)
					if tt.before != "" {
						write(t, path, tt.before, 0o600)
					}
					tool, before := setup.Find(tt.tool), tree(t, m)
					for _, p := range append(order, order...) { // the second time nothing is left to do
						plan, err := m.Setup(t.Context(), tool, p)
						apply(t, plan, err)
					}
					for _, p := range []string{undone, other[undone]} {
						plan, err := m.Undo(tool, p)
						if left := apply(t, plan, err).Left; len(left) > 0 {
							t.Errorf("%s: %v is left", p, left)
						}
						if p != undone {
							break
						}
						stays := tt.alone[other[p]]
						if b, err := os.ReadFile(path); err != nil || string(b) != stays {
							t.Errorf("without %s: %v %s", p, err, cmp.Diff(stays, string(b)))
						}
					}
					if diff := cmp.Diff(before, tree(t, m)); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}
