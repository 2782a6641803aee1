package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// example is a module with a package that is proved, one that it imports, and one that has nothing to do with it.
func example(t *testing.T) *program {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":            "module example.com/m\n\ngo 1.24\n",
		"a/a.go":            "package a\n\nimport _ \"example.com/m/b\"\n",
		"a/a_test.go":       "package a\n",
		"a/testdata/x/in":   "1\n",
		"b/b.go":            "package b\n",
		"b/b_test.go":       "package b\n",
		"c/c.go":            "package c\n",
		"d/server.js":       "1\n",
		"d/node_modules/js": "1\n",
	} {
		change(t, root, name, text)
	}
	pages := filepath.Join(root, "pages")
	if err := os.Mkdir(pages, 0o700); err != nil {
		t.Fatal(err)
	}
	return &program{
		root: root, pages: pages, now: func() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC) },
		commit: func(context.Context, string) (string, error) { return "0123456789ab", nil },
		parts: []part{{
			name: "sums", what: "All sums.", packages: []string{"./a"}, paths: []string{"d"},
			env: []string{"SUMS=all"}, command: []string{"/bin/sh", "-c", `printf "one: 2\none: 1\none: 2\n"; echo "sums: $SUMS  of them"`},
			shortEnv: []string{"SUMS=few"}, result: regexp.MustCompile(`sums: (.+)`),
			lists: regexp.MustCompile(`(?m)^one: (.+)$`),
		}},
	}
}

func change(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// said runs f with the program's output kept.
func (p *program) said(t *testing.T, f func(context.Context) error) (string, error) {
	t.Helper()
	var out strings.Builder
	p.out = &out
	err := f(t.Context())
	return out.String(), err
}

func (p *program) all(ctx context.Context) error { return p.run(ctx, "") }

// A page says what ran, when, at which commit and what came of it; with what it depends on untouched, check has nothing
// to say.
func TestAPageIsWritten(t *testing.T) {
	p := example(t)
	if _, err := p.said(t, p.all); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(p.pages, "sums.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"# sums", "All sums.", "- ran: 2026-02-03, at commit 0123456789ab, for 0s", "- result: all of them\n  - 1\n  - 2",
		"- depends on: the files that these packages and their tests are made of: ./a; d",
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("the page lacks %q:\n%s", line, text)
		}
	}
	if out, err := p.said(t, p.check); out != "" || err != nil {
		t.Errorf("of a fresh page: %q, %v", out, err)
	}
	p.short = true
	if out, err := p.said(t, p.all); err != nil || !strings.Contains(out, "few of them") {
		t.Errorf("shortened: %q, %v", out, err)
	}
}

// A page is stale as soon as one file that the part depends on differs, and not before.
func TestStalePages(t *testing.T) {
	tier.Long(t, "it asks go list thirty times")
	for name, stale := range map[string]bool{
		"a/a.go": true, "a/a_test.go": true, "a/testdata/x/in": true, "b/b.go": true, "d/server.js": true,
		"go.mod":      true,
		"b/b_test.go": false, "c/c.go": false, "d/node_modules/js": false, "pages/other.md": false,
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			p := example(t)
			if _, err := p.said(t, p.all); err != nil {
				t.Fatal(err)
			}
			old, err := os.ReadFile(filepath.Join(p.root, name))
			if err != nil && !strings.HasPrefix(name, "pages/") {
				t.Fatal(err)
			}
			change(t, p.root, name, string(old)+"\n")
			out, err := p.said(t, p.check)
			if err != nil || strings.Contains(out, "sums is stale") != stale {
				t.Errorf("stale: %v, want %v: %q, %v", !stale, stale, out, err)
			}
			change(t, p.root, name, string(old))
			if out, err := p.said(t, p.check); out != "" || err != nil {
				t.Errorf("changed back: %q, %v", out, err)
			}
		})
	}
	t.Run("a new file", func(t *testing.T) {
		p := example(t)
		if _, err := p.said(t, p.all); err != nil {
			t.Fatal(err)
		}
		change(t, p.root, "b/more.go", "package b\n")
		if out, err := p.said(t, p.check); err != nil || !strings.Contains(out, "sums is stale") {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// A page that is missing or is no page is an error; one that says that its part has not run yet is not.
func TestPagesThatAreNone(t *testing.T) {
	p := example(t)
	if _, err := p.said(t, p.check); err == nil {
		t.Error("a page that is missing is passed over")
	}
	if err := p.write(p.parts[0], page{}); err != nil {
		t.Fatal(err)
	}
	if out, err := p.said(t, p.check); err != nil || !strings.Contains(out, "has not run yet: make proof PART=sums") {
		t.Errorf("not run yet: %q, %v", out, err)
	}
	if _, err := p.said(t, p.all); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(p.pages, "sums.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(whole)) {
		needed := strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "- ") &&
			!strings.HasPrefix(line, "- depends")
		change(t, p.pages, "sums.md", strings.Replace(string(whole), line, "", 1))
		if _, err := p.said(t, p.check); needed && err == nil {
			t.Errorf("without %q it counts as a page", line)
		}
	}
}

// What fails, or does not say what came of it, leaves the page as it was.
func TestAFailureWritesNothing(t *testing.T) {
	for _, script := range []string{`echo "sums: all"; exit 1`, "echo nothing"} {
		p := example(t)
		p.parts[0].command = []string{"sh", "-c", script}
		if _, err := p.said(t, p.all); err == nil {
			t.Errorf("%s: no error", script)
		}
		if _, err := os.Stat(filepath.Join(p.pages, "sums.md")); !os.IsNotExist(err) {
			t.Errorf("%s: a page was written: %v", script, err)
		}
	}
	p := example(t)
	if err := p.run(t.Context(), "products"); err == nil {
		t.Error("a part that there is not was run")
	}
	p.pages, p.short = "", true
	if err := p.main(t.Context(), false, ""); err == nil {
		t.Error("a shortened run may write the pages")
	}
}

// Every part of this repository has a page, every page a part, and all that the parts name exists.
func TestPages(t *testing.T) {
	tier.Long(t, "it asks go list for what each part depends on")
	p := program{root: "../..", pages: ".", parts: parts}
	var want []string
	known := lists{}
	for _, of := range parts {
		want = append(want, of.name+".md")
		if _, err := p.read(of); err != nil {
			t.Error(err)
		}
		if _, err := of.hash(t.Context(), p.root, known); err != nil {
			t.Errorf("%s: %v", of.name, err)
		}
		for _, path := range of.paths {
			if _, err := os.Stat(filepath.Join(p.root, path)); err != nil {
				t.Errorf("%s: %v", of.name, err)
			}
		}
	}
	got, err := fs.Glob(os.DirFS("."), "*.md")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the pages are %v, want %v", got, want)
	}
}
