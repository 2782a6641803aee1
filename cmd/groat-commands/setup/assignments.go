package setup

import (
	"bytes"
	"slices"
	"strings"
)

// assignments is the format of files with a NAME=VALUE on each line, without quotation marks (go's env file). Of a name
// that is there already the value is replaced. Lines end with a line feed alone: go takes a CR for part of the value.
type assignments struct{}

func (assignments) set(content []byte, wanted []Setting) ([]byte, []Setting, error) {
	after, made := bytes.Clone(content), make([]Setting, 0, len(wanted))
	for _, s := range wanted {
		m := Setting{Name: s.Name, Value: s.Value}
		if from, to := assignment(after, s.Name); from < 0 {
			if len(after) > 0 && after[len(after)-1] != '\n' {
				after = append(after, '\n')
			}
			after = append(after, s.Name+"="+s.Value+"\n"...)
		} else if was := string(after[from:to]); was != s.Value {
			m.Was = &was
			after = slices.Concat(after[:from], []byte(s.Value), after[to:])
		}
		made = append(made, m)
	}
	return after, made, nil
}

func (assignments) unset(content []byte, made []Setting) (after []byte, left []Setting, err error) {
	after = bytes.Clone(content)
	for _, s := range made {
		from, to := assignment(after, s.Name)
		switch {
		case from < 0 || string(after[from:to]) != s.Value:
			left = append(left, s)
		case s.Was != nil:
			after = slices.Concat(after[:from], []byte(*s.Was), after[to:])
		default:
			end := len(after)
			if i := bytes.IndexByte(after[to:], '\n'); i >= 0 {
				end = to + i + 1
			}
			after = slices.Concat(after[:from-len(s.Name)-1], after[end:])
		}
	}
	return after, left, nil
}

// assignment returns where the value of a name is, or -1. The last line of the name is the one that counts.
func assignment(content []byte, name string) (from, to int) {
	from, to = -1, -1
	at := 0
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), name+"="); ok {
			from = at + len(name) + 1
			to = from + len(value)
		}
		at += len(line)
	}
	return from, to
}
