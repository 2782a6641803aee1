package main

import (
	"strconv"
	"strings"
)

// older reports whether release a, which runs, is before b, as far as that is known. Of two builds without tags, which
// have the names of their commits, the one that runs is taken for the older. A build that has no name is neither before
// nor after another, nor is one without a tag and one with it.
func older(a, b string) bool {
	one, ok := parseRelease(a)
	other, ok2 := parseRelease(b)
	if !ok && !ok2 {
		return a != b && isCommit(a) && isCommit(b)
	}
	if !ok || !ok2 {
		return false
	}
	for i := range one {
		if one[i] != other[i] {
			return one[i] < other[i]
		}
	}
	return false
}

// isCommit reports whether a release is what "git describe --always --dirty" says where there is no tag.
func isCommit(s string) bool {
	s = strings.TrimSuffix(s, "-dirty")
	return len(s) >= 7 && strings.Trim(s, "0123456789abcdef") == ""
}

// parseRelease reads what "git describe --tags --dirty" makes of a commit, as v1.2.3-4-gabc: the last tag, and how many
// commits are behind it.
func parseRelease(s string) (numbers [4]uint64, ok bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "v"), "-dirty")
	version, rest, described := strings.Cut(s, "-")
	parts := strings.Split(version, ".")
	if len(parts) != 3 {
		return numbers, false
	}
	if described {
		commits, _, ok := strings.Cut(rest, "-g")
		if !ok {
			return numbers, false
		}
		parts = append(parts, commits)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return numbers, false
		}
		numbers[i] = n
	}
	return numbers, true
}
