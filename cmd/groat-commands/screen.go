package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is what text is laid out for. The zero screen is a file or a pipe: its lines are as long as what they say, so
// that programs find it again.
type screen struct {
	width  int  // of a terminal, in columns; 0 is no terminal
	utf8   bool // the terminal shows UTF-8
	styled bool // the terminal shows colours and bold letters
}

const (
	usualWidth = 80
	leastWidth = 20 // what is narrower is laid out for this, and broken by the terminal
)

// screen describes stdout.
func (a *app) screen() screen {
	out, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return screen{}
	}
	s := screen{width: usualWidth, utf8: a.utf8()}
	if columns, _, err := term.GetSize(int(out.Fd())); err == nil && columns > 0 {
		s.width = max(columns, leastWidth)
	}
	// https://no-color.org: the variable counts where it is there and not empty. A terminal without a name is none that
	// is known to have colours.
	s.styled = a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "" && a.getenv("TERM") != "dumb"
	return s
}

// Styles are ECMA-48's SGR parameters (section 8.3.117). Blue and yellow are told apart with any kind of colour
// blindness, and no style says what a word does not.
const (
	plain     = ""
	bold      = "1"
	attention = "1;33"
	blue      = "34"
)

// piece is a part of a line that is not broken.
type piece struct{ text, style string }

// words are the pieces between which a text may be broken.
func (s screen) words(text string) (all []piece) {
	if s.width == 0 {
		return []piece{{text: text}}
	}
	for _, w := range strings.Fields(text) {
		all = append(all, piece{text: w})
	}
	return all
}

func (s screen) paint(p piece) string {
	if !s.styled || p.style == plain {
		return p.text
	}
	return "\x1b[" + p.style + "m" + p.text + "\x1b[0m"
}

// flow writes pieces with a blank between two, and breaks a line before one that does not fit. The text begins in
// column at, and goes on in column indent of further lines. A piece that is longer than a line stays whole.
func (s screen) flow(b *bytes.Buffer, at, indent int, pieces []piece) {
	blanks := 0 // before the next piece
	for _, p := range pieces {
		width := columns(p.text)
		if s.width > 0 && at > indent && at+blanks+width > s.width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at, blanks = indent, 0
		}
		text := strings.TrimRight(p.text, " ") // what aligns the next piece is not written where there is none
		b.WriteString(strings.Repeat(" ", blanks) + s.paint(piece{text, p.style}))
		at += blanks + columns(text)
		blanks = 1 + columns(p.text) - columns(text)
	}
	b.WriteByte('\n')
}

// narrow reports whether a terminal has no room for columns.
func (s screen) narrow() bool { return s.width > 0 && s.width < 60 }

// shorten takes something out of the middle of a name that is longer than a number of columns of a terminal.
func (s screen) shorten(name string, most int) string {
	if s.width == 0 || columns(name) <= most {
		return name
	}
	mark := "..."
	if s.utf8 {
		mark = "…"
	}
	begin, end := []rune(name), []rune(name)
	for len(begin)+len(end) > 2 && columns(string(begin))+columns(mark)+columns(string(end)) > most {
		if len(begin) > len(end) {
			begin = begin[:len(begin)-1]
		} else {
			end = end[1:]
		}
	}
	return string(begin) + mark + string(end)
}

// columns is how many columns of a terminal a text fills: a letter of the scripts of East Asia fills two, a mark on
// another letter none (UAX #11).
func columns(text string) (n int) {
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			n++
		case unicode.Is(unicode.M, r):
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul),
			r >= 0xff01 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff: // wide forms, pictures
			n += 2
		default:
			n++
		}
	}
	return n
}

// padded is a text with blanks behind it up to a number of columns.
func padded(text string, to int) string { return text + strings.Repeat(" ", max(to-columns(text), 0)) }

// leastLast is how many columns the last column of a table needs, so that its words are broken there.
const leastLast = 20

// table aligns rows of foreign text, none of which is a note. Where a terminal has too little room, the words of the
// last column are broken, and where that does not help, each row becomes a paragraph of its own.
func (s screen) table(header []string, rows [][]string) []byte {
	shown, widths := make([][]string, len(rows)), make([]int, len(header))
	for i, row := range append([][]string{header}, rows...) {
		cells := make([]string, len(row))
		for j, cell := range row {
			cells[j] = orDash(sentence(cell))
			widths[j] = max(widths[j], columns(cells[j]))
		}
		if i > 0 {
			shown[i-1] = cells
		}
	}
	last := len(header) - 1
	before := 0
	for _, w := range widths[:last] {
		before += w + 2
	}
	if fits := before+min(widths[last], leastLast) <= s.width; s.width > 0 && !fits {
		return s.paragraphs(header, shown)
	}
	var b bytes.Buffer
	for _, row := range slices.Concat([][]string{header}, shown) {
		for j, cell := range row[:last] {
			b.WriteString(padded(cell, widths[j]+2))
		}
		s.flow(&b, before, before, s.words(row[last]))
	}
	return b.Bytes()
}

// paragraphs are the rows of a table with a line for each cell that says something, below the first.
func (s screen) paragraphs(header []string, rows [][]string) []byte {
	var b bytes.Buffer
	names := 0
	for _, h := range header[1:] {
		names = max(names, columns(h))
	}
	for _, row := range rows {
		b.WriteString(row[0] + "\n")
		for j, cell := range row[1:] {
			if cell == "-" {
				continue
			}
			b.WriteString("  " + padded(strings.ToLower(header[j+1]), names+2))
			s.flow(&b, names+4, names+4, s.words(cell))
		}
	}
	return b.Bytes()
}
