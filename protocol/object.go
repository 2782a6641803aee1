package protocol

import (
	"bytes"
	"iter"
	"strings"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// members yields the members of an object that [strictjson.Check] has passed: the unescaped name and the raw value. Where b is
// no object there are none.
func members(b []byte) iter.Seq2[[]byte, []byte] {
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
				name, _ = strictjson.AppendUnquoted(nil, b[i:end])
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

func isObject(b []byte) bool {
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

// variantOf returns the name among known that name is but for case, or "" where it is one of them or none.
// encoding/json would take such a member for the known one, and other readers would not.
func variantOf(name []byte, known []string) string {
	variant := ""
	for _, k := range known {
		if string(name) == k {
			return ""
		}
		if len(name) >= len(k) && strings.EqualFold(string(name), k) {
			variant = k
		}
	}
	return variant
}

func misspelled(name string) *Error { return invalidRequest("the member " + name + " is misspelled") }

// text returns what a raw JSON string says, and false where raw is no string.
func text(raw []byte) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') >= 0 {
		unquoted, err := strictjson.AppendUnquoted(nil, raw)
		return string(unquoted), err == nil
	}
	return string(inside), true
}
