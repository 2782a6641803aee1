package strictjson

import (
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

const loneSurrogate = "half of a surrogate pair"

// text reads a string after its opening quote, to the closing one.
func (s *scanner) text() bool {
	for i := s.i; i < len(s.b); i++ {
		c := s.b[i]
		if c != '"' && c != '\\' && c >= ' ' {
			continue
		}
		s.i = i + 1
		switch {
		case c == '"':
			return true
		case c < ' ':
			return s.fail("a control character in a string")
		case !s.escape():
			return false
		}
		i = s.i - 1
	}
	s.i = len(s.b)
	return s.fail("a string is not closed")
}

// escape reads what follows a backslash.
func (s *scanner) escape() bool {
	r, n := unescape(s.b[s.i:])
	if n == 0 {
		return s.fail("an unknown escape")
	}
	s.i += n
	switch r {
	case 0:
		s.refuse("an escaped NUL")
	case utf8.RuneError:
		// Either half a pair, which is refused, or the escape of U+FFFD itself.
		if s.b[s.i-n] == 'u' && !isReplacement(s.b[s.i-n+1:s.i]) {
			s.refuse(loneSurrogate)
		}
	}
	return true
}

func isReplacement(hex []byte) bool { return hex4(hex) == utf8.RuneError }

// unescape decodes what follows a backslash and returns how many bytes it took: a surrogate pair is taken whole, half a
// pair is [utf8.RuneError], and 0 bytes means that it is no escape.
func unescape(b []byte) (r rune, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch b[0] {
	case '"', '\\', '/':
		return rune(b[0]), 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
		r = hex4(b[1:])
		switch {
		case r < 0:
			return 0, 0
		case !utf16.IsSurrogate(r):
			return r, 5
		}
		if len(b) >= 11 && b[5] == '\\' && b[6] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(b[7:])); pair != utf8.RuneError {
				return pair, 11
			}
		}
		return utf8.RuneError, 5
	}
	return 0, 0
}

// hex4 reads four hexadecimal digits, or returns -1.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c-'a' <= 5:
			c -= 'a' - 10
		case c-'A' <= 5:
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// AppendUnquoted appends what the JSON string raw (with its quotes) says to dst. It is for secrets: no Go string is
// made of them, and if dst has room for len(raw) more bytes nothing is copied that the caller could not wipe. The
// error is an [*Error]; dst is then returned as it was, though the room behind it may have been written to. Unlike
// [Check] it accepts an escaped NUL.
func AppendUnquoted(dst, raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return dst, &Error{ErrSyntax, "not a string", 0}
	}
	if !utf8.Valid(raw) {
		return dst, &Error{ErrSyntax, "not UTF-8", badUTF8(raw)}
	}
	s := scanner{b: raw, i: 1}
	if !s.text() || s.i != len(raw) {
		s.fail("something follows the string")
		return dst, &Error{ErrSyntax, s.syntax, s.syntaxAt}
	}
	out, whole := appendUnescaped(slices.Grow(dst, len(raw)), raw[1:len(raw)-1])
	if !whole {
		return dst, &Error{ErrRefused, loneSurrogate, 0}
	}
	return out, nil
}

// appendUnescaped decodes what stands between the quotes, whose grammar was checked; whole is false if half a surrogate
// pair was replaced by U+FFFD. The result is never longer than raw.
func appendUnescaped(dst, raw []byte) (out []byte, whole bool) {
	whole = true
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		r, n := unescape(raw[i+1:])
		if r == utf8.RuneError && !isReplacement(raw[i+2:i+1+n]) {
			whole = false
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst, whole
}
