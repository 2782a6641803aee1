package config

// Nearest returns the name that a person may have meant: the one that fewest edits of a byte make of what was typed, or
// "" where those are more than three, or more than half of its bytes.
func Nearest(typed string, names []string) (name string) {
	least := min(4, len(typed)/2+1)
	for _, n := range names {
		if d := edits(typed, n, least); d < least {
			name, least = n, d
		}
	}
	return name
}

// edits returns how many bytes have to be added, removed or replaced to make b of a (the Levenshtein distance). Where
// the lengths alone differ by most or more, it returns most.
func edits(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	row := make([]int, len(b)+1) // of the part of a that was read
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
