package setup

import (
	"slices"
	"strings"
)

// Line is one line that a change takes away or adds.
type Line struct {
	Number int // in the file as it was, or as it would be
	Added  bool
	Text   string // without its end
	// Cut is set where the line is one that changes in part: Text is that part, because the rest may hold a secret.
	Cut bool
}

// maxEdits bounds a comparison, in lines that are taken away or added.
const maxEdits = 2000

// Lines returns what a change takes away and adds, in the order of the file.
func (c *Change) Lines() (lines []Line) {
	before, after := split(c.Before), split(c.After)
	same := 0
	for same < min(len(before), len(after)) && before[same] == after[same] {
		same++
	}
	end := 0
	for end < min(len(before), len(after))-same && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	a, b := before[same:len(before)-end], after[same:len(after)-end]
	keep, ok := common(a, b)
	if !ok { // what stays cannot be told from what goes, and may hold a secret
		return []Line{{Number: same + 1, Added: true, Cut: true}}
	}
	for i, j, k := 0, 0, 0; i < len(a) || j < len(b); k++ {
		at := [2]int{len(a), len(b)}
		if k < len(keep) {
			at = keep[k]
		}
		lines = append(lines, hunk(a[i:at[0]], b[j:at[1]], same+i, same+j)...)
		i, j = at[0]+1, at[1]+1
	}
	return lines
}

// hunk is what becomes of lines of which none stays as it is. Of the first and the last one only the settings that
// differ are shown.
func hunk(a, b []string, fromA, fromB int) (lines []Line) {
	x, y := strings.Join(a, "\n"), strings.Join(b, "\n")
	start, end := differ(x, y)
	for _, side := range []struct {
		lines []string
		text  string
		from  int
		added bool
	}{{a, x[start : len(x)-end], fromA, false}, {b, y[start : len(y)-end], fromB, true}} {
		stays := end > 0 && beforeName(strings.TrimRight(side.text, quotes)) == 0 // the value, and only that
		if len(side.lines) > 0 && !stays {
			lines = append(lines, numbered(side.text, side.added, side.from, start > 0, end > 0)...)
		}
	}
	return lines
}

// differ returns how many bytes two texts have in common at the start and at the end, without the words that differ in
// part, their quotes and the names that they are the values of: "groat" in the place of "gcloud" differs as a whole.
// Nothing else that stays is taken for a difference.
func differ(x, y string) (start, end int) {
	least := min(len(x), len(y))
	for start < least && x[start] == y[start] {
		start++
	}
	for end < least-start && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	longer := x
	if len(y) > len(x) {
		longer = y
	}
	splits := func(end int) bool { // whether a word goes on behind the difference
		return end > 0 && inWord(longer[len(longer)-end-1]) && inWord(longer[len(longer)-end])
	}
	if start+end == least && splits(end) {
		// What was only added or taken away begins like what follows it: its own beginning is further to the left.
		for start > 0 && inWord(longer[start-1]) && longer[start-1] == longer[len(longer)-end-1] {
			start, end = start-1, end+1
		}
	}
	begins := func(text string) bool { return start < len(text)-end && inWord(text[start]) }
	ends := func(text string) bool { return start < len(text)-end && inWord(text[len(text)-end-1]) }
	right := ends(x) || ends(y)
	if begins(x) || begins(y) {
		start = beforeValue(x, start)
	}
	if right {
		end -= restOfValue(longer[len(longer)-end:])
	}
	if strings.TrimSpace(x[:start]) == "" { // an indentation
		start = 0
	}
	return start, end
}

// inWord reports whether a byte is of a word, and not between two in any of the files' formats.
func inWord(c byte) bool { return strings.IndexByte(" \t\r\n\"',:;=[]{}()", c) < 0 }

// beforeValue is where the value begins that the byte at a place is in, with its name.
func beforeValue(text string, at int) int {
	for at > 0 && inWord(text[at-1]) {
		at--
	}
	if at > 0 && strings.IndexByte(quotes, text[at-1]) >= 0 {
		at--
	}
	return beforeName(text[:at])
}

const quotes = `"'`

// beforeName is where the name begins, a word or a string, that a text ends with before a colon or an equals sign; it
// is the end of the text where there is none.
func beforeName(text string) int {
	rest := strings.TrimRight(text, " \t")
	if !strings.HasSuffix(rest, ":") && !strings.HasSuffix(rest, "=") {
		return len(text)
	}
	rest = strings.TrimRight(rest[:len(rest)-1], " \t")
	if quoted, ok := strings.CutSuffix(rest, `"`); ok {
		if at := strings.LastIndexAny(quoted, "\"\n"); at >= 0 && quoted[at] == '"' {
			return at
		}
		return len(text)
	}
	at := len(rest)
	for at > 0 && inWord(rest[at-1]) {
		at--
	}
	if at == len(rest) {
		return len(text)
	}
	return at
}

// restOfValue is how long the rest of a value is that a text begins with.
func restOfValue(text string) (n int) {
	for n < len(text) && inWord(text[n]) {
		n++
	}
	if n < len(text) && strings.IndexByte(quotes, text[n]) >= 0 {
		n++
	}
	return n
}

// numbered are the lines of a text that follow a place. The first and the last one may be parts.
func numbered(text string, added bool, from int, first, last bool) (lines []Line) {
	all := strings.Split(text, "\n")
	for i, text := range all {
		cut := first && i == 0 || last && i == len(all)-1
		if !cut || text != "" {
			lines = append(lines, Line{from + i + 1, added, text, cut})
		}
	}
	return lines
}

// common returns the places of a longest common sequence of lines in both. It reports false where more than [maxEdits]
// lines are in one alone. The algorithm is that of Myers, An O(ND) Difference Algorithm and Its Variations (1986):
// reach has, for each diagonal, how far into a some number of edits leads.
func common(a, b []string) (places [][2]int, ok bool) {
	limit := min(len(a)+len(b), maxEdits)
	middle := limit + 1
	reach := make([]int32, 2*middle+1)
	var steps [][]int32 // reach before each edit, from one diagonal beyond those that it can be on
	for edits := 0; edits <= limit; edits++ {
		steps = append(steps, slices.Clone(reach[middle-edits-1:middle+edits+2]))
		for k := -edits; k <= edits; k += 2 {
			x := int(before(reach, middle, edits, k))
			for x < len(a) && x-k < len(b) && a[x] == b[x-k] {
				x++
			}
			if reach[middle+k] = int32(x); x >= len(a) && x-k >= len(b) {
				return walkBack(steps, len(a), len(b)), true
			}
		}
	}
	return nil, false
}

// before is where on a diagonal an edit ends: a line of b was added to what the next one has, or one of a taken away
// from what the last one has.
func before(reach []int32, middle, edits, k int) int32 {
	if k == -edits || k != edits && reach[middle+k-1] < reach[middle+k+1] {
		return reach[middle+k+1]
	}
	return reach[middle+k-1] + 1
}

// walkBack returns the places of the lines that a shortest way to the ends of both leads over.
func walkBack(steps [][]int32, x, y int) (places [][2]int) {
	for edits := len(steps) - 1; edits >= 0; edits-- {
		reach, middle, k := steps[edits], edits+1, x-y
		from := int(before(reach, middle, edits, k))
		for ; x > from; x, y = x-1, y-1 {
			places = append(places, [2]int{x - 1, y - 1})
		}
		if k == -edits || k != edits && reach[middle+k-1] < reach[middle+k+1] {
			y--
		} else {
			x--
		}
	}
	slices.Reverse(places)
	return places
}

// split returns the lines of a content without their ends.
func split(content []byte) (lines []string) {
	for line := range strings.Lines(string(content)) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return lines
}
