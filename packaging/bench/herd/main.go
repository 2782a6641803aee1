// Herd measures what a crowd costs: a thousand processes of groat that want one cold token, with and without a groatd
// that runs; ten thousand open connections while the token is renewed; and one provider that is slow beside others that
// are not. groatd and groat are the real ones, the authorization servers are the sandbox.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

type options struct {
	bin         string
	processes   int
	connections int
	latency     time.Duration
	rotation    time.Duration
	rounds      int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of groat and groatd")
	flag.IntVar(&o.processes, "processes", 1000, "how many processes want the cold token")
	flag.IntVar(&o.connections, "connections", 10_000, "how many connections are open while the token is renewed")
	flag.DurationVar(&o.latency, "latency", time.Second, "how long the server takes for the cold token")
	flag.DurationVar(&o.rotation, "rotation", 20*time.Second, "the `lifetime` of the token that is renewed, twice")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the processes come, and the connections are opened")
	asJSON := flag.Bool("json", false, "write the figures as JSON")
	flag.Parse()
	if err := run(o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		os.Exit(1)
	}
}

// results are the figures of a run.
type results struct {
	Go, OS, Arch string
	CPUs         int
	// LoadBefore and LoadAfter are the machine's load averages over a minute.
	LoadBefore, LoadAfter float64
	Processes             []processes
	Connections           []connections
	Slow                  []slow
}

func run(o options, asJSON bool) error {
	r := results{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		LoadBefore: agent.Load()}
	for range o.rounds {
		for _, measure := range []func() (processes, error){
			func() (processes, error) { return measureFloor(o) },
			func() (processes, error) { return measureProcesses(o, false) },
			func() (processes, error) { return measureProcesses(o, true) },
		} {
			p, err := measure()
			if err != nil {
				return fmt.Errorf("processes: %w", err)
			}
			r.Processes = append(r.Processes, p)
		}
	}
	for range o.rounds {
		c, err := measureConnections(o)
		if err != nil {
			return fmt.Errorf("connections: %w", err)
		}
		r.Connections = append(r.Connections, c)
	}
	var err error
	if r.Slow, err = measureSlow(o); err != nil {
		return fmt.Errorf("a slow provider: %w", err)
	}
	r.LoadAfter = agent.Load()
	if asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.print()
}

func (r *results) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "processes, one cold token\tthe server takes\tmedian\tall have ended\tfailed\trequests\tbusy\t")
	for _, p := range r.Processes {
		name := "groatd runs"
		switch {
		case p.Autostart:
			name = "groatd is started"
		case p.Floor:
			name = "empty Go programs"
		}
		fmt.Fprintf(w, "%d, %s\t%v\t%v\t%v\t%d\t%d\t%.0f %%\t\n", p.Count, name, p.Latency, p.Median, p.Ended,
			p.Failed, p.Requests, 100*p.MachineBusy)
	}
	fmt.Fprintln(w, "\nopen connections\tanswers\trenewals\tp50\tp99\tslowest\tin a renewal: p99\tslowest\tbusy\t")
	for _, c := range r.Connections {
		fmt.Fprintf(w, "%d\t%d\t%d\t%v\t%v\t%v\t%v\t%v\t%.0f %%\t\n",
			c.Count, c.Quiet.Answers+c.Renewing.Answers, c.Renewals, c.Quiet.Median, c.Quiet.P99, c.Quiet.Slowest,
			c.Renewing.P99, c.Renewing.Slowest, 100*c.MachineBusy)
	}
	fmt.Fprintln(w, "\nbeside a provider that\tcached: p50\tp99\tcold: p50\tp99\tbusy\t")
	for _, s := range r.Slow {
		fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%v\t%.0f %%\t\n",
			s.Name, s.Cached.Median, s.Cached.P99, s.Cold.Median, s.Cold.P99, 100*s.MachineBusy)
	}
	fmt.Fprintf(w, "\n%s/%s, %d CPUs, %s, load %.2f before and %.2f after\n", r.OS, r.Arch, r.CPUs, r.Go, r.LoadBefore,
		r.LoadAfter)
	return w.Flush()
}
