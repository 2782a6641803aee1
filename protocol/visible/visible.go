// Package visible makes foreign text safe to show: on a terminal, in a log, in a service manager's status line.
//
// Foreign is whatever this program did not write itself: a server's words, file names and link targets, environment
// values, names from files. The invariants: the result is one line; it holds no control, bidirectional or invisible
// character; and what [Quote] returns cannot be taken for a line of groat's own. The package redacts no secrets.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Rune reports whether r can be seen and does not control the terminal. The only space that it accepts is U+0020.
func Rune(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= ' ' && r <= '~'
	case r == utf8.RuneError, r == blankBraille:
		return false
	}
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// blankBraille is a symbol without ink.
const blankBraille = '\u2800'

// maxMarks is how many combining marks may stand on one character. Scripts need three; more of them would cover other
// lines.
const maxMarks = 4

// Line returns s as one line of at most limit runes: line ends and tabs become spaces, other characters that [Rune]
// refuses become U+FFFD, space at both ends is removed. A longer text is cut and ends with "…".
func Line(s string, limit int) string {
	var b strings.Builder
	n, marks := 0, 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case Rune(r) && marks <= maxMarks:
			b.WriteRune(r)
		default:
			b.WriteRune(unicode.ReplacementChar)
		}
	}
	return strings.TrimSpace(b.String())
}

// maxQuoted bounds what the functions below show, in runes.
const maxQuoted = 600

// Quote returns s in quotation marks that it cannot close, as one [Line]. The colon is taken from every "groat:",
// "groatd:" and "hint:" in it: a terminal may break a long line just before such a word.
func Quote(s string) string {
	s = strings.ReplaceAll(Line(s, maxQuoted), `"`, "'")
	return `"` + WithoutPrefixes(s) + `"`
}

// prefixes begin groat's own lines.
var prefixes = []string{"groat", "groatd", "hint"}

// colons are the characters that look like one (UTS #39, confusables.txt, and the wide forms).
const colons = ":\u02d0\u02f8\u0589\u05c3\u0703\u0704\u0903\u0a83\u1361\u16ec\u1803\u1809\u205a\u2236" +
	"\ua4fd\ua789\ufe13\ufe30\ufe55\uff1a"

// WithoutPrefixes returns s without the colon of every "groat:", "groatd:" and "hint:" in it, and nothing else changed.
// A word that may look like one of these counts as one: it has a letter that is not ASCII's, and is as long.
func WithoutPrefixes(s string) string {
	var b strings.Builder
	for {
		colon := strings.IndexAny(s, colons)
		if colon < 0 {
			return b.String() + s
		}
		_, n := utf8.DecodeRuneInString(s[colon:])
		before := strings.TrimRight(s[:colon], " ")
		own := lookAlike(before)
		for _, p := range prefixes { // at the end of a longer word too: an escape such as \n may stand before it
			own = own || len(before) >= len(p) && strings.EqualFold(before[len(before)-len(p):], p)
		}
		b.WriteString(s[:colon])
		if !own {
			b.WriteString(s[colon : colon+n])
		}
		s = s[colon+n:]
	}
}

// lookAlike reports whether the last word of s could be taken for one of the prefixes although it is none.
func lookAlike(s string) bool {
	const shortest, longest = len("hint"), len("groatd")
	letters, foreign := 0, false
	for letters < longest && s != "" {
		r, n := utf8.DecodeLastRuneInString(s)
		switch {
		case unicode.In(r, unicode.L, unicode.N, unicode.So):
			letters++
		case !unicode.Is(unicode.M, r):
			return letters >= shortest && foreign
		}
		foreign = foreign || r >= utf8.RuneSelf
		s = s[:len(s)-n]
	}
	return letters >= shortest && foreign
}

// Text returns s as one [Line], or as [Quote] does if a part of it could be taken for the beginning of a line of
// groat's own. It is for whole sentences, of which a part may be foreign.
func Text(s string) string {
	line := Line(s, maxQuoted)
	if WithoutPrefixes(line) != line {
		return Quote(s)
	}
	return line
}

// Name returns s as it is if it is one plain word, as file names, addresses and identifiers nearly always are, and
// else as [Quote] does. An empty s is quoted.
func Name(s string) string {
	for _, r := range s {
		if r != '/' && r != '.' && r != ':' && r != '@' && r != '-' && !plain(r) {
			return Quote(s)
		}
	}
	if s == "" || len(s) > maxQuoted || WithoutPrefixes(s) != s {
		return Quote(s)
	}
	return s
}

func plain(r rune) bool {
	return Rune(r) && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_+=~%,#?&*[]()", r))
}

// Word returns s as one word of a command line for sh, quoted if that is needed. What [Rune] refuses is written as
// an escape of $'…', which bash, zsh and POSIX 2024 know.
func Word(s string) string {
	safe, seen := s != "", true
	for _, r := range s {
		safe = safe && r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) ||
			strings.ContainsRune("/._-+=:@%,", r))
		seen = seen && Rune(r)
	}
	switch {
	case safe && WithoutPrefixes(s) == s:
		return s
	case seen && WithoutPrefixes(s) == s:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for i, r := range s {
		switch _, n := utf8.DecodeRuneInString(s[i:]); {
		case !Rune(r) || r == ':':
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		case r == '\'' || r == '\\':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	return "$'" + b.String() + "'"
}

// JSON returns a JSON text in which everything that [Rune] refuses is written as an escape. The meaning of the text
// stays the same; bytes that are not UTF-8 become U+FFFD.
func JSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r < 0x7f || Rune(r) {
			out = append(out, text[:n]...)
		} else if r <= 0xffff {
			out = appendEscape(out, r)
		} else {
			r -= 0x10000
			out = appendEscape(out, 0xd800+r>>10)
			out = appendEscape(out, 0xdc00+r&0x3ff)
		}
		text = text[n:]
	}
	return out
}

func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
