package pages

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// maxReadme is how many lines a person reads before trying.
const maxReadme = 160

func TestReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > maxReadme {
		t.Errorf("README.md has %d lines, want at most %d", n, maxReadme)
	}
}

func TestParse(t *testing.T) {
	got := parse("P.md", "text\n```sh\na\nb\n```\n## Two words\n\n```python\nc\n```\n")
	want := []Block{
		{Page: "P.md", Language: "sh", Line: 3, Text: "a\nb\n"},
		{Page: "P.md", Section: "Two words", Language: "python", Line: 9, Text: "c\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// claim is a call of Find in a test: that test runs the block.
type claim struct{ file, page, begins string }

var findCall = regexp.MustCompile(`pages\.Find\(\w+, "([^"]+)", "([^"]+)"\)|\bFind\(t, "([^"]+)", "([^"]+)"\)`)

// claims returns every call of Find in the repository's tests.
func claims(t *testing.T) []claim {
	t.Helper()
	var all []claim
	err := filepath.WalkDir(Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range findCall.FindAllStringSubmatch(string(text), -1) {
			all = append(all, claim{path, m[1] + m[3], m[2] + m[4]})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// claimed returns the test file that runs a block in the place of the walk, or "".
func claimed(all []claim, b Block) string {
	for _, c := range all {
		if c.page == b.Page && strings.HasPrefix(b.Text, c.begins) {
			return c.file
		}
	}
	return ""
}

// TestEveryBlockIsRun fails for a block that neither TestReadme nor TestContributing nor a test that calls Find runs,
// and for a call of Find whose block the page does not have.
func TestEveryBlockIsRun(t *testing.T) {
	all := claims(t)
	blocks := map[string][]Block{}
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		blocks[page] = Blocks(t, page)
		for _, b := range blocks[page] {
			runs := page == "README.md" || page == "CONTRIBUTING.md"
			if claimed(all, b) == "" && !(runs && b.Language == "sh") {
				t.Errorf("%s:%d: no test runs this block (%q)", page, b.Line, b.Language)
			}
		}
	}
	for _, c := range all {
		n := 0
		for _, b := range blocks[c.page] {
			if strings.HasPrefix(b.Text, c.begins) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s runs a block of %s that begins with %q; the page has %d", c.file, c.page, c.begins, n)
		}
	}
	if len(blocks["README.md"]) < 8 || len(blocks["CONTRIBUTING.md"]) < 2 {
		t.Error("hardly any blocks were found")
	}
}

// TestContributing runs the commands of CONTRIBUTING.md with "make --dry-run": they run all tests, this one among
// them.
func TestContributing(t *testing.T) {
	all := claims(t)
	for _, b := range Blocks(t, "CONTRIBUTING.md") {
		if claimed(all, b) != "" {
			continue
		}
		for line := range strings.Lines(b.Text) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "make" {
				t.Errorf("%s:%d: this is no call of make, and no test runs it: %s", b.Page, b.Line, line)
				continue
			}
			cmd := exec.CommandContext(t.Context(), "make", append([]string{"--dry-run"}, words[1:]...)...)
			cmd.Dir = Root()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", b.Page, b.Line, err, out)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)

// TestLinks: every link of a page that leads into the repository leads to a file.
func TestLinks(t *testing.T) {
	for _, page := range []string{
		"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "ARCHITECTURE.md", "protocol/PROTOCOL.md",
		"daemon/grant/preset/PROVIDERS.md", "packaging/figures/FIGURES.md", "packaging/INSTALL.md",
		"packaging/ELSEWHERE.md", "protocol/python/README.md",
	} {
		text, err := os.ReadFile(filepath.Join(Root(), page))
		if err != nil {
			t.Error(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(Root(), filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", page, err)
			}
		}
	}
}

// TestProviders: PROVIDERS.md has a row for each preset.
func TestProviders(t *testing.T) {
	dir := filepath.Join(Root(), "daemon/grant/preset")
	presets, err := filepath.Glob(filepath.Join(dir, "*.toml"))
	if err != nil || len(presets) == 0 {
		t.Fatalf("%d presets, %v", len(presets), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "PROVIDERS.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| [^|]* \|`).FindAllString(string(page), -1)
	for _, preset := range presets {
		name := strings.TrimSuffix(filepath.Base(preset), ".toml")
		if !strings.Contains(strings.Join(rows, "\n"), "`"+name+"`") {
			t.Errorf("PROVIDERS.md has no row for %s", name)
		}
	}
}
