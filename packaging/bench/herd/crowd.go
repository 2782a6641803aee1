package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
	"github.com/groat-dev/groat/protocol"
)

// answers are how long some took.
type answers struct {
	Answers              int
	Median, P99, Slowest time.Duration
}

func answersOf(took []time.Duration) (a answers) {
	if len(took) == 0 {
		return a
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(time.Microsecond) }
	return answers{len(took), at(0.5), at(0.99), at(1)}
}

// connections are many open ones, each of which asks now and then while the token is renewed.
type connections struct {
	Count, Renewals int
	// Renewing is the answers of the seconds around a renewal, Quiet all others.
	Quiet, Renewing answers
	MachineBusy     float64
}

const (
	// workers ask at once, each on one of its connections after the other.
	workers = 8
	// pause is how long a worker waits after an answer: about a thousand a second are asked for.
	pause = 5 * time.Millisecond
	// around a renewal an answer counts as one in it.
	around = 250 * time.Millisecond
)

// sample is one answer.
type sample struct {
	begun time.Time
	took  time.Duration
}

func measureConnections(o options) (c connections, err error) {
	var limit syscall.Rlimit
	err = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if need := uint64(o.connections + 200); err == nil && limit.Max < need {
		err = fmt.Errorf("this needs %d descriptors and may have %d: ulimit -Hn %d", need, limit.Max, 2*need)
	}
	if err != nil {
		return c, err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return c, err
	}
	dir, err := os.MkdirTemp("", "groat-herd-")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Options{Bin: o.bin, Dir: dir, Lifetime: o.rotation, Latency: 100 * time.Millisecond})
	if err != nil {
		return c, err
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	clients := make([]*protocol.Client, o.connections)
	for i := range clients {
		if clients[i], err = a.Connect(ctx); err != nil {
			return c, err
		}
		defer clients[i].Close()
		if _, err := clients[i].Token(ctx, protocol.TokenParams{Profile: agent.First}); err != nil {
			return c, err
		}
	}
	machine, before, until := agent.Look(), time.Now(), time.Now().Add(2*o.rotation)
	samples, err := askInTurn(ctx, clients, until)
	if err != nil {
		return c, err
	}
	c.Count, c.MachineBusy = o.connections, agent.Look().BusySince(machine)
	var quiet, renewing []time.Duration
	renewals := slices.DeleteFunc(a.Servers.Requests(), func(at time.Time) bool { return at.Before(before) })
	c.Renewals = len(renewals)
	for _, s := range samples {
		if slices.ContainsFunc(renewals, func(at time.Time) bool {
			return s.begun.Add(s.took).After(at.Add(-around)) && s.begun.Before(at.Add(around))
		}) {
			renewing = append(renewing, s.took)
		} else {
			quiet = append(quiet, s.took)
		}
	}
	c.Quiet, c.Renewing = answersOf(quiet), answersOf(renewing)
	return c, nil
}

// askInTurn asks on one connection after the other, from several goroutines that have some of them each.
func askInTurn(ctx context.Context, clients []*protocol.Client, until time.Time) (samples []sample, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			var mine []sample
			var failed error
			for i := w; time.Now().Before(until) && failed == nil; i += workers {
				begun := time.Now()
				_, failed = clients[i%len(clients)].Token(ctx, protocol.TokenParams{Profile: agent.First})
				mine = append(mine, sample{begun, time.Since(begun)})
				time.Sleep(pause)
			}
			mu.Lock()
			defer mu.Unlock()
			samples, err = append(samples, mine...), errors.Join(err, failed)
		})
	}
	group.Wait()
	return samples, err
}

// slow is what others see beside a provider that is slow.
type slow struct {
	Name string
	// Cached are answers from memory, Cold those for which a server had to be asked; both of other providers.
	Cached, Cold answers
	MachineBusy  float64
}

// measureSlow asks for tokens of nine providers while the tenth behaves in several ways, and a crowd waits for it.
func measureSlow(o options) (all []slow, err error) {
	for _, way := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"is like the others", nil},
		{"takes 6 s", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(6 * time.Second):
			case <-r.Context().Done():
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{"sends a byte a second", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for _, b := range []byte(`{"access_token":"slow","token_type":"Bearer"}`) {
				w.Write([]byte{b})
				http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		}},
	} {
		s, err := besideSlow(o, way.answer)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		s.Name = way.name
		all = append(all, s)
	}
	return all, nil
}

const (
	providers   = 10
	perProvider = 20
	// slowOne is the provider that is slow.
	slowOne = providers - 1
)

func besideSlow(o options, answer http.HandlerFunc) (s slow, err error) {
	dir, err := os.MkdirTemp("", "groat-herd-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Options{Bin: o.bin, Dir: dir, Servers: providers, Lifetime: time.Hour})
	if err != nil {
		return s, err
	}
	defer a.Close()
	if err = a.Stop(); err == nil {
		err = a.Grow(providers * perProvider)
	}
	if err == nil {
		_, err = a.Start()
	}
	if err != nil {
		return s, err
	}
	if answer != nil {
		a.Servers.Misbehave(slowOne, answer)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	crowd, leave := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer leave()
	for n := slowOne; n < len(a.Names); n += providers { // they wait for the slow one all the time
		c, err := a.Connect(ctx)
		if err != nil {
			return s, err
		}
		waiting.Go(func() {
			defer c.Close()
			for crowd.Err() == nil {
				c.Token(crowd, protocol.TokenParams{Profile: a.Names[n]})
			}
		})
	}
	c, err := a.Connect(ctx)
	if err != nil {
		return s, err
	}
	defer c.Close()
	ask := func(name string) (time.Duration, error) {
		begin := time.Now()
		_, err := c.Token(ctx, protocol.TokenParams{Profile: name})
		return time.Since(begin), err
	}
	machine := agent.Look()
	var cold, cached []time.Duration
	for n, name := range a.Names { // fewer than ten a second for each provider
		if n%providers == slowOne {
			continue
		}
		took, err := ask(name)
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
		cold = append(cold, took)
		time.Sleep(15 * time.Millisecond)
	}
	for i := range 5000 {
		name := a.Names[i%len(a.Names)]
		if i%providers == slowOne {
			continue
		}
		took, err := ask(name)
		if err != nil {
			return s, err
		}
		cached = append(cached, took)
		if i%10 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	s.Cold, s.Cached, s.MachineBusy = answersOf(cold), answersOf(cached), agent.Look().BusySince(machine)
	return s, nil
}
