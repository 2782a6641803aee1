//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/attack"
)

// experiment is one row.
type experiment struct {
	id, what string
	// quick ones are those that -short carries out too.
	quick bool
	// accounts: it is about a provider.
	accounts bool
	// files is how many descriptors the program may have; 0 is 1024.
	files int
	// run says what was seen. Its error is about the experiment and never about the program.
	run func(ctx context.Context, r *running) (string, error)
}

var experiments = []experiment{
	{id: "half-open", quick: true, run: halfOpen,
		what: "one client sends half a request and waits: another is answered"},
	{id: "hang-up", quick: true, run: hangUp,
		what: "clients hang up before their answer, 200 times"},
	{id: "endless", quick: true, run: endlessRequest,
		what: "a request without end, 64 MiB of it"},
	{id: "idle", run: crowdOf(1500, 100),
		what: "1,500 idle connections, 1,024 descriptors: another client is answered"},
	{id: "crowd", files: 16384, run: crowdOf(10000, 1000),
		what: "10,000 idle connections, 16,384 descriptors: another client is answered"},
	{id: "second", quick: true, run: secondStart,
		what: "a second one is started on the same socket"},
	{id: "crash", quick: true, run: crash,
		what: "it is killed (SIGKILL) and started again"},
	{id: "memory", quick: true, run: readMemory,
		what: "another program of the same user reads its memory"},
	{id: "slow", accounts: true, run: slowProvider,
		what: "one provider takes 6 s: a token of another, which is at hand, is had after"},
	{id: "unavailable", accounts: true, run: renewalThatGets(unavailable),
		what: "a renewal gets HTTP 503 while the token at hand is good: the next client"},
	{id: "page", accounts: true, quick: true, run: renewalThatGets(page),
		what: "a renewal gets a page under HTTP 200 while the token at hand is good: the next client"},
	{id: "nothing", accounts: true, run: renewalThatGets(nothing),
		what: "a renewal gets HTTP 200 without a token while the token at hand is good: the next client"},
	{id: "greedy", accounts: true, run: greedy,
		what: "120 clients want a token that is good for longer than any: requests at the provider"},
	{id: "together", accounts: true, run: together,
		what: "100 clients at once want a token when there is none: requests at the provider"},
	{id: "newline", accounts: true, run: lineFeed,
		what: "the provider puts a line feed into a token: a client"},
}

// crowdOf is crowd with numbers.
func crowdOf(n, step int) func(context.Context, *running) (string, error) {
	return func(ctx context.Context, r *running) (string, error) { return crowd(ctx, r, n, step) }
}

// renewalThatGets is failedRenewal with a reply.
func renewalThatGets(reply func(http.ResponseWriter)) func(context.Context, *running) (string, error) {
	return func(ctx context.Context, r *running) (string, error) { return failedRenewal(ctx, r, reply) }
}

// halfOpen is an honest client beside one that never ends its request.
func halfOpen(ctx context.Context, r *running) (string, error) {
	c, err := attack.HalfOpen(r.dial, r.begun)
	if err != nil {
		return "", err
	}
	defer c.Close()
	took, err := r.answers(ctx)
	if err == nil {
		return "answered in " + short(took), nil
	}
	c.Close()
	switch _, err := r.answers(ctx); {
	case err == nil:
		return fmt.Sprintf("**not in %s**, not before the first has gone", short(r.s.silence)), nil
	case !r.alive():
		return fmt.Sprintf("**not in %s**; when the first has gone, **it dies** (%s)",
			short(r.s.silence), signalOf(r)), nil
	}
	return fmt.Sprintf("**not in %s**, nor when the first has gone", short(r.s.silence)), nil
}

func hangUp(ctx context.Context, r *running) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n, err := attack.HangUp(ctx, r.dial, r.question, 200)
	if !r.alive() {
		return fmt.Sprintf("**it dies** (%s) of the %s at the latest", signalOf(r), ordinal(n)), nil
	}
	if err != nil {
		return fmt.Sprintf("no connection after %d: %v", n, reason(err)), nil
	}
	if _, err := r.answers(ctx); err != nil {
		return "it lives and answers no client", nil
	}
	return "all well", nil
}

// endlessRequest floods one connection and watches how much memory that takes.
func endlessRequest(ctx context.Context, r *running) (string, error) {
	before, err := attack.RSS(r.pid())
	if err != nil {
		return "", err
	}
	most := watch(r.pid())
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sent, err := attack.Flood(ctx, r.dial, r.endless, 64<<20)
	grown := max(most()-before, 0)
	if !r.alive() {
		return "**it dies** (" + signalOf(r) + ")", nil
	}
	memory := fmt.Sprintf("memory +%.1f MB", float64(grown)/1e6)
	switch {
	case attack.HungUp(err):
		return fmt.Sprintf("hung up on after %s, %s", size(sent), memory), nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("read to %s, %s", size(sent), memory), nil
	case err != nil:
		return "", err
	}
	return "**read whole**, " + memory, nil
}

// watch looks at a process's memory until it is told to stop, and returns the most it saw.
func watch(pid int) (most func() int64) {
	var seen int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			if now, err := attack.RSS(pid); err == nil {
				seen = max(seen, now)
			}
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				return
			}
		}
	}()
	return func() int64 {
		close(done)
		<-ended
		return seen
	}
}

// crowd opens idle connections by steps and asks after each, until there is no answer.
func crowd(ctx context.Context, r *running, n, step int) (string, error) {
	var idlers []*attack.Crowd
	defer func() {
		for _, i := range idlers {
			i.Close()
		}
	}()
	for open, well := 0, 0; ; well = open {
		idle, err := attack.Idle(ctx, r.dial, min(step, n-open))
		idlers = append(idlers, idle) // also of those that failed on the way
		open += idle.Size()
		if err != nil && r.alive() && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ECONNREFUSED) {
			return "", err // this process has room for no more
		}
		if _, failed := r.answers(ctx); failed != nil || err != nil {
			between := fmt.Sprintf("with %s (with %s, yes)", thousands(open), thousands(well))
			if !r.alive() {
				return "**it dies** (" + signalOf(r) + ") " + between, nil
			}
			return fmt.Sprintf("**not in %s** ", short(r.s.silence)) + between, nil
		}
		if open == n {
			limit, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			took, err := r.question.Median(limit, r.dial, 9)
			if err != nil {
				return "", err
			}
			kept := 0
			for _, i := range idlers {
				kept += i.Open()
			}
			rss, err := attack.RSS(r.pid())
			return fmt.Sprintf("answered in %s; %s are kept, memory %.0f MB",
				short(took), thousands(kept), float64(rss)/1e6), err
		}
	}
}

func secondStart(ctx context.Context, r *running) (string, error) {
	second, err := r.s.start(ctx, r.agent, r.home, 1024)
	if err != nil {
		return "", err
	}
	defer second.kill()
	if over := time.After(r.s.silence); !second.settles(over) {
		return "it runs, and the first serves", nil
	}
	if !second.alive() {
		says := fmt.Sprintf("refused (exit %d)", second.cmd.ProcessState.ExitCode())
		if r.server() != r.pid() {
			says += ", but the first is out of reach"
		}
		return says, nil
	}
	says := "**it takes the socket**, the first is out of reach"
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(patience):
		return says, nil
	}
	if second.server() != second.pid() {
		says += " and removes the socket when it ends"
	}
	return says, nil
}

// settles waits until the program has ended, or is who answers at the socket.
func (r *running) settles(over <-chan time.Time) bool {
	for {
		select {
		case <-r.ended:
			return true
		case <-over:
			return false
		case <-time.After(20 * time.Millisecond):
			if r.server() == r.pid() {
				return true
			}
		}
	}
}

func crash(ctx context.Context, r *running) (string, error) {
	r.kill()
	again, err := r.s.start(ctx, r.agent, r.home, 1024)
	if err == nil && !again.alive() {
		err = errors.New("it ended")
	}
	if err != nil {
		return "**it does not start**: " + reason(err), nil
	}
	defer again.kill()
	if _, err := again.answers(ctx); err != nil {
		return "it starts, empty", nil
	}
	return "it starts and has what it had", nil
}

// signalOf says how an agent ended.
func signalOf(r *running) string {
	state := r.cmd.ProcessState.String()
	return strings.TrimPrefix(strings.TrimSuffix(state, " (core dumped)"), "signal: ")
}

// reason is the last line of an error, without paths of this run.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && i+2 < len(text) {
		text = text[i+2:]
	}
	return strings.Join(strings.Fields(text), " ")
}
