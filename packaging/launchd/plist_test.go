package launchd_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// TestPlist reads the agent with an independent parser and compares all of it: launchd ignores what it does not know,
// so a key must be right in its letters and in its type.
func TestPlist(t *testing.T) {
	tier.Needs(t, "python3")
	const read = `import json, plistlib, sys; ` +
		`json.dump(plistlib.load(open(sys.argv[1], "rb"), fmt=plistlib.FMT_XML), sys.stdout)`
	out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", read, "io.groat.groatd.plist").Output()
	if err != nil {
		t.Fatalf("python3's plistlib cannot read the agent: %v; "+
			"if python3 is missing, run packaging/testing/install.sh", err)
	}
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Label":              "io.groat.groatd",
		"ProgramArguments":   []any{"/usr/local/bin/groatd"},
		"RunAtLoad":          true,
		"KeepAlive":          map[string]any{"SuccessfulExit": false},
		"ProcessType":        "Interactive",
		"ExitTimeOut":        30.0,
		"Umask":              float64(0o077),
		"HardResourceLimits": map[string]any{"Core": 0.0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.ContainsAny(string(out), "~$") {
		t.Errorf("launchd expands neither ~ nor $: %s", out)
	}
}
