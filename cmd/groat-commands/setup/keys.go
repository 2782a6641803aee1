package setup

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// keys is the format of files with sections of KEY = VALUE lines (INI, TOML), for a key of a section that is there. The
// name of a setting is SECTION/KEY, and its value what stands behind the equals sign. A new key stands right behind the
// header of its section.
type keys struct{}

// Why a key cannot be set.
var (
	errOtherForm  = errors.New("the tool would not read what groat adds, since that is there in another form")
	errNoSection  = errors.New("what it is to be added to has no section of its own")
	errSeveral    = errors.New("a value goes over several lines")
	errTwoHeaders = errors.New("a section is there twice")
)

func (keys) set(content []byte, wanted []Setting) ([]byte, []Setting, error) {
	after, made := bytes.Clone(content), make([]Setting, 0, len(wanted))
	for _, s := range wanted {
		m := Setting{Name: s.Name, Value: s.Value}
		k, err := findKey(after, s.Name)
		switch {
		case err != nil:
			return nil, nil, err
		case !k.there:
			_, key := splitKey(s.Name)
			line := withLineEnds(content, key+" = "+s.Value+"\n")
			if k.from > 0 && after[k.from-1] != '\n' {
				line = withLineEnds(content, "\n") + line
			}
			after = slices.Concat(after[:k.from], []byte(line), after[k.from:])
		case string(after[k.from:k.to]) != s.Value:
			was := string(after[k.from:k.to])
			if strings.HasPrefix(was, "[") && !strings.Contains(was, "]") {
				return nil, nil, &Error{Reason: BadLine, Line: k.line, Err: errSeveral}
			}
			m.Was = &was
			after = slices.Concat(after[:k.from], []byte(s.Value), after[k.to:])
		}
		made = append(made, m)
	}
	return after, made, nil
}

func (keys) unset(content []byte, made []Setting) (after []byte, left []Setting, err error) {
	after = bytes.Clone(content)
	for _, s := range made {
		k, err := findKey(after, s.Name)
		switch {
		case err != nil || !k.there || string(after[k.from:k.to]) != s.Value:
			left = append(left, s)
		case s.Was != nil:
			after = slices.Concat(after[:k.from], []byte(*s.Was), after[k.to:])
		default:
			begin, end := bytes.LastIndexByte(after[:k.from], '\n')+1, len(after)
			if i := bytes.IndexByte(after[k.to:], '\n'); i >= 0 {
				end = k.to + i + 1
			}
			after = slices.Concat(after[:begin], after[end:])
		}
	}
	return after, left, nil
}

// foundKey is where the value of a key is, or where its line would begin; line is its number.
type foundKey struct {
	there          bool
	from, to, line int
}

// findKey finds SECTION/KEY in a content. The error is an [*Error].
func findKey(content []byte, name string) (k foundKey, err error) {
	section, key := splitKey(name)
	inside, seen, at, number := false, false, 0, 0
	for line := range strings.Lines(string(content)) {
		number++
		text := strings.TrimSpace(line)
		if header, ok := sectionName(text); ok {
			inside = header == section
			if inside && seen {
				return k, &Error{Reason: BadLine, Line: number, Err: errTwoHeaders}
			}
			if inside {
				seen, k = true, foundKey{from: at + len(line), to: at + len(line), line: number}
			}
		} else if before, value, ok := strings.Cut(line, "="); ok && inside && !k.there && unquoted(before) == key {
			from := at + len(line) - len(strings.TrimLeft(value, " \t"))
			k = foundKey{there: true, from: from, to: from + len(strings.TrimSpace(value)), line: number}
		}
		at += len(line)
	}
	if !seen {
		return k, &Error{Reason: BadLine, Err: errNoSection}
	}
	return k, nil
}

// splitKey splits SECTION/KEY. A section may have a slash in its name, and no key has.
func splitKey(name string) (section, key string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i], name[i+1:]
}

// sectionName returns the name in a header, without the quotation marks and blanks that TOML allows around its parts.
func sectionName(line string) (name string, ok bool) {
	inner, ok := strings.CutPrefix(line, "[")
	inner, _, closed := strings.Cut(inner, "]")
	if !ok || !closed || strings.HasPrefix(inner, "[") {
		return "", false
	}
	parts := strings.Split(inner, ".")
	for i, part := range parts {
		parts[i] = unquoted(part)
	}
	return strings.Join(parts, "."), true
}

// unquoted is a name as it is meant.
func unquoted(name string) string {
	return strings.Trim(strings.TrimSpace(name), `"'`)
}
