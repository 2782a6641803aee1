package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/groat-dev/groat/protocol/visible"
)

// maxShown bounds one piece of foreign text on a terminal, in runes.
const maxShown = 600

// clean makes foreign text one line that a terminal shows and does not obey, and that ends somewhere.
func clean(s string) string { return visible.Line(s, maxShown) }

// sentence is clean for a sentence that may be foreign in part: nothing of it can be taken for another line of groat's
// own.
func sentence(s string) string { return visible.Text(s) }

// nameOf is for one foreign name within a sentence: an odd one is quoted.
func nameOf(s string) string {
	if s == "" {
		return ""
	}
	return visible.Name(s)
}

// printNote prints text on stderr.
func (a *app) printNote(text string) { fmt.Fprint(a.stderr, text) }

// table aligns rows of foreign text. A row of one cell is a note and may be longer than its column.
func table(header []string, rows [][]string) []byte {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.StripEscape)
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			if i > 0 {
				w.Write([]byte{'\t'})
			}
			fmt.Fprint(w, orDash(sentence(cell)))
		}
		w.Write([]byte{'\n'})
	}
	w.Flush()
	return []byte(b.String())
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
