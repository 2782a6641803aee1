package setup_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Of tools that name no profile it is said where that cannot be decided.
func TestUndecided(t *testing.T) {
	p := setup.Profile{Name: "work", APIs: []string{"https://both.example"}, Shared: []string{"https://both.example"}}
	for name, want := range map[string]int{"docker": 1, "git": 0} {
		m := machine(t)
		if name == "docker" {
			m = dockerMachine(t)
		}
		plan, err := m.Setup(t.Context(), setup.Find(name), p)
		if err != nil || len(plan.Undecided) != want {
			t.Errorf("%s: %+v %v", name, plan, err)
		}
	}
}

// What two profiles need in a file stays until it is taken back for both, in whatever order; then everything is as it
// was.
func TestTwoProfilesNeedTheSame(t *testing.T) {
	for _, program := range []string{"go", "kubectl", "rclone"} {
		tier.Needs(t, program)
	}
	first := setup.Profile{Name: "first", APIs: []string{"https://both.example", "https://first.example"}}
	second := setup.Profile{Name: "second", APIs: []string{"https://both.example"}}
	other := map[string]string{"first": "second", "second": "first"}
	const ours = "/opt/groat/bin/groat helper go"
	const dav = "[data]\ntype = webdav\nurl = https://both.example\nvendor = other\n"
	clusters := strings.Replace(kubeConfig, "https://k.example:6443", "https://both.example", 1)
	uses := func(profile string) string {
		return strings.Replace(clusters, "user: u # the", "user: groat-"+profile+" # the", 1) +
			strings.NewReplacer("groat-work", "groat-"+profile, "- work", "- "+profile).Replace(kubeItem)
	}
	asks := func(profile string) string {
		return strings.Replace(dav, "]\n", "]\nbearer_token_command = /opt/groat/bin/groat get "+profile+
			" --target https://both.example\n", 1)
	}
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
		"rclone": {"rclone", "rclone.conf", dav, map[string]string{"first": asks("first"), "second": asks("second")}},
		"rclone, replaced": {"rclone", "rclone.conf", strings.Replace(dav, "]", "]\nbearer_token_command = a b", 1),
			map[string]string{"first": asks("first"), "second": asks("second")}},
		"kubectl": {"kubectl", "kubeconfig", clusters, map[string]string{"first": uses("first"),
			"second": uses("second")}},
	} {
		orders, rounds := [][]setup.Profile{{first, second}, {second, first}}, 2 // then nothing is left to do
		if tt.tool == "rclone" || tt.tool == "kubectl" {                         // they are run, and take their time
			orders, rounds = orders[:1], 1
		}
		for _, order := range orders {
			for _, undone := range []string{"first", "second"} {
				t.Run(name+", "+order[0].Name+" set up first, "+undone+" undone first", func(t *testing.T) {
					m := dockerMachine(t)
					if tt.tool != "docker" {
						m = machine(t)
					}
					path := filepath.Join(m.Home, tt.path)
					t.Setenv("GOENV", path)
					t.Setenv("RCLONE_CONFIG", path)
					if tt.tool == "kubectl" {
						m.Getenv = func(name string) string { return map[string]string{"KUBECONFIG": path}[name] }
					}
					if tt.before != "" {
						write(t, path, tt.before, 0o600)
					}
					tool, before := setup.Find(tt.tool), tree(t, m)
					for _, p := range slices.Repeat(order, rounds) {
						plan, err := m.Setup(t.Context(), tool, p)
						apply(t, plan, err)
					}
					for _, p := range []string{undone, other[undone]} {
						plan, err := m.Undo(tool, p)
						apply(t, plan, err)
						same := tt.tool == "go" || tt.tool == "docker" // the others' settings name the profile
						if len(plan.Left) > 0 || len(plan.Stays) > 0 != (same && p == undone) {
							t.Errorf("%s: %v is left, %v stays", p, plan.Left, plan.Stays)
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
