package setup

import (
	"bytes"
	"strings"
)

// sections is the format of files with sections: a header in brackets, and the lines up to the next header belong to it
// (git, INI, TOML). The value of a setting is one section with its lines, each ended by a line feed, and a comment
// before it. It is added at the end of the file, where it follows, and outweighs, what is there.
type sections struct{}

// formatSections is the format's name.
const formatSections = "sections"

func (sections) set(content []byte, wanted []Setting) ([]byte, []Setting, error) {
	after, made := bytes.Clone(content), make([]Setting, 0, len(wanted))
	for _, s := range wanted {
		made = append(made, Setting{Name: s.Name, Value: s.Value})
		section := withLineEnds(content, s.Value)
		if at, _ := findLines(after, section); at >= 0 {
			continue
		}
		if len(after) > 0 && after[len(after)-1] != '\n' {
			after = append(after, withLineEnds(content, "\n")...)
		}
		after = append(after, section...)
	}
	return after, made, nil
}

func (sections) unset(content []byte, made []Setting) (after []byte, left []Setting, err error) {
	after = bytes.Clone(content)
	for _, s := range made {
		section := withLineEnds(content, s.Value)
		at, end := findLines(after, section)
		if at < 0 {
			left = append(left, s)
			continue
		}
		keep := ""
		if goesOn(after[end:]) { // the person has added to the section
			keep = header(section)
		}
		after = append(append(bytes.Clone(after[:at]), keep...), after[end:]...)
	}
	return after, left, nil
}

// withLineEnds returns text with the line ends of a content: those of its first line.
func withLineEnds(content []byte, text string) string {
	if i := bytes.IndexByte(content, '\n'); i > 0 && content[i-1] == '\r' {
		return strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// findLines returns where whole lines are in a content, or -1. The last one may be without its end there.
func findLines(content []byte, lines string) (at, end int) {
	for from := 0; ; from = at + 1 {
		i := bytes.Index(content[from:], []byte(lines))
		if i < 0 {
			last := []byte(strings.TrimRight(lines, "\r\n"))
			if at = len(content) - len(last); at >= 0 && bytes.HasSuffix(content, last) && beginsLine(content, at) {
				return at, len(content)
			}
			return -1, -1
		}
		if at = from + i; beginsLine(content, at) {
			return at, at + len(lines)
		}
	}
}

func beginsLine(content []byte, at int) bool { return at == 0 || content[at-1] == '\n' }

// goesOn reports whether what follows a section belongs to it: a line that is not blank, no comment and no header.
func goesOn(rest []byte) bool {
	for line := range bytes.Lines(rest) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != ';' {
			return line[0] != '['
		}
	}
	return false
}

// header returns the line of a section that begins it.
func header(section string) string {
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "[") {
			return line
		}
	}
	return ""
}
