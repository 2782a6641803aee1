package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
)

var (
	heading = regexp.MustCompile(`^(#+) (.*)$`)
	link    = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	divider = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// made says of a page how it came to be, which is nothing for the manual.
var made = regexp.MustCompile(`(?m)^This page is made from .*\n\n`)

// fromFile returns what follows the title of a page, with each heading up levels higher. Below "##" are man's
// subsections.
func fromFile(path string, up int) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		_, body, _ := strings.Cut(made.ReplaceAllString(string(text), ""), "\n")
		var b strings.Builder
		for line := range fences(body) {
			if m := heading.FindStringSubmatch(line.text); m != nil && !line.code {
				line.text = strings.Repeat("#", len(m[1])-up) + " " + m[2]
			}
			b.WriteString(line.text + "\n")
		}
		return b.String(), nil
	}
}

// line is one of a page. Code is within a fence, or is one.
type line struct {
	text string
	code bool
}

// fences goes through the lines of a page.
func fences(text string) func(yield func(line) bool) {
	return func(yield func(line) bool) {
		inside := false
		for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			fence := strings.HasPrefix(l, "```")
			if !yield(line{l, inside || fence}) {
				return
			}
			inside = inside != fence
		}
	}
}

// plain makes of a page what a terminal can show: a link is its text, and a table a list, since its columns would be
// too narrow in the 80 of a terminal. The last cell of a row says what the others mean.
func plain(text string) string {
	var b strings.Builder
	rows := 0 // of a table, with its head
	for l := range fences(text) {
		if l.code {
			// What stands behind a fence is for tests.
			if strings.HasPrefix(l.text, "```") {
				l.text = "```"
			}
			b.WriteString(l.text + "\n")
			continue
		}
		l.text = link.ReplaceAllString(l.text, "$1")
		if !strings.HasPrefix(l.text, "|") {
			rows = 0
			b.WriteString(l.text + "\n")
			continue
		}
		if rows++; rows > 1 && !divider.MatchString(l.text) {
			b.WriteString(terms(l.text))
		}
	}
	return b.String()
}

// terms renders a row of a table as a term and what it means.
func terms(row string) string {
	var cells []string
	const bar = "\x00" // of a cell: \|
	row = strings.ReplaceAll(strings.Trim(row, "|"), `\|`, bar)
	for cell := range strings.SplitSeq(row, "|") {
		cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), bar, "|"))
	}
	last := len(cells) - 1
	term := slices.DeleteFunc(cells[:last:last], func(c string) bool { return c == "" })
	if cells[last] == "" {
		cells[last] = "-" // Markdown knows no term without a meaning
	}
	return strings.Join(term, ", ") + "\n: " + cells[last] + "\n\n"
}
