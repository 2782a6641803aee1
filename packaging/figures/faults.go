package main

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

//go:embed FAULTS.md
var faultsPage string

// faults is the catalogue of bad inputs and faults, FAULTS.md, by kind.
var faults = readFaults(faultsPage)

// id is one row of the catalogue.
type id struct {
	letter string
	number int
}

// kind is one section of the catalogue.
type kind struct {
	letter  string
	what    string // what the faults are done to
	numbers []int
}

type kinds []kind

var (
	kindLine = regexp.MustCompile(`^## ([A-Z])\. (.+)$`)
	rowLine  = regexp.MustCompile(`^\| ([A-Z])([0-9]{1,2}) \| .+ \| .+ \|$`)
)

// readFaults reads the catalogue: each section has a letter, each row of it a number.
func readFaults(page string) (all kinds) {
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if m := kindLine.FindStringSubmatch(line); m != nil {
			what := []rune(m[2])
			what[0] = unicode.ToLower(what[0])
			all = append(all, kind{letter: m[1], what: string(what)})
		} else if m := rowLine.FindStringSubmatch(line); m != nil && len(all) > 0 {
			n, err := strconv.Atoi(m[2])
			if last := &all[len(all)-1]; err == nil && last.letter == m[1] {
				last.numbers = append(last.numbers, n)
			}
		}
	}
	return all
}

// has reports whether the catalogue has a row.
func (k kinds) has(i id) bool {
	return slices.ContainsFunc(k, func(k kind) bool {
		return k.letter == i.letter && slices.Contains(k.numbers, i.number)
	})
}
