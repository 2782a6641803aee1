// Package strictjson refuses, before anything is decoded, the JSON that two honest parsers could read differently.
//
// RFC 8259 leaves open what a repeated name means, and encoding/json takes the last one, matches names without regard
// to case, replaces bad UTF-8 silently and nests ten thousand deep. A caller that checks a message with [Check] first
// may decode it with anything and gets what every other reader gets. The invariant: what Check accepts,
// [encoding/json.Valid] accepts too, and decoding it loses nothing. It is not a decoder: it builds no values.
package strictjson

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// Bounds beyond the grammar's.
const (
	// MaxDepth is how many objects and arrays may be inside one another.
	MaxDepth = 32
	// MaxNumber is the longest number in bytes; the longest float64 needs 24.
	MaxNumber = 64
)

// The two kinds of error, for errors.Is.
var (
	// ErrSyntax means that the input is not one JSON text in UTF-8 (RFC 8259 §2, §8.1). What follows on the same stream
	// cannot be trusted.
	ErrSyntax = errors.New("not JSON")
	// ErrRefused means that the input is JSON by the grammar, but ambiguous or beyond a bound of this package.
	ErrRefused = errors.New("JSON that is refused")
)

// Error says why and where. It never quotes the input, which may be a secret.
type Error struct {
	Kind   error // ErrSyntax or ErrRefused
	Reason string
	Offset int // in bytes, of the place where it was noticed
}

func (e *Error) Error() string {
	return e.Kind.Error() + ": " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

func (e *Error) Unwrap() error { return e.Kind }

// Check reads b, which must hold exactly one JSON value with optional white space around it, and returns nil or an
// [*Error]. ErrSyntax wins over ErrRefused wherever the fault stands, but for nesting beyond [MaxDepth], which is
// refused without reading on. Objects of ordinary size cost no allocation. It is safe for concurrent use.
func Check(b []byte) error {
	if !utf8.Valid(b) {
		return &Error{ErrSyntax, "not UTF-8", badUTF8(b)}
	}
	s := scanner{b: b}
	if s.value(0) {
		if s.space(); s.i < len(b) {
			s.fail("something follows the value")
		}
	}
	switch {
	case s.syntax != "":
		return &Error{ErrSyntax, s.syntax, s.syntaxAt}
	case s.refused != "":
		return &Error{ErrRefused, s.refused, s.refusedAt}
	}
	return nil
}

func badUTF8(b []byte) (offset int) {
	for offset < len(b) {
		r, n := utf8.DecodeRune(b[offset:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		offset += n
	}
	return offset
}

// scanner reads valid UTF-8. Its methods return false when scanning must stop, and have then recorded the reason.
type scanner struct {
	b []byte
	i int

	syntax, refused     string // the first of each; "" means none
	syntaxAt, refusedAt int
}

// fail records a syntax error and returns false.
func (s *scanner) fail(reason string) bool {
	if s.syntax == "" {
		s.syntax, s.syntaxAt = reason, s.i
	}
	return false
}

// refuse records a fault that the grammar allows. Scanning goes on, so that a syntax error after it is found.
func (s *scanner) refuse(reason string) {
	if s.refused == "" {
		s.refused, s.refusedAt = reason, s.i
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next skips white space and takes one byte, or returns 0 at the end; a raw NUL is no token either.
func (s *scanner) next() byte {
	s.space()
	if s.i >= len(s.b) {
		return 0
	}
	c := s.b[s.i]
	s.i++
	return c
}

func (s *scanner) value(depth int) bool {
	switch c := s.next(); {
	case c == '"':
		return s.text()
	case c == '{' || c == '[':
		if depth == MaxDepth {
			s.refuse("nested too deep")
			return false
		}
		if c == '{' {
			return s.object(depth + 1)
		}
		return s.array(depth + 1)
	case c == '-' || c-'0' <= 9:
		s.i--
		return s.number()
	case c == 't':
		return s.literal("rue")
	case c == 'f':
		return s.literal("alse")
	case c == 'n':
		return s.literal("ull")
	}
	return s.fail("a value is missing")
}

func (s *scanner) literal(rest string) bool {
	if len(s.b)-s.i < len(rest) || string(s.b[s.i:s.i+len(rest)]) != rest {
		return s.fail("an unknown word")
	}
	s.i += len(rest)
	return true
}

func (s *scanner) array(depth int) bool {
	if s.space(); s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		return true
	}
	for s.value(depth) {
		switch s.next() {
		case ']':
			return true
		case ',':
		default:
			return s.fail("an array is not closed")
		}
	}
	return false
}

// number reads RFC 8259 §6.
func (s *scanner) number() bool {
	start := s.i
	if s.at('-') {
		s.i++
	}
	if s.at('0') {
		s.i++
	} else if !s.digits() {
		return s.fail("a number without digits")
	}
	if s.at('.') {
		if s.i++; !s.digits() {
			return s.fail("a number without digits")
		}
	}
	if s.at('e') || s.at('E') {
		if s.i++; s.at('+') || s.at('-') {
			s.i++
		}
		if !s.digits() {
			return s.fail("a number without digits")
		}
	}
	if s.i-start > MaxNumber {
		s.refuse("a number that is too long")
	}
	return true
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > start
}
