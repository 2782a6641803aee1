package setup

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// members is the format of JSON files of which an object in the top object is set, as in {"credHelpers": {…}}. The
// name of a setting is OBJECT/NAME, and its value JSON. What is added looks like what stands beside it.
type members struct{}

// member is one member of an object, by the places of its parts in the content.
type member struct {
	name                      string
	start, colon, value, next int // of the name, behind the name, of the value, behind the value
}

func (members) set(content []byte, wanted []Setting) ([]byte, []Setting, error) {
	after, made := bytes.Clone(content), make([]Setting, 0, len(wanted))
	if len(bytes.TrimSpace(after)) == 0 && len(wanted) > 0 {
		after = []byte("{\n}\n")
	}
	for _, s := range wanted {
		object, name, _ := strings.Cut(s.Name, "/")
		top, open, err := objectOf(after, "")
		if err != nil {
			return nil, nil, err
		}
		m := Setting{Name: s.Name, Value: s.Value}
		outer, indent := findMember(top, object), "\n\t"
		if len(top) > 0 {
			indent = top[len(top)-1].indent(after)
		}
		if outer == nil {
			value := "{" + deeper(indent) + quote(name) + colon(after, top) + s.Value + indent + "}"
			after, made = insert(after, top, open, object, value, indent, "\n"), append(made, m)
			continue
		}
		inner, open, err := objectOf(after, object)
		if err != nil {
			return nil, nil, err
		}
		if old := findMember(inner, name); old == nil {
			indent = outer.indent(after)
			after = insert(after, inner, open, name, s.Value, deeper(indent), indent)
		} else if was := string(after[old.value:old.next]); was != s.Value {
			m.Was = &was
			after = splice(after, old.value, old.next, s.Value)
		}
		made = append(made, m)
	}
	return after, made, nil
}

func (members) unset(content []byte, made []Setting) (after []byte, left []Setting, err error) {
	after = bytes.Clone(content)
	for _, s := range made {
		object, name, _ := strings.Cut(s.Name, "/")
		inner, _, err := objectOf(after, object)
		if err != nil && len(bytes.TrimSpace(after)) > 0 {
			return nil, nil, err
		}
		m := findMember(inner, name)
		switch {
		case m == nil || !equalJSON(after[m.value:m.next], s.Value):
			left = append(left, s)
		case s.Was != nil:
			after = splice(after, m.value, m.next, *s.Was)
		case len(inner) > 1:
			after = remove(after, inner, m)
		default:
			top, _, err := objectOf(after, "")
			if err != nil {
				return nil, nil, err
			}
			after = remove(after, top, findMember(top, object))
		}
	}
	return after, left, nil
}

// objectOf returns the members of the top object, or of one in it, and the place behind its brace. An object that is
// not there has none.
func objectOf(content []byte, name string) (all []member, open int, err error) {
	if all, open, err = listMembers(content, 0); err != nil || name == "" {
		return all, open, err
	}
	m := findMember(all, name)
	if m == nil {
		return nil, 0, nil
	}
	all, open, err = listMembers(content[:m.next], m.value)
	if err != nil {
		err = &Error{Reason: BadLine, Line: lineAt(content, m.value), Err: errors.New(quote(name) + " is no object")}
	}
	return all, open, err
}

var errNoObject = errors.New("it is no JSON object")

// listMembers returns the members of an object that is all of a content from a place on.
func listMembers(content []byte, from int) (all []member, open int, err error) {
	fail := func(at int, err error) ([]member, int, error) {
		return nil, 0, &Error{Reason: BadLine, Line: lineAt(content, at), Err: err}
	}
	if !json.Valid(content[from:]) {
		err := json.Unmarshal(content[from:], new(any))
		at := len(content)
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = from + int(e.Offset)
		}
		return fail(at, err)
	}
	d := json.NewDecoder(bytes.NewReader(content[from:]))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fail(from, errNoObject)
	}
	open = from + int(d.InputOffset())
	for at := open; d.More(); {
		token, err := d.Token()
		if err != nil {
			return fail(at, err)
		}
		name, _ := token.(string)
		m := member{name: name, colon: from + int(d.InputOffset())}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fail(m.colon, err)
		}
		m.start = at + bytes.IndexByte(content[at:], '"')
		m.next = from + int(d.InputOffset())
		m.value = m.next - len(value)
		all, at = append(all, m), m.next
	}
	return all, open, nil
}

// findMember returns the last member of a name, which is the one that counts, or nil.
func findMember(all []member, name string) *member {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// indent is the white space before a member.
func (m *member) indent(content []byte) string {
	return string(content[len(bytes.TrimRight(content[:m.start], " \t\r\n")):m.start])
}

// insert adds a member behind the last one of an object, or as the only one, with white space before it and behind it.
func insert(content []byte, all []member, open int, name, value, indent, closing string) []byte {
	if len(all) > 0 {
		last := all[len(all)-1]
		text := "," + last.indent(content) + quote(name) + colon(content, all) + value
		return splice(content, last.next, last.next, text)
	}
	return splice(content, open, blankEnd(content, open), indent+quote(name)+": "+value+closing)
}

// blankEnd is where white space that begins at a place ends.
func blankEnd(content []byte, at int) int {
	return len(content) - len(bytes.TrimLeft(content[at:], " \t\r\n"))
}

// colon is what stands between name and value in the last member.
func colon(content []byte, all []member) string {
	if len(all) == 0 {
		return ": "
	}
	last := all[len(all)-1]
	return string(content[last.colon:last.value])
}

// deeper is the indentation of one level more than that of the top object's members.
func deeper(indent string) string {
	i := strings.LastIndexByte(indent, '\n')
	if i < 0 {
		return indent
	}
	return indent + indent[i+1:]
}

// remove takes a member away, with the comma that is too much then.
func remove(content []byte, all []member, m *member) []byte {
	for i := range all {
		switch {
		case all[i] != *m:
		case i > 0:
			return splice(content, all[i-1].next, m.next, "")
		case len(all) > 1:
			return splice(content, m.start, all[1].start, "")
		default:
			return splice(content, m.start-len(m.indent(content)), blankEnd(content, m.next), "")
		}
	}
	return content
}

func splice(content []byte, from, to int, text string) []byte {
	return append(append(bytes.Clone(content[:from]), text...), content[to:]...)
}

func quote(name string) string {
	b, _ := json.Marshal(name)
	return string(b)
}

func equalJSON(a []byte, b string) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, []byte(b)) == nil && x.String() == y.String()
}

func lineAt(content []byte, at int) int {
	return 1 + bytes.Count(content[:min(max(at, 0), len(content))], []byte("\n"))
}
