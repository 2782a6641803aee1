package strictjson

import (
	"bytes"
	"iter"
)

// Members yields the members of a JSON object that [Check] has passed: each name, unescaped, and the value as it stands
// in b. The slices are parts of b, but for a name that holds an escape. It yields nothing if b is not an object.
func Members(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(b, 0)
		if i == len(b) || b[i] != '{' {
			return
		}
		i = skipSpace(b, i+1)
		for b[i] != '}' {
			end := skipValue(b, i)
			name := b[i+1 : end-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				name, _ = AppendUnquoted(nil, b[i:end])
			}
			i = skipSpace(b, skipSpace(b, end)+1) // past the colon
			end = skipValue(b, i)
			if !yield(name, b[i:end]) {
				return
			}
			if i = skipSpace(b, end); b[i] == ',' {
				i = skipSpace(b, i+1)
			}
		}
	}
}

// Elements yields the elements of a JSON array that [Check] has passed, as they stand in b. It yields nothing if b is
// not an array.
func Elements(b []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(b, 0)
		if i == len(b) || b[i] != '[' {
			return
		}
		i = skipSpace(b, i+1)
		for b[i] != ']' {
			end := skipValue(b, i)
			if !yield(b[i:end]) {
				return
			}
			if i = skipSpace(b, end); b[i] == ',' {
				i = skipSpace(b, i+1)
			}
		}
	}
}

// IsObject reports whether b, which [Check] has passed, is a JSON object.
func IsObject(b []byte) bool {
	i := skipSpace(b, 0)
	return i < len(b) && b[i] == '{'
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index behind the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			i = skipString(b, i)
			if depth == 0 {
				return i + 1
			}
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // the end of the object around a bare literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return i
		}
	}
	return i
}

// skipString returns the index of the quote that ends the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i
}

// Text returns the text of a JSON value that [Check] has passed; ok is false if the value is not a string.
func Text(raw []byte) (text string, ok bool) {
	if raw[0] != '"' {
		return "", false
	}
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') >= 0 {
		unquoted, err := AppendUnquoted(nil, raw)
		return string(unquoted), err == nil
	}
	return string(inside), true
}

// AppendString appends s, which must be UTF-8, as a JSON string.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < 0x20 || b == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}
