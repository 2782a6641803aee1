package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
	"github.com/groat-dev/groat/protocol"
)

// work is what was done, and the processor time of both sides.
type work struct {
	times                int
	took, groatd, client time.Duration
}

// works :: name → what does it until the time is over
var works = map[string]func(*subject, context.Context) (work, error){
	"status": func(s *subject, ctx context.Context) (work, error) {
		return s.repeat(ctx, 1, func(c *protocol.Client) error { _, err := c.Status(ctx, ""); return err })
	},
	"list": func(s *subject, ctx context.Context) (work, error) {
		return s.repeat(ctx, 1, func(c *protocol.Client) error { _, err := c.Profiles(ctx); return err })
	},
	"token":   func(s *subject, ctx context.Context) (work, error) { return s.tokens(ctx, 1) },
	"clients": func(s *subject, ctx context.Context) (work, error) { return s.tokens(ctx, 64) },
}

func names() []string { return slices.Sorted(maps.Keys(works)) }

// tokens asks for a token that is at hand, as many clients at once.
func (s *subject) tokens(ctx context.Context, clients int) (work, error) {
	return s.repeat(ctx, clients, func(c *protocol.Client) error {
		_, err := c.Token(ctx, protocol.TokenParams{Profile: agent.First})
		return err
	})
}

// repeat lets as many clients do something again and again, each on a connection of its own, and has groatd profiled
// meanwhile.
func (s *subject) repeat(ctx context.Context, clients int, do func(*protocol.Client) error) (w work, err error) {
	all := make([]*protocol.Client, clients)
	for i := range all {
		if all[i], err = s.groatd.Connect(ctx); err != nil {
			return w, err
		}
		defer all[i].Close()
		if err := do(all[i]); err != nil {
			return w, err
		}
	}
	file, err := os.Create(s.path("client"))
	if err != nil {
		return w, err
	}
	defer file.Close()
	err = errors.Join(syscall.Kill(s.groatd.PID(), syscall.SIGUSR1), pprof.StartCPUProfile(file))
	if err != nil {
		return w, err
	}
	defer pprof.StopCPUProfile()
	before, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return w, err
	}
	mine, begin := processorTime(), time.Now()
	until := begin.Add(s.lasting)
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, c := range all {
		group.Go(func() {
			n, failed := 0, error(nil)
			for ; time.Now().Before(until) && failed == nil; n++ {
				failed = do(c)
			}
			mu.Lock()
			defer mu.Unlock()
			w.times += n
			if failed != nil {
				err = failed
			}
		})
	}
	group.Wait()
	w.took, w.client = time.Since(begin), processorTime()-mine
	if err != nil {
		return w, err
	}
	after, err := agent.UsageOf(s.groatd.PID())
	if err != nil {
		return w, err
	}
	w.groatd = after.CPU - before.CPU
	if err := syscall.Kill(s.groatd.PID(), syscall.SIGUSR1); err != nil {
		return w, err
	}
	return w, s.written(ctx)
}

// written waits until the last of the profiles is there.
func (s *subject) written(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		if info, err := os.Stat(s.path("heap")); err == nil && info.Size() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("groatd writes no profile to %s", s.path("heap"))
}

// processorTime returns how much processor time this process has had.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
