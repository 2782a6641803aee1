package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// maxShown bounds one piece of foreign text on a terminal, in runes.
const maxShown = 600

// clean makes foreign text one line that a terminal shows and does not obey: control characters, line separators,
// bidirectional overrides and invisible characters are gone, and it ends somewhere.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxShown {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n', r == '\r', r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ReplacementChar)
		}
	}
	return strings.TrimSpace(b.String())
}

// complain prints an error's two lines, or nothing where it has no sentence.
func (a *app) complain(f *failure) {
	if f.msg == "" {
		return
	}
	fmt.Fprintf(a.stderr, "groat: error: %s\n", clean(f.msg))
	if f.hint != "" {
		fmt.Fprintf(a.stderr, "groat: hint: %s\n", clean(f.hint))
	}
}

// remark prints an error as one line, for callers that show our stderr among their own.
func (a *app) remark(f *failure) {
	switch {
	case f.msg == "":
	case f.hint == "":
		fmt.Fprintf(a.stderr, "groat: %s\n", clean(f.msg))
	default:
		fmt.Fprintf(a.stderr, "groat: %s (%s)\n", clean(f.msg), clean(f.hint))
	}
}

// say prints our own lines to the person.
func (a *app) say(text string) { fmt.Fprint(a.stderr, text) }

// table aligns rows of foreign text. A row of one cell is a remark and may be longer than its column.
func table(header []string, rows [][]string) []byte {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.StripEscape)
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			if i > 0 {
				w.Write([]byte{'\t'})
			}
			fmt.Fprint(w, orDash(clean(cell)))
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

// span words a whole number of seconds as a person reads it: 42s, 13m59s, 5h0m, 3d4h.
func span(seconds int64) string {
	d := time.Duration(min(max(seconds, 0), int64(100*365*24*time.Hour/time.Second))) * time.Second
	switch {
	case d < time.Hour:
		return d.String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
