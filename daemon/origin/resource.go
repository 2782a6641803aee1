package origin

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Resource returns what a person typed as an API's address in the long form: its origin, as [WithPort] writes it, and
// where there is one the path below which all belongs to the API (https://git.example.org:443/team). A path is kept as
// it is, without a slash at its end; one that two programs could read as different paths is refused, and so are a query
// and a fragment. The error quotes raw.
func Resource(raw string) (string, error) {
	o, err := WithPort(raw)
	if err != nil {
		return "", err
	}
	path := pathOf(raw)
	switch {
	case strings.ContainsAny(raw, "?#"):
		return "", fmt.Errorf("%q has a query or a fragment, which says nothing about where an API is", raw)
	case path == "" || path == "/":
		return o, nil
	case strings.ContainsFunc(path, notInPrefix):
		return "", fmt.Errorf("%q has a path with other characters than A-Z a-z 0-9 and /-._~!$&'()*+,=:@", raw)
	case !plainPath(path):
		return "", fmt.Errorf("%q has a path with //, . or .., which programs read in more than one way", raw)
	}
	return o + strings.TrimSuffix(path, "/"), nil
}

// notInPrefix reports what is no pchar (RFC 3986 §3.3), or stands for something else in a path: an escape, and the
// semicolon, behind which some servers look for parameters.
func notInPrefix(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("/-._~!$&'()*+,=:@", r)
}

// Target is where a request goes: what decides which profile's token it may be sent. The zero Target is no request's.
type Target struct {
	// Origin is as [WithPort] writes it.
	Origin string
	// Path is the URL's path as it was given, without the query; it may be empty.
	Path string
}

// ParseTarget returns where a request for a URL goes. The error is [WithPort]'s.
func ParseTarget(raw string) (Target, error) {
	o, err := WithPort(raw)
	if err != nil {
		return Target{}, err
	}
	return Target{Origin: o, Path: pathOf(raw)}, nil
}

// String returns the URL in the short form.
func (t Target) String() string { return WithoutPort(t.Origin) + t.Path }

// WholeOrigin reports whether the target has no path that could tell one part of its origin from another.
func (t Target) WholeOrigin() bool { return t.Path == "" || t.Path == "/" }

// Under reports whether a resource, in the long form, is the target's origin, or is this origin with the first segments
// of the target's path: exactly, byte by byte, and up to the end of a segment. Nothing is normalized: a path that two
// programs could read as different paths is under an origin only.
func (t Target) Under(resource string) bool {
	prefix, ok := strings.CutPrefix(resource, t.Origin)
	switch {
	case !ok:
		return false
	case prefix == "":
		return true
	case prefix[0] != '/': // of another port
		return false
	}
	rest, ok := strings.CutPrefix(t.Path, prefix)
	return ok && (rest == "" || rest[0] == '/') && plainPath(t.Path)
}

// Longest returns the longest of the resources that the target is under, or "". All are in the long form.
func (t Target) Longest(resources []string) string {
	longest := ""
	for _, r := range resources {
		if len(r) > len(longest) && t.Under(r) {
			longest = r
		}
	}
	return longest
}

// Covers reports whether all that is under one resource is under another one, both in the long form.
func Covers(resource, other string) bool {
	rest, ok := strings.CutPrefix(other, resource)
	return ok && (rest == "" || rest[0] == '/')
}

// OfResource returns the origin of a resource in the long form.
func OfResource(resource string) string { return resource[:endOfOrigin(resource)] }

// endOfOrigin returns the length of scheme and authority of a URL that has both.
func endOfOrigin(raw string) int {
	begin := strings.Index(raw, "://") + len("://")
	if n := strings.IndexAny(raw[begin:], "/?#"); n >= 0 {
		return begin + n
	}
	return len(raw)
}

// pathOf returns the path of a URL that [WithPort] accepts, as it stands there.
func pathOf(raw string) string {
	path := raw[endOfOrigin(raw):]
	if n := strings.IndexAny(path, "?#"); n >= 0 {
		path = path[:n]
	}
	return path
}

// plainPath reports whether every program reads a path as the same segments: none is empty but the last, none is dots
// (RFC 3986 §5.2.4) before or behind which something stands that programs cut off: blanks, and what follows one of
// ";?#:,". No character is one that no path has (RFC 3986 §3.3) and from which curl makes several URLs, "{.,x}./"
// (curl(1), URL). No escape stands for a character that would make it one, and no character that is not ASCII may
// become one where a program maps it to its nearest relative ([Unicode TR 15], NFKC: U+FF0E is a full-width dot).
//
// [Unicode TR 15]: https://www.unicode.org/reports/tr15/
func plainPath(path string) bool {
	plain, ok := unescaped(path)
	if !ok || strings.ContainsAny(path, "{}[]") {
		return false
	}
	segments := strings.TrimPrefix(plain, "/")
	for more := segments != ""; more; {
		var segment string
		segment, segments, more = strings.Cut(segments, "/")
		if segment == "" && !more { // behind the last slash
			break
		}
		if i := strings.IndexAny(segment, ";?#:,"); i >= 0 {
			segment = segment[:i]
		}
		if strings.Trim(segment, ". ") == "" {
			return false
		}
	}
	return true
}

// unescaped returns a path without its escapes; ok is false where one of them, or a character, makes the path's
// segments doubtful.
func unescaped(path string) (plain string, ok bool) {
	if !strings.ContainsFunc(path, func(r rune) bool { return r == '%' || r >= utf8.RuneSelf }) {
		return path, true
	}
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b = append(b, path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", false
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		c := hi<<4 | lo
		if hi > 15 || lo > 15 || c < ' ' || c == 0x7f || strings.IndexByte(`/\.%;`, c) >= 0 {
			return "", false
		}
		b = append(b, c)
		i += 2
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf && !ofWords(r) }) {
		return "", false // an overlong form of a dot is not valid (RFC 3629 §3)
	}
	return string(b), true
}

// ofWords reports whether a character is a letter, a mark, a digit, a dash, a quotation mark or a sign of a currency:
// none of them is a dot, a slash or the like to any program.
func ofWords(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Pd, unicode.Pi, unicode.Pf, unicode.Sc)
}

// unhex returns what a hexadecimal digit stands for, and more than 15 for any other byte.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
