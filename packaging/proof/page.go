package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// page is what is known of a part's last run.
type page struct {
	ran    time.Time // zero: it has not run yet
	commit string
	took   time.Duration
	hash   string // of the files that it depends on
	result string
	listed []string // below the result; of a page that was read it is empty
}

// notYet is what the page of a part that has not run says in place of a date.
const notYet = "not run yet"

// file returns the path of a part's page.
func (p *program) file(of part) string { return filepath.Join(p.pages, of.name+".md") }

// write puts the page into its file.
func (p *program) write(of part, g page) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n`make proof PART=%s` writes this page.\n\n", of.name, of.what, of.name)
	if g.ran.IsZero() {
		fmt.Fprintf(&b, "- ran: %s\n", notYet)
	} else {
		fmt.Fprintf(&b, "- ran: %s, at commit %s, for %s\n", g.ran.UTC().Format(time.DateOnly), g.commit,
			g.took.Round(time.Second))
		fmt.Fprintf(&b, "- result: %s\n", g.result)
		for _, line := range g.listed {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	fmt.Fprintf(&b, "- depends on: %s\n", of.dependsOn())
	if !g.ran.IsZero() {
		fmt.Fprintf(&b, "- SHA-256 of that: %s\n", g.hash)
	}
	return os.WriteFile(p.file(of), []byte(b.String()), 0o644)
}

// dependsOn says it for people.
func (of part) dependsOn() string {
	text := "the files that these packages and their tests are made of: " + strings.Join(of.packages, " ")
	if len(of.paths) > 0 {
		text += "; " + strings.Join(of.paths, " ")
	}
	return text
}

var (
	ranLine  = regexp.MustCompile(`(?m)^- ran: (\d{4}-\d\d-\d\d), at commit ([0-9a-f]{7,40}), for (\S+)$`)
	hashLine = regexp.MustCompile(`(?m)^- SHA-256 of that: ([0-9a-f]{64})$`)
	saidLine = regexp.MustCompile(`(?m)^- result: (.+)$`)
)

// read reads a part's page.
func (p *program) read(of part) (g page, err error) {
	text, err := os.ReadFile(p.file(of))
	if err != nil {
		return g, err
	}
	if !strings.HasPrefix(string(text), "# "+of.name+"\n") {
		return g, fmt.Errorf("%s is not the page of %s", p.file(of), of.name)
	}
	if strings.Contains(string(text), "\n- ran: "+notYet+"\n") {
		return g, nil
	}
	ran, hash, said := ranLine.FindSubmatch(text), hashLine.FindSubmatch(text), saidLine.FindSubmatch(text)
	if ran == nil || hash == nil || said == nil {
		return g, fmt.Errorf("%s does not say when the part ran, what came of it and what it depends on", p.file(of))
	}
	g = page{commit: string(ran[2]), hash: string(hash[1]), result: string(said[1])}
	var err1, err2 error
	g.ran, err1 = time.Parse(time.DateOnly, string(ran[1]))
	g.took, err2 = time.ParseDuration(string(ran[3]))
	return g, errors.Join(err1, err2)
}
