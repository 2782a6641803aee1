package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

const (
	// perServer is how many profiles share a server: groatd begins ten requests to one in a second at most.
	perServer = 200
	// hour is the lifetime of tokens that are not to be renewed meanwhile.
	hour = time.Hour
)

// times are the median of some measurements and their spread.
type times struct{ Median, Tenth, Ninetieth time.Duration }

func timesOf(all []time.Duration) times {
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(time.Microsecond) }
	return times{at(0.5), at(0.1), at(0.9)}
}

func (t times) String() string {
	if t == (times{}) {
		return "-"
	}
	return fmt.Sprintf("%v (%v to %v)", t.Median, t.Tenth, t.Ninetieth)
}

// figures are those of one number of profiles.
type figures struct {
	Profiles int
	Start    times

	StatusAll, StatusAllCommand times
	ListAll, ListAllCommand     times
	StatusOne, StatusOneCommand times

	MemoryStarted, MemoryFull, MemoryListed, MemoryIdle agent.Memory

	Idle struct {
		agent.Usage
		For         time.Duration
		MachineBusy float64
	}
	Renewals struct {
		Lifetime, For time.Duration
		Count         int
		Mean          float64 // a second
		Greatest      int     // in a second
		CPUEach       time.Duration
	}
}

// subject is one number of profiles, and the groatd that has them.
type subject struct {
	figures
	options options
	dir     string
	groatd  *agent.Agent
	starts  []time.Duration
}

func newSubject(o options, profiles int) (*subject, error) {
	s := &subject{options: o}
	s.Profiles = profiles
	return s, s.make(hour)
}

// make makes the agent, whose groatd does not run then, with tokens that live so long.
func (s *subject) make(lifetime time.Duration) (err error) {
	if s.dir, err = os.MkdirTemp("", "groat-many-"); err != nil {
		return err
	}
	s.groatd, err = agent.New(agent.Options{
		Bin: s.options.bin, Dir: s.dir, Servers: (s.Profiles + perServer - 1) / perServer, Lifetime: lifetime,
	})
	if err == nil {
		err = s.groatd.Stop()
	}
	if err == nil {
		err = s.groatd.Grow(s.Profiles)
	}
	return err
}

func (s *subject) close() {
	if s.groatd != nil {
		s.groatd.Close()
	}
	os.RemoveAll(s.dir)
}

// start starts groatd, and ends it again if it is to be started once more.
func (s *subject) start(again bool) error {
	took, err := s.groatd.Start()
	if err != nil {
		return err
	}
	s.starts = append(s.starts, took)
	s.Start = timesOf(slices.Clone(s.starts))
	if again {
		return s.groatd.Stop()
	}
	if err := s.settle(context.Background()); err != nil {
		return err
	}
	s.MemoryStarted, err = agent.MemoryOf(s.groatd.PID())
	return err
}

// settle waits until groatd has nothing to do: its processor time has not grown for a second.
func (s *subject) settle(ctx context.Context) error {
	for before := time.Duration(-1); ; {
		u, err := agent.UsageOf(s.groatd.PID())
		if err != nil {
			return err
		}
		if u.CPU-before < 2*time.Millisecond {
			return nil
		}
		before = u.CPU
		select {
		case <-ctx.Done():
			return errors.New("groatd does not come to rest")
		case <-time.After(time.Second):
		}
	}
}

// fill gets every profile its first token.
func (s *subject) fill(ctx context.Context) error {
	if err := s.groatd.Fill(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	var err error
	s.MemoryFull, err = agent.MemoryOf(s.groatd.PID())
	return err
}

// list times the listings.
func (s *subject) list(ctx context.Context) error {
	c, err := s.groatd.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	one := s.groatd.Names[len(s.groatd.Names)/2]
	status := func(profile string, want int) func() error {
		return func() error {
			r, err := c.Status(ctx, profile)
			if err == nil && (len(r.Profiles) != want || r.Profiles[0].State != "fresh") {
				err = fmt.Errorf("status: %d profiles, want %d that are fresh", len(r.Profiles), want)
			}
			return err
		}
	}
	profiles := func() error {
		r, err := c.Profiles(ctx)
		if err == nil && len(r.Profiles) != len(s.groatd.Names) {
			err = fmt.Errorf("profiles: %d, want %d", len(r.Profiles), len(s.groatd.Names))
		}
		return err
	}
	command := func(args ...string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, s.groatd.Groat, args...)
			cmd.Env, cmd.Stdout = s.groatd.Env, io.Discard
			return cmd.Run()
		}
	}
	type task struct {
		into *times
		do   func() error
		took []time.Duration
	}
	tasks := []*task{
		{into: &s.StatusAll, do: status("", len(s.groatd.Names))},
		{into: &s.StatusAllCommand, do: command("status", "--json")},
		{into: &s.ListAll, do: profiles},
		{into: &s.ListAllCommand, do: command("list", "--json")},
		{into: &s.StatusOne, do: status(one, 1)},
		{into: &s.StatusOneCommand, do: command("status", one)},
	}
	const warmUp, rounds = 2, 40
	for i := range warmUp + rounds {
		for _, t := range tasks {
			begin := time.Now()
			if err := t.do(); err != nil {
				return err
			}
			if i >= warmUp {
				t.took = append(t.took, time.Since(begin))
			}
		}
	}
	for _, t := range tasks {
		*t.into = timesOf(t.took)
	}
	s.MemoryListed, err = agent.MemoryOf(s.groatd.PID())
	return err
}

// rest watches groatd while nobody asks.
func (s *subject) rest(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	before, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return err
	}
	machine, begin := agent.Look(), time.Now()
	time.Sleep(s.options.idle)
	after, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return err
	}
	s.Idle.For, s.Idle.MachineBusy = time.Since(begin).Round(time.Second), agent.Look().BusySince(machine)
	s.Idle.CPU, s.Idle.Wakeups, s.Idle.Threads = after.CPU-before.CPU, after.Wakeups-before.Wakeups, after.Threads
	s.MemoryIdle, err = agent.MemoryOf(s.groatd.PID())
	return err
}

// renewals counts what leaves in each second while every token is renewed again and again.
func (s *subject) renewals() error {
	s.close()
	lifetime := s.options.renewals
	if err := s.make(lifetime); err != nil {
		return err
	}
	if _, err := s.groatd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := s.fill(ctx); err != nil {
		return err
	}
	before, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return err
	}
	r, begin := &s.Renewals, time.Now()
	r.Lifetime, r.For = lifetime, 2*lifetime
	time.Sleep(r.For)
	after, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return err
	}
	seconds := make([]int, int(r.For/time.Second)+1)
	for _, at := range s.groatd.Servers.Requests() {
		if since := at.Sub(begin); since >= 0 && since < r.For {
			seconds[since/time.Second]++
			r.Count++
		}
	}
	r.Greatest, r.Mean = slices.Max(seconds), float64(r.Count)/r.For.Seconds()
	r.CPUEach = ((after.CPU - before.CPU) / time.Duration(max(r.Count, 1))).Round(time.Microsecond)
	return nil
}
