package strictjson

import (
	"unicode"
	"unicode/utf8"
)

// key is the name of a member: where it stands, and a hash of its folded form. Equal names have equal hashes; names
// with equal hashes are compared.
type key struct {
	hash       uint64
	start, end int // between the quotes
}

// manyKeys is how many names an object must have for them to go into a map. With fewer, comparing each with each is
// faster and allocates nothing.
const manyKeys = 16

func (s *scanner) object(depth int) bool {
	if s.space(); s.at('}') {
		s.i++
		return true
	}
	var few [manyKeys]key
	keys := few[:0]
	var many map[string]struct{} // folded names, once there are many
	for {
		if s.next() != '"' {
			return s.fail("a member's name is missing")
		}
		k, ok := s.name()
		if !ok {
			return false
		}
		if len(keys) < manyKeys {
			s.compare(keys, k)
			keys = append(keys, k)
		} else {
			if many == nil {
				many = make(map[string]struct{})
				for _, k := range keys {
					many[string(s.fold(k))] = struct{}{}
				}
			}
			s.remember(many, k)
		}
		if s.next() != ':' {
			return s.fail("a colon is missing")
		}
		if !s.value(depth) {
			return false
		}
		switch s.next() {
		case ',':
		case '}':
			return true
		default:
			return s.fail("an object is not closed")
		}
	}
}

const sameName = "two members of one object have the same name, or names that differ only in case"

func (s *scanner) compare(keys []key, k key) {
	for _, o := range keys {
		if o.hash == k.hash && string(s.fold(o)) == string(s.fold(k)) {
			s.refuse(sameName)
		}
	}
}

func (s *scanner) remember(many map[string]struct{}, k key) {
	folded := s.fold(k)
	if _, twice := many[string(folded)]; twice {
		s.refuse(sameName)
	}
	many[string(folded)] = struct{}{}
}

// name reads a member's name, after the opening quote.
func (s *scanner) name() (key, bool) {
	k := key{hash: hashSeed, start: s.i}
	for i, c := range s.b[s.i:] {
		switch {
		case c == '"':
			s.i += i + 1
			k.end = s.i - 1
			return k, true
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			return s.rareName(k)
		}
		k.hash = hash(k.hash, upper(c))
	}
	return k, s.fail("a string is not closed")
}

// rareName reads a name that holds escapes or something else than ASCII.
func (s *scanner) rareName(k key) (key, bool) {
	if !s.text() {
		return k, false
	}
	k.end = s.i - 1
	k.hash = hashSeed
	for _, c := range s.fold(k) {
		k.hash = hash(k.hash, c)
	}
	return k, true
}

// FNV-1a, which is enough: collisions, however many, cost manyKeys² comparisons at most.
const hashSeed = 14695981039346656037

func hash(h uint64, c byte) uint64 { return (h ^ uint64(c)) * 1099511628211 }

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// fold returns the unescaped name in the form in which encoding/json compares names: each rune replaced by the smallest
// that simple case folding makes equal (the Kelvin sign is a k).
func (s *scanner) fold(k key) []byte {
	raw := s.b[k.start:k.end]
	name, _ := appendUnescaped(make([]byte, 0, len(raw)), raw) // a lone surrogate is refused elsewhere
	folded := make([]byte, 0, len(name))
	for len(name) > 0 {
		if c := name[0]; c < utf8.RuneSelf {
			folded, name = append(folded, upper(c)), name[1:]
			continue
		}
		r, n := utf8.DecodeRune(name)
		folded, name = utf8.AppendRune(folded, smallest(r)), name[n:]
	}
	return folded
}

func smallest(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
