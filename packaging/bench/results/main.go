// Results measures on this machine how fast groat is and writes packaging/bench/RESULTS.md: "make bench". Each part is
// a program of its own that compares groat with something in the same run, so that what else the machine does falls on
// both alike.
//
// The invariant: every number on the page was measured in this run. If a part fails, nothing is written. Whether a
// number is good is for people to judge, beside the target that stands before it.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/machine"
)

// page is where the results stand.
const page = "packaging/bench/RESULTS.md"

func main() {
	bin := flag.String("bin", "bin", "`directory` of groat and groatd")
	root := flag.String("dir", ".", "the repository's `directory`")
	only := flag.String("only", "", "run the part whose title begins with `text`, and write nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *root, *bin, *only); err != nil {
		fmt.Fprintln(os.Stderr, "results:", err)
		os.Exit(1)
	}
}

// part is a heading of the page.
type part struct {
	title, targets string
	command        []string
	// lines are those of the command's output that count; nil is all.
	lines *regexp.Regexp
}

var benchmarks = regexp.MustCompile(`(?m)^Benchmark.*\n`)

func parts(bin string) []part {
	tool := func(name string, args ...string) []string {
		return append([]string{"go", "run", "./packaging/bench/" + name, "-bin", bin}, args...)
	}
	bench := func(names string, packages ...string) []string {
		return append([]string{"go", "test", "-run", "^$", "-benchmem", "-bench", "^Benchmark(" + names + ")$"},
			packages...)
	}
	return []part{
		{
			title: "A new process",
			targets: `At most 1.35 times an empty Go program; faster than git-credential-cache, ssh-add and secret-tool.
Every program is installed by a copy, as by a package.`,
			command: tool("coldstart", "-peers"),
		},
		{
			title:   "An open connection, from process to process",
			targets: "A token within 1.1 times an echo of as many bytes in Go; the echo in C is the kernel's part.",
			command: tool("echo"),
		},
		{
			title: "An open connection, and one for each request",
			targets: `A token within 1.1 times an echo of the same bytes (RoundTrip's ratio); 64 clients get 0.85 times
as many, and their 99th percentile is at most twice the echo's; connect, ask and close within 1.5 times the echo's.`,
			command: bench("RoundTrip|ManyClients|Connect|Answer|Client", "-benchtime", "3s", "./daemon"),
			lines:   benchmarks,
		},
		{
			title: "A Python program",
			targets: `groat.token within 2 times an echo of as many bytes to a bare socket; the import within 1.5
times that of json and socket. authlib asks a server on this machine.`,
			command: tool("python"),
		},
		{
			title:   "Inside groatd",
			targets: `A token that is at hand within 100 ns, the clock included, without an allocation.`,
			command: bench("CacheHit|Now", "./daemon/broker", "./daemon/clock"),
			lines:   benchmarks,
		},
		{
			title:   "The sealed file of ten thousand",
			targets: `Opened within 60 ms and 32 MB at the peak.`,
			command: bench("Open", "./keystore/sealed"),
			lines:   benchmarks,
		},
		{
			title: "Ten thousand profiles",
			targets: `Start to the socket within 1 s and 64 MiB; status and list of all within 100 ms, of one within
1 ms; no second with more than 5 times the mean of renewals; idle below 0.1 % of a processor; 16 MiB with ten.`,
			command: tool("many", "-renewals", "60s"),
		},
		{
			title: "Herds",
			targets: `A thousand processes on a cold token: one request, all answered within the server's time and 1 s;
ten thousand open connections through a renewal: none waits longer than 50 ms; a slow provider moves nobody else's 99th
percentile.`,
			command: tool("herd"),
		},
	}
}

// missed leads to what people have found out about the targets that are missed.
const missed = `
[FLOOR.md](FLOOR.md) says, of each target that is missed or just met, where the time goes, what was tried, and what the
floor is.
`

func run(ctx context.Context, root, bin, only string) error {
	m, err := machine.This(ctx, root, page)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# How fast it is\n\nWritten by `make bench`, which measures all of it anew; people do not "+
		"edit it.\n\nMeasured on this machine: %s.\n", m)
	for _, p := range parts(bin) {
		if !strings.HasPrefix(p.title, only) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(os.Stderr, "results: %s …", strings.ToLower(p.title))
		out, err := p.measure(ctx, root)
		if err != nil {
			fmt.Fprintln(os.Stderr)
			return fmt.Errorf("%s: %w", p.title, err)
		}
		fmt.Fprintf(os.Stderr, " %v\n", time.Since(began).Round(time.Second))
		fmt.Fprintf(&text, "\n## %s\n\n%s\n\n```text\n%s\n```\n", p.title, p.targets, out)
	}
	if only != "" {
		_, err := text.WriteTo(os.Stdout)
		return err
	}
	text.WriteString(missed)
	return os.WriteFile(filepath.Join(root, page), text.Bytes(), 0o644)
}

// measure runs the command of a part and returns what it has to say.
func (p part) measure(ctx context.Context, root string) (string, error) {
	out, err := machine.Output(ctx, root, p.command[0], p.command[1:]...)
	if err != nil || p.lines == nil {
		return out, err
	}
	lines := p.lines.FindAllString(out+"\n", -1)
	if len(lines) == 0 {
		return "", fmt.Errorf("no figures in\n%s", out)
	}
	return strings.TrimRight(strings.Join(lines, ""), "\n"), nil
}
