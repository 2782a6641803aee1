package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

const (
	root   = "../.."
	readme = root + "/README.md"
	// maxReadme is how long a data scientist reads before trying.
	maxReadme = 250
)

// TestReadmeIsShort keeps it readable.
func TestReadmeIsShort(t *testing.T) {
	if n := strings.Count(readFile(t, readme), "\n"); n >= maxReadme {
		t.Errorf("%s has %d lines, want less than %d", readme, n, maxReadme)
	}
}

// TestReadmeCommands does what the README says, line by line and in its order, in a home of its own and against a sandbox.
// What cannot be done as it stands there is in the table of readmetable_linux_test.go, with the reason; a command that is
// neither done nor there fails the test.
func TestReadmeCommands(t *testing.T) {
	tier.Needs(t, "python3", "git", "curl")
	blocks := readmeBlocks(readFile(t, readme))
	if len(blocks) < 5 {
		t.Fatalf("only %d blocks of sh and python are found", len(blocks))
	}
	h := newHouse(t)
	for _, b := range blocks {
		if b.language == "python" {
			h.python(b.text)
			continue
		}
		h.shell(b)
	}
	for i := range table {
		if r := &table[i]; !h.used[r] {
			t.Errorf("the table has a row for what the README does not say: %s", r.command)
		}
	}
}

// shell does the commands of a block. Those that are run are run by one shell, as a person's would be.
func (h *house) shell(b block) {
	h.t.Helper()
	var script strings.Builder
	flush := func() {
		h.t.Helper()
		h.run(script.String())
		script.Reset()
	}
	for _, command := range b.commands() {
		r := find(command)
		instead := command
		switch {
		case r != nil && r.do != nil:
			h.used[r] = true
			flush()
			r.do(h, command)
			continue
		case r != nil:
			h.used[r] = true
			instead = strings.NewReplacer(r.replace...).Replace(command)
		case !slices.ContainsFunc(runnable, func(p string) bool { return strings.HasPrefix(command, p) }):
			h.t.Errorf("%s:%d: this command is neither run nor in the table: %s", readme, b.line, command)
			continue
		}
		fmt.Fprintf(&script, "%s || { echo >&2 'of the block in line %d'; exit 1; }\n", instead, b.line)
	}
	flush()
}

// block is one fenced block of the README.
type block struct {
	language string
	line     int // of the README
	text     string
}

// readmeBlocks returns the blocks of shell commands and of Python.
func readmeBlocks(text string) []block {
	var blocks []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence, line: i + 2}
		case isFence:
			if open.language == "sh" || open.language == "python" {
				blocks = append(blocks, *open)
			}
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return blocks
}

// remark is what is said about a command behind it.
var remark = regexp.MustCompile(`\s{2,}# .*`)

// commands returns the commands of a block of shell, each on one line.
func (b block) commands() []string {
	var list []string
	for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", "")) {
		if line = strings.TrimSpace(remark.ReplaceAllString(line, "")); line != "" {
			list = append(list, line)
		}
	}
	return list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
