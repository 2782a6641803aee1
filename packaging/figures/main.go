// Figures measures groat on this machine and writes packaging/figures/FIGURES.md. Five lines of that page, between
// two marks, also go into the README between the same marks. Package peers measures other agents in the same run, in
// the versions that are installed.
//
// The invariant: every number that is written was measured in this run, but for how fast groat is: that is what
// packaging/bench/RESULTS.md says. If a part fails, nothing is written. Figures is not a test: people judge whether a
// number is good, and "make test" whether the programs are right.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/machine"
)

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of groat and groatd")
	flag.StringVar(&o.root, "dir", ".", "the repository's `directory`")
	flag.StringVar(&o.fuzz, "fuzz", "3s", "`how long` each fuzz target runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

type options struct{ bin, root, fuzz string }

// figures is everything that is written.
type figures struct {
	machine machine.Machine
	speed   speed
	suite   suite
	fuzz    string
	faults  []string
	peers   report
}

func run(ctx context.Context, o options) error {
	var f figures
	for _, part := range []struct {
		what string
		do   func() error
	}{
		{"the machine", func() (err error) { f.machine, err = machine.This(ctx, o.root, "README.md", file); return }},
		{"how fast it is", func() (err error) { f.speed, err = readResults(o.root); return }},
		{"the other agents", func() (err error) { f.peers, err = runPeers(ctx, o.root, o.bin, false); return }},
		{"the bad inputs", func() (err error) { f.suite, err = runSuite(ctx, o.root); return }},
		{"fuzzing", func() (err error) { f.fuzz, err = runFuzz(ctx, o.root, o.fuzz); return }},
		{"the faults", func() (err error) { f.faults, err = runFaults(ctx, o.root); return }},
	} {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "figures: %s …", part.what)
		if err := part.do(); err != nil {
			fmt.Fprintln(os.Stderr)
			return fmt.Errorf("%s: %w", part.what, err)
		}
		fmt.Fprintf(os.Stderr, " %v\n", time.Since(began).Round(time.Second))
	}
	text := f.document()
	if err := os.WriteFile(filepath.Join(o.root, file), text, 0o644); err != nil {
		return err
	}
	if err := intoReadme(filepath.Join(o.root, "README.md"), text); err != nil {
		return err
	}
	_, err := os.Stdout.Write(text)
	return err
}

// file is where the figures stand.
const file = "packaging/figures/FIGURES.md"

// The marks around the lines that the README has too.
const (
	opening = "<!-- figures: written by make figures -->\n"
	closing = "<!-- /figures -->\n"
)

// section returns what stands between the marks, with them; nil where they are missing, or there more than once.
func section(text []byte) []byte {
	from, to := bytes.Index(text, []byte(opening)), bytes.Index(text, []byte(closing))
	if from < 0 || to < from || bytes.Count(text, []byte(opening)) != 1 || bytes.Count(text, []byte(closing)) != 1 {
		return nil
	}
	return text[from : to+len(closing)]
}

// intoReadme replaces the README's section by that of document.
func intoReadme(readme string, document []byte) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	old := section(text)
	if old == nil {
		return errors.New(readme + " has no place for the figures: it lacks the marks " + opening + closing)
	}
	return os.WriteFile(readme, bytes.Replace(text, old, section(document), 1), 0o644)
}
