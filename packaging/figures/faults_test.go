package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testsByRow reads every file of the module's tests: the rows that are named in it, and the numbers in tests' own
// names.
func testsByRow(t *testing.T) (named map[id]bool, tests map[string]id) {
	t.Helper()
	own := regexp.MustCompile(`\bfunc (Test(?:[A-Z][0-9]{1,2})+)[A-Z]`)
	named, tests = map[id]bool{}, map[string]id{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "figures"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "testdata"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, i := range idsIn(strings.ReplaceAll(string(text), "_", " ")) {
			named[i] = true
		}
		for _, m := range own.FindAllStringSubmatch(string(text), -1) {
			for _, n := range number.FindAllStringSubmatch(m[1], -1) {
				of, _ := strconv.Atoi(n[2])
				tests[filepath.ToSlash(path)+" "+m[1]+" "+n[0]] = id{n[1], of}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return named, tests
}

// Every row has a test that carries its number, or stands among those that say so; every number leads to a row.
func TestEveryFaultHasATest(t *testing.T) {
	named, tests := testsByRow(t)
	_, list, ok := strings.Cut(faultsPage, "## Rows without a test yet\n")
	if !ok {
		t.Fatal("FAULTS.md does not say which rows have no test")
	}
	without := strings.Fields(list)
	for _, k := range faults {
		if sorted := slices.Sorted(slices.Values(k.numbers)); len(slices.Compact(sorted)) != len(k.numbers) {
			t.Errorf("%s: a number is there twice", k.letter)
		}
		for _, n := range k.numbers {
			row := k.letter + strconv.Itoa(n)
			if listed := slices.Contains(without, row); named[id{k.letter, n}] == listed {
				t.Errorf("%s: a test has its number: %v; it is listed as a row without a test: %v",
					row, !listed, listed)
			}
		}
	}
	for _, row := range without {
		if len(idsIn(row)) != 1 {
			t.Errorf("%s is no row", row)
		}
	}
	for test, i := range tests {
		if !faults.has(i) {
			t.Errorf("%s: the number leads to no row of FAULTS.md", test)
		}
	}
}
