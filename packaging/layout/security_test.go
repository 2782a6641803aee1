package layout_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise of SECURITY.md names a rule's file and tests. All of them exist.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	everyFile(t, func(name string, text []byte) {
		if strings.HasSuffix(name, "_test.go") {
			for _, m := range declared.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
		}
	})
	promises := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| promise") {
			continue
		}
		promises++
		for _, m := range regexp.MustCompile(
			"`((?:cmd|daemon|keystore|protocol|packaging)/[^`]*)`").FindAllStringSubmatch(cells[1], -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s is not there: %s", m[1], cells[0])
			}
		}
		named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Za-z0-9_]+`).FindAllString(cells[2], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", cells[0])
		}
		for _, name := range named {
			if !tests[name] {
				t.Errorf("there is no %s: %s", name, cells[0])
			}
		}
	}
	if promises < 20 {
		t.Errorf("only %d promises were found", promises)
	}
}
