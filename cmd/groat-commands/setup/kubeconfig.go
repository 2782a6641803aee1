package setup

import (
	"errors"
	"slices"
	"strings"
)

// kubeconfig is the format of kubectl's files, as kubectl writes them and as people do: YAML in block style, in which
// users and contexts are lists. The setting users/NAME is a whole item of the first, and contexts/NAME the user of an
// item of the second. kubectl's own writer would drop the comments; kubectl is asked what the result means.
type kubeconfig struct{}

var errBlockStyle = errors.New("groat changes a kubeconfig in YAML's block style only, and here it is another")

var errOtherUser = errors.New("a user of this name is there already, and does not ask groat")

// asksGroat reports whether an item of users runs "groat helper kubectl". Any other one may hold a secret, which would
// be shown and recorded with what it is replaced by.
func asksGroat(item string) bool {
	words := strings.Fields(item)
	i := slices.Index(words, "helper")
	return i >= 0 && slices.Equal(words[i-1:min(i+3, len(words))], []string{"-", "helper", "-", "kubectl"})
}

func (kubeconfig) set(content []byte, wanted []Setting) (after []byte, made []Setting, err error) {
	lines := splitLines(content)
	for _, s := range wanted {
		list, name, _ := strings.Cut(s.Name, "/")
		m := Setting{Name: s.Name, Value: s.Value}
		if list == "contexts" {
			at := lines.userOf(name)
			if at < 0 {
				return nil, nil, &Error{Reason: BadLine, Line: 1 + max(0, lines.key(list)), Err: errBlockStyle}
			}
			if was := lines.value(at); was != s.Value {
				m.Was = &was
				lines.setValue(at, s.Value)
			}
		} else if from, to := lines.item(list, name); from < 0 {
			if err := lines.addItem(list, s.Value); err != nil {
				return nil, nil, err
			}
		} else if was := lines.textOf(from, to); was != s.Value {
			if !asksGroat(was) {
				return nil, nil, &Error{Reason: BadLine, Line: from + 1, Err: errOtherUser}
			}
			m.Was = &was
			lines.putItem(from, to, s.Value)
		}
		made = append(made, m)
	}
	return lines.join(), made, nil
}

func (kubeconfig) unset(content []byte, made []Setting) (after []byte, left []Setting, err error) {
	lines := splitLines(content)
	for _, s := range made {
		list, name, _ := strings.Cut(s.Name, "/")
		if list == "contexts" {
			if at := lines.userOf(name); at >= 0 && lines.value(at) == s.Value && s.Was != nil {
				lines.setValue(at, *s.Was)
			} else {
				left = append(left, s)
			}
			continue
		}
		from, to := lines.item(list, name)
		switch {
		case from < 0 || lines.textOf(from, to) != s.Value:
			left = append(left, s)
		case s.Was != nil:
			lines.putItem(from, to, *s.Was)
		default:
			lines.cut(from, to)
			if at := lines.key(list); at >= 0 && lines.end(at) == at+1 {
				lines.all[at] = list + ": []"
			}
		}
	}
	return lines.join(), left, nil
}

// yamlLines are the lines of a file without their ends, which are all the same.
type yamlLines struct {
	all     []string
	lineEnd string // "\n" or "\r\n"
	final   bool   // the last line has its end
}

func splitLines(content []byte) *yamlLines {
	l := &yamlLines{lineEnd: withLineEnds(content, "\n"), final: true}
	if len(content) == 0 {
		return l
	}
	text := string(content)
	l.final = strings.HasSuffix(text, "\n")
	l.all = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if l.lineEnd == "\r\n" {
		for i := range l.all {
			l.all[i] = strings.TrimSuffix(l.all[i], "\r")
		}
	}
	return l
}

func (l *yamlLines) join() []byte {
	text := strings.Join(l.all, l.lineEnd)
	if l.final && len(l.all) > 0 {
		text += l.lineEnd
	}
	return []byte(text)
}

// key returns the line of a key of the top mapping, or -1.
func (l *yamlLines) key(name string) int {
	for i, line := range l.all {
		if rest, ok := strings.CutPrefix(line, name+":"); ok && (rest == "" || rest[0] == ' ') {
			return i
		}
	}
	return -1
}

// end returns the line behind the value of a key of the top mapping: the next key, or a comment before it.
func (l *yamlLines) end(at int) int {
	last := at
	for i := at + 1; i < len(l.all); i++ {
		line := l.all[i]
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case line[0] != ' ' && line[0] != '-' || strings.HasPrefix(line, "---"):
			return last + 1
		}
		last = i
	}
	return last + 1
}

// item returns the lines of the item of a list that has a name, or -1.
func (l *yamlLines) item(list, name string) (from, to int) {
	at := l.key(list)
	if at < 0 {
		return -1, -1
	}
	end := l.end(at)
	for from = at + 1; from < end; from = to {
		indent := indentOf(l.all[from])
		if !strings.HasPrefix(l.all[from][indent:], "- ") {
			to = from + 1
			continue
		}
		for to = from + 1; to < end && (l.all[to] == "" || indentOf(l.all[to]) > indent ||
			strings.HasPrefix(l.all[to][indentOf(l.all[to]):], "#")); to++ {
		}
		for i := from; i < to; i++ {
			line := l.all[i]
			if i == from {
				line = line[:indent] + " " + line[indent+1:]
			}
			if at := indentOf(line); at > indent && at == indentOf(l.all[from][indent+1:])+indent+1 &&
				yamlValue(line, "name") == name {
				return from, to
			}
		}
	}
	return -1, -1
}

// userOf returns the line with the user of a context, or -1.
func (l *yamlLines) userOf(context string) int {
	from, to := l.item("contexts", context)
	for i := max(from, 0); i < to; i++ {
		if strings.HasPrefix(strings.TrimLeft(l.all[i], " -"), "user:") {
			return i
		}
	}
	return -1
}

// value is that of the key on a line.
func (l *yamlLines) value(at int) string {
	_, value, _ := strings.Cut(l.all[at], ":")
	value, _, _ = strings.Cut(value, " #")
	return strings.TrimSpace(value)
}

// setValue replaces the value on a line, and leaves a comment behind it.
func (l *yamlLines) setValue(at int, value string) {
	key, rest, _ := strings.Cut(l.all[at], ":")
	comment := ""
	if i := strings.Index(rest, " #"); i >= 0 {
		comment = rest[i:]
	}
	l.all[at] = key + ": " + value + comment
}

// textOf is an item without the indentation of its list, each line with its end.
func (l *yamlLines) textOf(from, to int) string {
	var b strings.Builder
	indent := indentOf(l.all[from])
	for _, line := range l.all[from:to] {
		b.WriteString(line[min(indent, indentOf(line)):] + "\n")
	}
	return b.String()
}

// putItem replaces lines by an item with the indentation of the first of them.
func (l *yamlLines) putItem(from, to int, text string) {
	indent := strings.Repeat(" ", indentOf(l.all[from]))
	l.cut(from, to)
	l.insert(from, indent, text)
}

func (l *yamlLines) insert(at int, indent, text string) {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, indent+strings.TrimSuffix(line, "\n"))
	}
	l.all = append(l.all[:at:at], append(lines, l.all[at:]...)...)
}

func (l *yamlLines) cut(from, to int) { l.all = append(l.all[:from:from], l.all[to:]...) }

// addItem adds an item at the end of a list, which is made if it is not there.
func (l *yamlLines) addItem(list, text string) error {
	at := l.key(list)
	if at < 0 {
		l.all, l.final = append(l.all, list+":"), true
		l.insert(len(l.all), "", text)
		return nil
	}
	end := l.end(at)
	switch value := l.value(at); {
	case value == "[]" || value == "null", value == "" && end == at+1:
		l.all[at] = list + ":"
		l.insert(at+1, "", text)
	case value == "" && strings.HasPrefix(strings.TrimLeft(l.all[at+1], " "), "- "):
		l.insert(end, strings.Repeat(" ", indentOf(l.all[at+1])), text)
	default:
		return &Error{Reason: BadLine, Line: at + 1, Err: errBlockStyle}
	}
	return nil
}

// yamlWord is a text as YAML, in quotation marks where it might be taken for something else (YAML 1.1, as kubectl reads
// it: words like "no" are booleans).
func yamlWord(s string) string {
	plain := len(s) > 3 && (s[0] == '/' || s[0] >= 'a' && s[0] <= 'z') && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/._-", c)
	})
	if plain && s != "true" && s != "false" && s != "null" {
		return s
	}
	return quote(s)
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// yamlValue is the value of a key on a line of its own, without quotation marks, or "".
func yamlValue(line, key string) string {
	value, ok := strings.CutPrefix(strings.TrimLeft(line, " "), key+":")
	if !ok {
		return ""
	}
	value, _, _ = strings.Cut(value, " #")
	value = strings.TrimSpace(value)
	for _, mark := range []string{`"`, `'`} {
		if len(value) > 1 && strings.HasPrefix(value, mark) && strings.HasSuffix(value, mark) {
			return value[1 : len(value)-1]
		}
	}
	return value
}
