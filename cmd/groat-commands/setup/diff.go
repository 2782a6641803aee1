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

// maxCompared bounds the table of a comparison, in lines of each side.
const maxCompared = 2000

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
	keep := common(a, b)
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

// hunk is what becomes of lines of which none stays. Where one becomes one, only what differs is shown.
func hunk(a, b []string, fromA, fromB int) (lines []Line) {
	cut := len(a) == 1 && len(b) == 1
	if cut {
		x, y := a[0], b[0]
		start, end := 0, 0
		for start < min(len(x), len(y)) && x[start] == y[start] {
			start++
		}
		for end < min(len(x), len(y))-start && x[len(x)-1-end] == y[len(y)-1-end] {
			end++
		}
		cut = start+end > 0
		a, b = []string{x[start : len(x)-end]}, []string{y[start : len(y)-end]}
	}
	for i, text := range a {
		lines = append(lines, Line{fromA + i + 1, false, text, cut})
	}
	for i, text := range b {
		lines = append(lines, Line{fromB + i + 1, true, text, cut})
	}
	return slices.DeleteFunc(lines, func(l Line) bool { return cut && l.Text == "" })
}

// common returns the places of a longest common sequence of lines in both, or none where that would take too long.
func common(a, b []string) (places [][2]int) {
	if len(a) > maxCompared || len(b) > maxCompared {
		return nil
	}
	length := make([][]int32, len(a)+1) // of the sequence in a[i:] and b[j:]
	for i := range length {
		length[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if length[i][j] = max(length[i+1][j], length[i][j+1]); a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			}
		}
	}
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			places = append(places, [2]int{i, j})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return places
}

// split returns the lines of a content without their ends.
func split(content []byte) (lines []string) {
	for line := range strings.Lines(string(content)) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return lines
}
