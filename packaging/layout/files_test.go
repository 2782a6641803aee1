package layout_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// root is the repository.
const root = "../.."

// top is all that stands at the top level, but for dot-files and what .gitignore names.
var top = []string{
	"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md",
	"bin", "cmd", "daemon", "go.mod", "go.sum", "keystore", "packaging", "protocol",
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(top, e.Name()) {
			t.Errorf("%s stands at the top level, where only %v do", e.Name(), top)
		}
	}
}

// maxLines is when a file has more than one subject.
const maxLines = 500

// Written so that they do not find themselves.
var (
	skips    = regexp.MustCompile(`\.[S]kip(f|Now)?\(|testing\.[S]hort\(|"test\.[s]hort"`)
	mockInit = regexp.MustCompile(`\bMock[I]nit\b`)
)

// tiers is the only place that may skip a test, and it does so with -short alone (its own test holds it to that).
const tiers = "packaging/testing/tier/"

// long lists the files that may be longer, and why.
var long = map[string]string{}

func TestFiles(t *testing.T) {
	files := 0
	everyFile(t, func(name string, text []byte) {
		files++
		check(t, name, text)
	})
	if files < 10 {
		t.Errorf("only %d Go files found: is %s the repository?", files, root)
	}
}

// everyFile calls f with each Go file of the repository, by its path from there.
func everyFile(t *testing.T, f func(name string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if name, err = filepath.Rel(root, name); err == nil {
			f(filepath.ToSlash(name), text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, name string, text []byte) {
	t.Helper()
	if !strings.HasSuffix(name, "_test.go") {
		if n := bytes.Count(text, []byte("\n")); n > maxLines && long[name] == "" {
			t.Errorf("%s has %d lines: no file has more than %d", name, n, maxLines)
		}
	}
	if skips.Match(text) && !strings.HasPrefix(name, tiers) {
		t.Errorf("%s skips a test or asks for -short: a part that is missing is a failure, "+
			"and %s says what the quick tier leaves out", name, tiers)
	}
	if mockInit.Match(text) {
		t.Errorf("%s replaces the keychain: tests use a real one", name)
	}
}

// A script that skips itself does so in the quick tier alone.
func TestScriptsSkipInTheQuickTierOnly(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(root, "packaging", "e2e", "testdata", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts were found:", err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if slices.Contains(words[:min(len(words), 3)], "skip") && words[0] != "[quick]" && words[0] != "#" {
				t.Errorf("%s: %s", filepath.Base(name), line)
			}
		}
	}
}

// maxColumns is how wide a line may be; a tab counts as four columns.
const maxColumns = 120

// wideLines is how many lines of each tree are still wider, tests not counted. It may become smaller and not greater.
var wideLines = map[string]int{"cmd": 2, "daemon": 15, "keystore": 0, "packaging": 0, "protocol": 0}

func TestLinesAreShort(t *testing.T) {
	wide := map[string]int{}
	everyFile(t, func(name string, text []byte) {
		tree, _, _ := strings.Cut(name, "/")
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(strings.ReplaceAll(line, "\t", "    "), "\n")
			if utf8.RuneCountInString(line) <= maxColumns || strings.HasSuffix(name, "_test.go") {
				continue
			}
			if wide[tree]++; wideLines[tree] == 0 {
				t.Errorf("%s: a line has more than %d columns: %s", name, maxColumns, strings.TrimSpace(line))
			}
		}
	})
	for tree, n := range wide {
		if n > wideLines[tree] && wideLines[tree] > 0 {
			t.Errorf("%s has %d lines of more than %d columns, and had %d", tree, n, maxColumns, wideLines[tree])
		}
	}
}
