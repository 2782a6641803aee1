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

// hunk is what becomes of lines of which none stays as it is. Of the first and the last one only what differs is shown.
func hunk(a, b []string, fromA, fromB int) (lines []Line) {
	x, y := strings.Join(a, "\n"), strings.Join(b, "\n")
	start, end := 0, 0
	for start < min(len(x), len(y)) && x[start] == y[start] {
		start++
	}
	if strings.TrimSpace(x[:start]) == "" && (len(a) != 1 || len(b) != 1) { // an indentation
		start = 0
	}
	for end < min(len(x), len(y))-start && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	if len(a) > 0 {
		lines = append(lines, numbered(x[start:len(x)-end], false, fromA, start > 0, end > 0)...)
	}
	if len(b) > 0 {
		lines = append(lines, numbered(y[start:len(y)-end], true, fromB, start > 0, end > 0)...)
	}
	return lines
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
