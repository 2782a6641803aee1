// Coldstart times "groat get" as tools call it, a new process each time, against /bin/true and against a Go program
// that does nothing, interleaved in the same run so that whatever else the machine does falls on all three alike. The
// daemon is the real one, with a token in its memory; the authorization server is the sandbox.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
	flag.Parse()
	if err := run(*bin, *runs); err != nil {
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
	times []time.Duration
}

func run(bin string, runs int) error {
	if runs < 1 {
		return fmt.Errorf("%d runs: want at least one", runs)
	}
	dir, err := os.MkdirTemp("", "groat-coldstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a, err := startAgent(bin, dir)
	if err != nil {
		return err
	}
	defer a.stop()

	empty := filepath.Join(dir, "empty")
	if err := build(empty, "./packaging/bench/empty"); err != nil {
		return err
	}
	nothing, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	programs := []*program{
		{name: nothing, path: nothing, argv: []string{"true"}},
		{name: "empty Go process", path: empty, argv: []string{"empty"}},
		{name: "groat get", path: a.groat, argv: []string{"groat", "get", profile}, env: a.env},
	}
	if err := measure(programs, runs); err != nil {
		return err
	}
	return report(programs)
}

// build compiles as the Makefile does, so that the two Go programs differ in nothing but their code.
func build(out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return cmd.Run()
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
			took, err := start(p, null.Fd())
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if i >= warmUp {
				p.times = append(p.times, took)
			}
		}
	}
	return nil
}

// start runs a program once, from fork to the end of the wait, without package os's goroutines and pipes around it.
func start(p *program, null uintptr) (time.Duration, error) {
	began := time.Now()
	pid, err := syscall.ForkExec(p.path, p.argv, &syscall.ProcAttr{Env: p.env, Files: []uintptr{null, null, 2}})
	if err != nil {
		return 0, err
	}
	var status syscall.WaitStatus
	for {
		_, err = syscall.Wait4(pid, &status, 0, nil)
		if err != syscall.EINTR {
			break
		}
	}
	took := time.Since(began)
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return took, err
}

// report prints medians, the spread, and the ratios to the others.
func report(programs []*program) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "cold start\tmedian\t10 %\t90 %\t")
	for _, other := range programs {
		fmt.Fprintf(w, "x %s\t", other.name)
		slices.Sort(other.times)
	}
	fmt.Fprintln(w)
	for _, p := range programs {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t", p.name, p.quantile(0.5), p.quantile(0.1), p.quantile(0.9))
		for _, other := range programs {
			fmt.Fprintf(w, "%.2f\t", float64(p.quantile(0.5))/float64(other.quantile(0.5)))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n%d runs each, %s/%s, %d CPUs, %s\n", len(programs[0].times), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), runtime.Version())
	return w.Flush()
}

// quantile returns the q-quantile of the sorted times.
func (p *program) quantile(q float64) time.Duration {
	return p.times[int(q*float64(len(p.times)-1))].Round(time.Microsecond)
}
