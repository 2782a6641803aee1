// Fuzz runs every fuzz target of the module, one after the other: a target is found where it is written, so that none
// can be forgotten. The first input that breaks one ends the run; Go has then written it below that package's
// testdata/fuzz, where every later "go test" tries it again.
//
// The last line that it prints is for programs too: "fuzz: 30 targets, 60000 executions, 0 failures".
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	budget := flag.String("time", "2000x",
		"how long for each target: a `duration`, or a number of executions with an x behind it")
	fresh := flag.Bool("fresh", false,
		"begin with the committed inputs alone, not with what earlier runs on this machine have found")
	dir := flag.String("dir", ".", "a `directory` of the module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *budget, *fresh, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// run fuzzes every target for the budget and reports to out. What it finds interesting is kept for the next run, unless
// fresh is set, or the budget is a number of executions, which would otherwise mean less each time.
func run(ctx context.Context, dir, budget string, fresh bool, out io.Writer) error {
	pkgs, err := find(ctx, dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "groat-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	corpus := filepath.Join(tmp, "corpus")
	if !fresh && !strings.HasSuffix(budget, "x") {
		if corpus, err = sharedCorpus(ctx); err != nil {
			return err
		}
	}
	targets, executions := 0, 0
	for i, p := range pkgs {
		binary := filepath.Join(tmp, fmt.Sprintf("%d.test", i))
		if err := p.build(ctx, binary); err != nil {
			return err
		}
		for _, target := range p.targets {
			n, err := p.fuzz(ctx, binary, target, budget, filepath.Join(corpus, p.path))
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s %s %d\n", p.path, target, n)
			targets, executions = targets+1, executions+n
		}
	}
	if targets == 0 {
		return errors.New("there is no target")
	}
	fmt.Fprintf(out, "fuzz: %d targets, %d executions, 0 failures\n", targets, executions)
	return nil
}

// sharedCorpus is where "go test -fuzz" keeps what it finds interesting.
func sharedCorpus(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "fuzz"), err
}

// build compiles a package's tests with the instrumentation that guides the fuzzing.
func (p pkg) build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-o", binary, ".")
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.path, err, out)
	}
	return nil
}

// minimize is how many executions may go into making one input smaller; Go's own default is a minute each.
const minimize = "200x"

// stuck is how much longer than its budget a target may take before it counts as hanging.
const stuck = 3 * time.Minute

// fuzz runs one target and returns how often it was executed.
func (p pkg) fuzz(ctx context.Context, binary, target, budget, corpus string) (int, error) {
	limit := stuck
	if d, err := time.ParseDuration(budget); err == nil {
		limit += d
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.fuzz=^"+target+"$", "-test.fuzztime="+budget,
		"-test.fuzzminimizetime="+minimize, "-test.fuzzcachedir="+corpus, "-test.timeout=0")
	cmd.Dir = p.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its workers end with it
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil && !onlyTime(out) {
		return 0, fmt.Errorf("%s %s: %w\n%s", p.path, target, err, out)
	}
	n := executions(out)
	if n == 0 && !bytes.Contains(out, []byte("fuzz: elapsed:")) {
		return 0, fmt.Errorf("%s %s was not executed:\n%s", p.path, target, out)
	}
	return n, nil
}

// onlyTime reports whether nothing is wrong but that the time was up, which Go sometimes takes for a failure of the
// target that was under way. A target that fails leaves an input, one that hangs a dump.
func onlyTime(out []byte) bool {
	_, said, failed := bytes.Cut(out, []byte("--- FAIL: "))
	_, said, _ = bytes.Cut(said, []byte("\n"))
	return failed && string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(said),
		[]byte("FAIL")))) == "context deadline exceeded"
}

var progress = regexp.MustCompile(`execs: (\d+)`)

// executions reads the last count that Go has printed.
func executions(out []byte) int {
	all := progress.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(all[len(all)-1][1])))
	if err != nil {
		return 0
	}
	return n
}
