package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/pages"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// The manual is complete, and renders without a warning.
func TestManual(t *testing.T) {
	tier.Needs(t, "groff-base")
	t.Chdir(pages.Root())
	g := generator{bin: parts.Binaries(t), out: t.TempDir(), release: "1.2.3-4-gabc_d", date: "2026-11-29"}
	if err := g.write(); err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, p := range g.pages() {
		text, err := os.ReadFile(filepath.Join(g.out, "man", "man"+p.section, p.name+"."+p.section))
		if err != nil {
			t.Fatal(err)
		}
		shown[p.name] = rendered(t, p.name, string(text))
	}
	for name, wants := range map[string][]string{
		"groat": {"groat(1)", "groat 1.2.3-4-gabc_d", "2026-11-29", "\ngroat helper git\n", "\ngroat completion\n",
			"the time you ask for.\n", "--secret-stdin\n", "eval \"$(groat get spatiafi --output export)\"",
			"groat login ", "OTHER SERVERS", "CILogon\n",
			"groat login cilogon --issuer https://cilogon.org --client-id YOUR-CLIENT-ID", "credential.https://git.example.com.helper"},
		"groatd":       {"groatd(8)", "-check", "-socket path", "SIGHUP"},
		"groat-config": {"groat-config(5)", "token_endpoint: The server's token endpoint.", "no_proxy"},
		"groat-protocol": {"groat-protocol(7)", `→ {"jsonrpc":"2.0","id":1,"method":"hello"}`, "65,536 bytes",
			"/proc/sys/kernel/random/boot_id", "\nTest vectors\n", "${TMPDIR:-/tmp}/groat-UID"},
	} {
		for _, want := range wants {
			if !strings.Contains(shown[name], want) {
				t.Errorf("%s does not show %q", name, want)
			}
		}
		for _, left := range []string{"<!--", "](", "|---"} {
			if strings.Contains(shown[name], left) {
				t.Errorf("%s shows %q", name, left)
			}
		}
	}
	exits := []int{report.ExitDone, report.ExitInternal, report.ExitUsage, report.ExitLoginRequired,
		report.ExitUnavailable, report.ExitTemporary, report.ExitDenied, report.ExitConfig}
	for _, code := range exits {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^ +%d +\w`, code)).MatchString(shown["groat"]) {
			t.Errorf("groat(1) does not explain the exit status %d", code)
		}
	}
}

// rendered returns what man shows of a page on a wide terminal, and fails the test where groff warns.
func rendered(t *testing.T, name, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "groff", "-k", "-mandoc", "-Tutf8", "-P-cbou", "-ww", "-rLL=140n") // no word is too long
	cmd.Stdin = strings.NewReader(text)
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Errorf("%s: groff: %v\n%s", name, err, &warnings)
	}
	return string(out)
}
