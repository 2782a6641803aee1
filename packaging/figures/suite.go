package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// suite is what the tests report.
type suite struct {
	passed int
	// ids :: letter → numbers that a passing test has in its name
	ids map[string]map[int]bool
	// said :: name → what a test logged as "figure: name = value"
	said map[string]string
	// attrs :: test → key → value, of testing's Attr
	attrs map[string]map[string]string
}

var (
	// "A5 a half-open client", and a test's own name: TestE7DoubleStart, TestD7D8KeyFitsEverywhere
	numbered = regexp.MustCompile(`\b(?:Test)?((?:[A-Z][0-9]{1,2})+)(?:\b|[A-Z])`)
	number   = regexp.MustCompile(`([A-Z])([0-9]+)`)
	figure   = regexp.MustCompile(`figure: ([^=\n]+?) = ([^\n]+)`)
)

// runSuite runs the packages whose tests have such names, or log figures. One that fails is an error.
func runSuite(ctx context.Context, root string) (suite, error) {
	pkgs, err := numberedPackages(root)
	if err != nil {
		return suite{}, err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-timeout=10m"}, pkgs...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return suite{}, err
	}
	if err := cmd.Start(); err != nil {
		return suite{}, err
	}
	s, failed, err := readSuite(out)
	if ended := cmd.Wait(); ended != nil || err != nil {
		return s, fmt.Errorf("%w:\n%s", errors.Join(ended, err), strings.Join(failed, "\n"))
	}
	return s, nil
}

// numberedPackages returns the packages to run, as go test wants them.
func numberedPackages(root string) ([]string, error) {
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		own := strings.HasSuffix(path, filepath.FromSlash("packaging/figures"))
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || own) {
			return fs.SkipDir
		}
		inTest := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata")
		if d.IsDir() || !inTest {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if len(idsIn(strings.ReplaceAll(string(text), "_", " "))) > 0 || saysFigures(string(text)) {
			dir, _, _ := strings.Cut(filepath.ToSlash(path), "/testdata/")
			if dir == filepath.ToSlash(path) {
				dir = filepath.ToSlash(filepath.Dir(path))
			}
			rel, err := filepath.Rel(root, dir)
			if err != nil {
				return err
			}
			found["./"+filepath.ToSlash(rel)] = true
		}
		return nil
	})
	if len(found) == 0 && err == nil {
		err = errors.New("no test has a number")
	}
	return slices.Sorted(maps.Keys(found)), err
}

// saysFigures reports whether the text of a test logs figures.
func saysFigures(text string) bool {
	return strings.Contains(text, "figure: ") || strings.Contains(text, "t.Attr(")
}

// idsIn returns the catalogue's numbers in a text.
func idsIn(text string) (ids []id) {
	for _, run := range numbered.FindAllStringSubmatch(text, -1) {
		for _, m := range number.FindAllStringSubmatch(run[1], -1) {
			n, err := strconv.Atoi(m[2])
			if i := (id{m[1], n}); err == nil && faults.has(i) {
				ids = append(ids, i)
			}
		}
	}
	return ids
}

// maxOutput bounds what of a test that fails is shown.
const maxOutput = 4 << 10

// readSuite reads what "go test -json" prints. A seed of a fuzz target counts as a test that passed, but not for its
// number, because a fuzz target asserts less than the catalogue's row wants. failed has the output of each failed
// test.
func readSuite(r io.Reader) (s suite, failed []string, err error) {
	s = suite{ids: map[string]map[int]bool{}, said: map[string]string{}, attrs: map[string]map[string]string{}}
	wrote := map[string]string{} // :: test → its output, until it passes
	for d := json.NewDecoder(r); ; {
		var e struct{ Action, Package, Test, Output, Key, Value string }
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return s, failed, nil
		} else if err != nil {
			return s, failed, err
		}
		switch {
		case e.Action == "fail":
			failed = append(failed, e.Package+" "+e.Test+"\n"+wrote[e.Package+" "+e.Test])
		case e.Action == "attr":
			if s.attrs[e.Test] == nil {
				s.attrs[e.Test] = map[string]string{}
			}
			s.attrs[e.Test][e.Key] = e.Value
		case e.Action == "output":
			if test := e.Package + " " + e.Test; len(wrote[test]) < maxOutput {
				wrote[test] += e.Output
			}
			if m := figure.FindStringSubmatch(e.Output); m != nil {
				s.said[m[1]] = strings.TrimSpace(m[2])
			}
		case e.Action == "pass" && e.Test != "":
			delete(wrote, e.Package+" "+e.Test)
			s.passed++
			if strings.HasPrefix(e.Test, "Fuzz") {
				continue
			}
			for _, i := range idsIn(strings.NewReplacer("_", " ", "/", " ").Replace(e.Test)) {
				if s.ids[i.letter] == nil {
					s.ids[i.letter] = map[int]bool{}
				}
				s.ids[i.letter][i.number] = true
			}
		}
	}
}

// total counts the distinct numbers.
func (s suite) total() (n int) {
	for _, of := range s.ids {
		n += len(of)
	}
	return n
}

// byKind returns how many numbers of each letter there are, for people.
func (s suite) byKind() string {
	var words []string
	for _, k := range faults {
		if n := len(s.ids[k.letter]); n > 0 {
			words = append(words, fmt.Sprintf("%d of %d about %s", n, len(k.numbers), k.what))
		}
	}
	return strings.Join(words, ", ")
}
