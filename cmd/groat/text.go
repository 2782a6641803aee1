package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

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

// printFailure prints an error's two lines, or nothing if it has no sentence.
func (a *app) printFailure(f *failure) {
	if f.msg == "" {
		return
	}
	fmt.Fprintf(a.stderr, "groat: error: %s\n", sentence(f.msg))
	if f.hint != "" {
		fmt.Fprintf(a.stderr, "groat: hint: %s\n", sentence(f.hint))
	}
}

// printFailureLine prints an error as one line, for a program that shows groat's stderr among its own lines.
func (a *app) printFailureLine(f *failure) {
	switch {
	case f.msg == "":
	case f.hint == "":
		fmt.Fprintf(a.stderr, "groat: %s\n", sentence(f.msg))
	default:
		fmt.Fprintf(a.stderr, "groat: %s (%s)\n", sentence(f.msg), sentence(f.hint))
	}
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

// durationWords writes a whole number of seconds as a person reads it: 42s, 13m59s, 5h0m, 3d4h.
func durationWords(seconds int64) string {
	d := time.Duration(min(max(seconds, 0), int64(100*365*24*time.Hour/time.Second))) * time.Second
	switch {
	case d < time.Hour:
		return d.String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
