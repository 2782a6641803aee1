// Profile shows where the time and the memory of groatd go in the work of a benchmark: the functions that a processor
// profile has most of, while a client does that work again and again, and what is live in its memory afterwards.
// packaging/bench/FLOOR.md has what it has shown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

type options struct {
	root     string
	of       string
	profiles int
	lasting  time.Duration
	keep     string
}

func main() {
	var o options
	flag.StringVar(&o.root, "dir", ".", "the repository's `directory`")
	flag.StringVar(&o.of, "of", "status", "the `work`: "+strings.Join(names(), ", "))
	flag.IntVar(&o.profiles, "profiles", 10_000, "`number` of profiles, each of which holds a token")
	flag.DurationVar(&o.lasting, "for", 10*time.Second, "how long it is done")
	flag.StringVar(&o.keep, "keep", "", "`directory` for the profiles and the program, to be read with go tool pprof")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	do, ok := works[o.of]
	if !ok || o.profiles < 1 || o.profiles > 99_999 {
		return fmt.Errorf("-of %s -profiles %d: want one of %s, and from 1 to 99999", o.of, o.profiles,
			strings.Join(names(), ", "))
	}
	dir, err := os.MkdirTemp("", "groat-profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSubject(o, dir)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.groatd.Fill(ctx); err != nil {
		return err
	}
	w, err := do(s, ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d profiles: %d times in %v\n", o.of, o.profiles, w.times, w.took.Round(time.Millisecond))
	fmt.Printf("processor for each, groatd %v, this client %v\n", w.groatd/time.Duration(w.times),
		w.client/time.Duration(w.times))
	return s.show(ctx)
}

// subject is a groatd that profiles itself.
type subject struct {
	options
	bin    string
	groatd *agent.Agent
}

func newSubject(o options, dir string) (*subject, error) {
	s := &subject{options: o, bin: filepath.Join(dir, "bin")}
	if o.keep != "" {
		s.bin = o.keep
	}
	home := filepath.Join(dir, "home")
	if err := errors.Join(os.MkdirAll(s.bin, 0o700), os.Mkdir(home, 0o700)); err != nil {
		return nil, err
	}
	const perServer = 200
	text := fmt.Sprintf(hook, s.path("cpu"), s.path("heap"))
	err := errors.Join(
		agent.BuildWith(o.root, s.path("groatd"), "./cmd/groatd", "profile.go", text),
		agent.BuildWith(o.root, s.path("groat"), "./cmd/groat", "", ""),
		agent.BuildWith(o.root, s.path("groat-commands"), "./cmd/groat-commands", "", ""))
	if err != nil {
		return nil, err
	}
	s.groatd, err = agent.New(agent.Options{
		Bin: s.bin, Dir: home, Servers: (o.profiles + perServer - 1) / perServer, Lifetime: time.Hour,
	})
	if err == nil {
		err = s.groatd.Stop()
	}
	if err == nil {
		err = s.groatd.Grow(o.profiles)
	}
	if err == nil {
		_, err = s.groatd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *subject) path(name string) string { return filepath.Join(s.bin, name) }

func (s *subject) close() error {
	if s.groatd == nil {
		return nil
	}
	return s.groatd.Close()
}

// hook is compiled into groatd: SIGUSR1 begins a processor profile, or ends it and writes what is live as well.
const hook = `package main

import (
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

func init() {
	runtime.MemProfileRate = 16 << 10
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for {
			<-asked
			cpu, err := os.Create(%q)
			if err != nil {
				panic(err)
			}
			pprof.StartCPUProfile(cpu)
			<-asked
			pprof.StopCPUProfile()
			cpu.Close()
			runtime.GC()
			heap, err := os.Create(%q)
			if err != nil {
				panic(err)
			}
			pprof.Lookup("heap").WriteTo(heap, 0)
			heap.Close()
		}
	}()
}
`

// show prints the tables.
func (s *subject) show(ctx context.Context) error {
	for _, table := range []struct {
		title string
		args  []string
	}{
		{"processor, by function and what it calls", []string{"-cum", "-nodecount=40", s.path("cpu")}},
		{"processor, by function", []string{"-nodecount=25", s.path("cpu")}},
		{"the client's processor, by function and what it calls", []string{"-cum", "-nodecount=40", s.path("client")}},
		{"live", []string{"-sample_index=inuse_space", "-nodecount=25", s.path("heap")}},
		{"allocated since the start", []string{"-sample_index=alloc_space", "-nodecount=25", s.path("heap")}},
	} {
		out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-top"}, table.args...)...).Output()
		if err != nil {
			return fmt.Errorf("pprof: %w", err)
		}
		fmt.Printf("\n%s\n%s", table.title, out)
	}
	return nil
}
