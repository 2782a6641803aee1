//go:build linux

// Peers turns the same bad clients on groatd and on the other agents that are installed, and says what each did. It
// is one half of "make figures", which runs it as an ordinary user and prints the table.
//
// The invariant: a cell holds what this run saw, and nothing that was known before; a program that cannot be
// started fails the run. What it is not: a judgement. What differs between the programs beside this stands with the
// table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Report is what is written to standard output, as JSON.
type Report struct {
	// Programs are the columns: a name, and what the program says of its own version.
	Programs []Program
	Rows     []Row
}

// Program is one column.
type Program struct{ Name, Version string }

// Row is one experiment. Cells are in the order of the programs; empty where it does not apply.
type Row struct {
	ID, What string
	Cells    []string
}

func main() {
	bin := flag.String("bin", "bin", "`directory` of groat and groatd")
	only := flag.String("only", "", "only the experiment of this `id`")
	short := flag.Bool("short", false, "only what takes a moment, with smaller numbers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := compare(ctx, *bin, *only, *short)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// compare runs every experiment on every program, each time on a fresh one.
func compare(ctx context.Context, bin, only string, short bool) (*Report, error) {
	s, err := newStage(bin, short)
	if err != nil {
		return nil, err
	}
	defer s.close()
	r := &Report{}
	all := []*agent{s.groat(), s.ssh(), s.gitCache(), s.oidc()}
	for _, a := range all {
		version, err := a.version(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s is missing: run packaging/testing/install.sh (%w)", a.name, err)
		}
		r.Programs = append(r.Programs, Program{a.name, version})
	}
	for _, e := range experiments {
		if short && !e.quick || only != "" && only != e.id {
			continue
		}
		row := Row{ID: e.id, What: e.what, Cells: make([]string, len(all))}
		errs := make([]error, len(all))
		var tries sync.WaitGroup
		for i, a := range all {
			if e.accounts && !a.accounts {
				continue
			}
			tries.Go(func() { row.Cells[i], errs[i] = s.try(ctx, a, e) })
			if !short { // one after the other, so that no measurement shares the machine with another
				tries.Wait()
			}
		}
		tries.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, fmt.Errorf("%s: %w", e.id, err)
		}
		r.Rows = append(r.Rows, row)
	}
	return r, nil
}

// How the cells write numbers.

// short writes a duration with two or three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Round(10*time.Microsecond).Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

// size writes a number of bytes.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
