// Package pages reads the fenced blocks of the pages that people follow, README.md and CONTRIBUTING.md, so that tests
// run each of them as it is printed.
//
// The walk of this package's tests runs every block of the README, in order. A test elsewhere takes a block over by
// calling [Find] with constant arguments: the walk then leaves that block to it. It is for tests only.
package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/checkout"
)

// Block is one fenced block of a page.
type Block struct {
	Page     string // path from the repository's root
	Section  string // the heading above the block, "" before the first
	Language string // the word behind the opening fence
	Line     int    // of the block's first line, from 1
	Text     string // between the fences, each line with its newline
}

// Root returns the path of the repository.
func Root() string { return checkout.Root() }

// Blocks returns the blocks of a page, in its order.
func Blocks(t testing.TB, page string) []Block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	return parse(page, string(text))
}

func parse(page, text string) []Block {
	var blocks []Block
	var open *Block
	section := ""
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &Block{Page: page, Section: section, Language: fence, Line: i + 2}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		}
	}
	return blocks
}

// Find returns the one block of a page that begins with the given text, and fails the test if there is none or more
// than one. The caller runs the block.
func Find(t testing.TB, page, begins string) Block {
	t.Helper()
	var found []Block
	for _, b := range Blocks(t, page) {
		if strings.HasPrefix(b.Text, begins) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks that begin with %q, want one", page, len(found), begins)
	}
	return found[0]
}

// Checkout copies the repository's files into dir, as a person who cloned it has them: without .git, programs that
// were built and packages that were installed.
func Checkout(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(Root(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch d.Name() {
		case ".git", "bin", "node_modules":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // .git is a file in a worktree
		}
		name, err := filepath.Rel(Root(), path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
