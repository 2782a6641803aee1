// Coldstart times programs that live for one request, a new process each time: "groat get" and git's helper; the
// floors, programs that do nothing or next to nothing; and with -peers what people use today for the same purpose. All
// are started in turn in a new random order each time, so that whatever else the machine does falls on all alike. The
// daemons are the real ones, with what is asked for in their memory; the authorization server is the sandbox.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "`directory` of groat and groatd")
	runs := flag.Int("runs", 500, "how often each program is started")
	peers := flag.Bool("peers", false, "other programs, too")
	flag.Parse()
	if err := run(*bin, *runs, *peers); err != nil {
		fmt.Fprintln(os.Stderr, "coldstart:", err)
		os.Exit(1)
	}
}

// program is one thing to time.
type program struct {
	name  string
	path  string
	argv  []string
	env   []string
	stdin string // a file, or empty
	every int    // it is started in each so many-th round only; 0 is in each
	times []time.Duration
	// faults are how many pages the system had to map when a run first touched them.
	faults []int64
}

func run(bin string, runs int, peers bool) error {
	if runs < 1 {
		return fmt.Errorf("%d runs: want at least one", runs)
	}
	s, err := newStage(bin)
	if err != nil {
		return err
	}
	defer s.close()
	programs, err := s.own()
	if err != nil {
		return err
	}
	if peers {
		others, err := s.peers()
		if err != nil {
			return err
		}
		programs = append(programs, others...)
	}
	if err := measure(programs, runs); err != nil {
		return err
	}
	return report(programs)
}

// measure starts each program runs times, in a new random order each time.
func measure(programs []*program, runs int) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// The one who measures keeps still: one thread, no collection.
	runtime.LockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const warmUp = 20
	order := slices.Clone(programs)
	for i := range warmUp + runs {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, p := range order {
			if p.every > 0 && i%p.every > 0 {
				continue
			}
			took, faults, err := start(p, null.Fd())
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if i >= warmUp || p.every > 0 {
				p.times, p.faults = append(p.times, took), append(p.faults, faults)
			}
		}
	}
	return nil
}

// start runs a program once, from fork to the end of the wait, without package os's goroutines and pipes around it. It
// returns the page faults too.
func start(p *program, null uintptr) (time.Duration, int64, error) {
	stdin := null
	if p.stdin != "" {
		f, err := os.Open(p.stdin)
		if err != nil {
			return 0, 0, err
		}
		defer f.Close()
		stdin = f.Fd()
	}
	began := time.Now()
	pid, err := syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{Env: p.env, Files: []uintptr{stdin, null, 2}})
	if err != nil {
		return 0, 0, err
	}
	var status syscall.WaitStatus
	var used syscall.Rusage
	for {
		_, err = syscall.Wait4(pid, &status, 0, &used)
		if err != syscall.EINTR {
			break
		}
	}
	took := time.Since(began)
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return took, int64(used.Minflt), err
}

// unit is what the others are compared with.
const unit = "empty Go program"

// report prints medians, the spread, and the ratio to an empty Go program.
func report(programs []*program) error {
	one := programs[slices.IndexFunc(programs, func(p *program) bool { return p.name == unit })]
	for _, p := range programs {
		slices.Sort(p.times)
		slices.Sort(p.faults)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "a process\tmedian\t10 %%\t90 %%\tx %s\tpage faults\truns\t\n", unit)
	for _, p := range programs {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%.2f\t%d\t%d\t\n", p.name, p.quantile(0.5), p.quantile(0.1),
			p.quantile(0.9), float64(p.quantile(0.5))/float64(one.quantile(0.5)), p.faults[len(p.faults)/2],
			len(p.times))
	}
	return w.Flush()
}

// quantile returns the q-quantile of the sorted times.
func (p *program) quantile(q float64) time.Duration {
	return p.times[int(q*float64(len(p.times)-1))].Round(time.Microsecond)
}
