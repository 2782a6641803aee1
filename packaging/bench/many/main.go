// Many measures a groatd with ten and with ten thousand profiles that hold a token each: its start, its memory, the
// listings, what it does while nobody asks, and how its renewals are spread. groatd is the real one, with its
// credentials in a sealed file; the authorization servers are the sandbox.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

type options struct {
	bin      string
	sizes    []int
	starts   int
	idle     time.Duration
	renewals time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of groat and groatd")
	sizes := flag.String("profiles", "10,10000", "`numbers` of profiles")
	flag.IntVar(&o.starts, "starts", 7, "how often groatd is started with each")
	flag.DurationVar(&o.idle, "idle", 30*time.Second, "how long it is watched while nobody asks")
	flag.DurationVar(&o.renewals, "renewals", 200*time.Second,
		"the `lifetime` of the tokens whose renewals are counted for twice as long; 0 for none")
	asJSON := flag.Bool("json", false, "write the figures as JSON")
	flag.Parse()
	for word := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 99_999 {
			fmt.Fprintf(os.Stderr, "many: -profiles: %q is not a number of profiles from 1 to 99999\n", word)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
	}
	if err := run(o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "many:", err)
		os.Exit(1)
	}
}

// results are the figures of a run.
type results struct {
	Go, OS, Arch string
	CPUs         int
	// LoadBefore and LoadAfter are the machine's load averages over a minute.
	LoadBefore, LoadAfter float64
	Sizes                 []*figures
}

func run(o options, asJSON bool) error {
	r := results{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		LoadBefore: agent.Load()}
	var all []*subject
	defer func() {
		for _, s := range all {
			s.close()
		}
	}()
	for _, n := range o.sizes {
		s, err := newSubject(o, n)
		if err != nil {
			return err
		}
		all = append(all, s)
		r.Sizes = append(r.Sizes, &s.figures)
	}
	// In turn, so that whatever else the machine does falls on all sizes alike.
	for i := range o.starts {
		for _, s := range all {
			if err := s.start(i < o.starts-1); err != nil {
				return fmt.Errorf("%d profiles: start: %w", s.Profiles, err)
			}
		}
	}
	for _, step := range []struct {
		name string
		do   func(*subject, context.Context) error
	}{{"tokens", (*subject).fill}, {"listings", (*subject).list}, {"idle", (*subject).rest}} {
		for _, s := range all {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute+o.idle)
			err := step.do(s, ctx)
			cancel()
			if err != nil {
				return fmt.Errorf("%d profiles: %s: %w", s.Profiles, step.name, err)
			}
		}
	}
	if o.renewals > 0 {
		for _, s := range all {
			if err := s.renewals(); err != nil {
				return fmt.Errorf("%d profiles: renewals: %w", s.Profiles, err)
			}
		}
	}
	r.LoadAfter = agent.Load()
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.print()
}

// print writes a table with a column for each size.
func (r *results) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, cell func(*figures) string) {
		fmt.Fprintf(w, "%s\t", name)
		for _, f := range r.Sizes {
			fmt.Fprintf(w, "%s\t", cell(f))
		}
		fmt.Fprintln(w)
	}
	row("profiles", func(f *figures) string { return strconv.Itoa(f.Profiles) })
	for _, t := range []struct {
		name string
		of   func(*figures) times
	}{
		{"start to the socket, files in the cache", func(f *figures) times { return f.Start }},
		{"status of all, on an open connection", func(f *figures) times { return f.StatusAll }},
		{"groat status --json", func(f *figures) times { return f.StatusAllCommand }},
		{"list of all, on an open connection", func(f *figures) times { return f.ListAll }},
		{"groat list --json", func(f *figures) times { return f.ListAllCommand }},
		{"status of one, on an open connection", func(f *figures) times { return f.StatusOne }},
		{"groat status of one", func(f *figures) times { return f.StatusOneCommand }},
	} {
		row(t.name, func(f *figures) string { return t.of(f).String() })
	}
	for _, m := range []struct {
		name string
		of   func(*figures) agent.Memory
	}{
		{"memory after the start", func(f *figures) agent.Memory { return f.MemoryStarted }},
		{"with all tokens", func(f *figures) agent.Memory { return f.MemoryFull }},
		{"after the listings", func(f *figures) agent.Memory { return f.MemoryListed }},
		{"after the idle time", func(f *figures) agent.Memory { return f.MemoryIdle }},
	} {
		row(m.name+", MiB (peak)", func(f *figures) string {
			return fmt.Sprintf("%.1f (%.1f)", float64(m.of(f).Now)/(1<<20), float64(m.of(f).Peak)/(1<<20))
		})
	}
	row("idle for", func(f *figures) string { return f.Idle.For.String() })
	row("wake-ups", func(f *figures) string { return strconv.FormatInt(f.Idle.Wakeups, 10) })
	row("processor", func(f *figures) string {
		share := f.Idle.CPU.Seconds() / max(f.Idle.For.Seconds(), 1)
		return fmt.Sprintf("%v (%.4f %%)", f.Idle.CPU.Round(time.Microsecond), 100*share)
	})
	row("machine busy meanwhile", func(f *figures) string { return fmt.Sprintf("%.0f %%", 100*f.Idle.MachineBusy) })
	row("renewals, tokens living", func(f *figures) string { return f.Renewals.Lifetime.String() })
	row("renewals", func(f *figures) string { return fmt.Sprintf("%d in %v", f.Renewals.Count, f.Renewals.For) })
	row("a second, mean", func(f *figures) string { return fmt.Sprintf("%.2f", f.Renewals.Mean) })
	row("a second, greatest", func(f *figures) string {
		if f.Renewals.Mean == 0 {
			return "-"
		}
		return fmt.Sprintf("%d (%.1f x)", f.Renewals.Greatest, float64(f.Renewals.Greatest)/f.Renewals.Mean)
	})
	row("processor for each renewal", func(f *figures) string { return f.Renewals.CPUEach.String() })
	fmt.Fprintf(w, "\nmedian (10 %% to 90 %%); %s/%s, %d CPUs, %s, load %.2f before and %.2f after\n",
		r.OS, r.Arch, r.CPUs, r.Go, r.LoadBefore, r.LoadAfter)
	return w.Flush()
}
