package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
)

// attacks are the ways to be a bad client of a groatd with a signed-in profile, each with what it must come to. While
// one is under way, somebody else is served.
var attacks = map[string]func(t *testing.T, ctx context.Context, u *attackedEnv){
	"A2 an endless line of 512 MiB": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		sent, err := attack.Flood(ctx, u.dial, bytes.Repeat([]byte("x"), 64<<10), 512<<20)
		if !attack.HungUp(err) || sent > 4<<20 {
			t.Errorf("%d bytes were taken: %v", sent, err)
		}
	},
	"A3 1,000 slow lorises": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		crowd, err := attack.Idle(ctx, u.dial, 1000)
		if err != nil {
			t.Fatal(err)
		}
		defer crowd.Close()
		begin := time.Now()
		n, err := crowd.Drip(ctx, hello.Text, 250*time.Millisecond)
		if err != nil || n >= len(hello.Text) {
			t.Errorf("a byte at a time, and %d could be written: %v", n, err)
		}
		t.Logf("the last of 1,000 was closed after %.1f s", time.Since(begin).Seconds())
	},
	"A4 silence": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		crowd, err := attack.Idle(ctx, u.dial, 1000)
		if err != nil {
			t.Fatal(err)
		}
		defer crowd.Close()
		u.ask(work)
		if n := crowd.Open(); n != 1000 {
			t.Errorf("%d of 1,000 idle connections are open, and there was room", n)
		}
	},
	"A5 half a request and no more": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		c, err := attack.HalfOpen(u.dial, []byte(`{"jsonrpc":`))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 20 {
			u.ask(work)
		}
	},
	"A5 half a request, half closed": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		for range 100 {
			if answer, err := attack.HalfClosed(ctx, u.dial, []byte(`{"jsonrpc":`)); err != nil ||
				!bytes.Contains(answer, []byte("-32700")) {
				t.Fatalf("%q, %v", answer, err)
			}
		}
	},
	"A6 200 that hang up": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		for _, q := range []attack.Question{hello, work} {
			if n, err := attack.HangUp(ctx, u.dial, q, 200); n != 200 || err != nil {
				t.Errorf("after %d: %v", n, err)
			}
		}
	},
	"A7 one that never reads": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		begin := time.Now()
		sent, err := attack.Flood(ctx, u.dial, bytes.Repeat(work.Text, 100), 1<<30)
		if !attack.HungUp(err) {
			t.Errorf("%d bytes were taken: %v", sent, err)
		}
		t.Logf("closed after %.1f s", time.Since(begin).Seconds())
	},
	"A31 10,000 descriptors passed": func(t *testing.T, ctx context.Context, u *attackedEnv) {
		if err := attack.PassDescriptors(ctx, u.dial, hello, 10_000); err != nil {
			t.Error(err)
		}
	},
}

// Whatever one client does, the others are served meanwhile, and nothing of it is left: no descriptor, no memory.
func TestAttacks(t *testing.T) {
	// What a process has learned from one attack (buffers, threads, a heap that has grown once) is within this.
	const growth = 24 << 20
	for name, f := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newAttackedEnv(t, "")
			server := u.signIn("work")
			for range 50 {
				u.ask(work)
			}
			before := u.measure()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			answered, stop := u.lively(work)
			f(t, ctx, u)
			// An attack that ends at once goes on until the good client has been answered during it.
			for answered.Load() == 0 && !t.Failed() && ctx.Err() == nil {
				f(t, ctx, u)
			}
			stop()
			if answered.Load() == 0 {
				t.Error("the good client was not answered once")
			}
			u.ask(work)
			now := u.settle(before)
			if now.rss-before.rss > growth {
				t.Errorf("it has grown from %s to %s", mib(before.rss), mib(now.rss))
			}
			if n := server.Count(sandbox.SpatiafiTokenPath); n != 1 {
				t.Errorf("%d token requests, want the login's", n)
			}
			t.Logf("memory %s before, %s after", mib(before.rss), mib(now.rss))
		})
	}
}

// 200 ask for a token that has to be obtained, and hang up. It is obtained all the same, once.
func TestA6TheRefreshCompletes(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	u.restart() // nothing is held now
	server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Delay: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if n, err := attack.HangUp(ctx, u.dial, work, 200); n != 200 || err != nil {
		t.Fatalf("after %d: %v", n, err)
	}
	if err := server.WaitFor(ctx, sandbox.SpatiafiTokenPath, 2); err != nil {
		t.Fatal("nobody asked the server:", err)
	}
	u.ask(work)
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and one", n)
	}
}

// 10,000 requests of one process, when nothing is held: the server is asked once.
func TestA27TenThousandRequests(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	u.restart()
	const connections, each = 8, 1250
	begin := time.Now()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			if err := pipeline(u.dial, []attack.Question{work}, each); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("%d answers in %v", connections*each, time.Since(begin).Round(time.Millisecond))
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 2 {
		t.Errorf("%d token requests, want the login's and one", n)
	}
}

// pipeline asks n times on one connection, the questions in turn, without waiting for the answers before it asks the
// next, and makes sure that each is answered well.
func pipeline(dial attack.Dial, questions []attack.Question, n int) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	asked := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := c.Write(questions[i%len(questions)].Text); err != nil {
				asked <- err
				return
			}
		}
		asked <- c.CloseWrite()
	}()
	answers, bad := 0, 0
	for line, err := range lineReader(c) {
		if err != nil {
			return fmt.Errorf("after %d answers: %w", answers, err)
		}
		answers++
		if !slices.ContainsFunc(questions,
			func(q attack.Question) bool { _, err := q.Whole(line); return err == nil }) {
			bad++
		}
	}
	if answers != n || bad != 0 {
		return fmt.Errorf("%d answers of %d, %d of them bad", answers, n, bad)
	}
	return <-asked
}

// A dead peer, a wrong one, and thousands of requests of every kind: in the end there is no more than in the beginning.
func TestE21NothingLeaks(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	mixed := []attack.Question{
		hello, work, line(`{"jsonrpc":"2.0","id":1,"method":"status"}`, `"profiles"`),
		line(`{"jsonrpc":"2.0","id":1,"method":"profiles"}`, `"work"`),
		line(`{"jsonrpc":"2.0","id":1,"method":"mint"}`, "-32601"),
		line(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"nobody"}}`, "unknown_profile"),
		line(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"../x"}}`, "-32602"),
		line(`{"jsonrpc":"2.0","id":1,"method":"token","params":{"target":"https://nowhere.example/"}}`,
			"unknown_profile"),
		line(`{"jsonrpc":"2.0","id":1,"method":"keystore"}`, `"sealed"`), work,
	}
	round := func(n int) {
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := pipeline(u.dial, mixed, n/5); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for range n / 100 {
			u.ask(mixed[n%len(mixed)])
		}
	}
	round(10_000)
	before := u.settle(u.measure())
	begin := time.Now()
	round(100_000)
	now := u.settle(before)
	if now.rss-before.rss > 16<<20 {
		t.Errorf("it has grown from %s to %s", mib(before.rss), mib(now.rss))
	}
	t.Logf("100,000 mixed requests in %v: memory %s before, %s after, %d descriptors before, %d after",
		time.Since(begin).Round(time.Millisecond), mib(before.rss), mib(now.rss), before.descriptors, now.descriptors)
	if n := server.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d token requests, want the login's", n)
	}
}

// groatd is killed while it obtains a token. The caller starts another, is answered, and notices nothing.
func TestE20KilledWhileItObtains(t *testing.T) {
	t.Parallel()
	u := newAttackedEnv(t, "")
	server := u.signIn("work")
	u.restart()
	u.vars = []string{"GROAT_NO_AUTOSTART="}
	server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Cut: sandbox.Hang})
	got := make(chan result, 1)
	go func() { got <- u.run("", "groat", "get", "work") }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := server.WaitFor(ctx, sandbox.SpatiafiTokenPath, 2); err != nil {
		t.Fatal(err)
	}
	killed := u.env.daemon
	u.env.daemon = nil
	killed.cmd.Process.Kill()
	if s := <-got; s.code != 0 || strings.TrimSpace(s.stdout) == "" {
		t.Errorf("%+v", s)
	}
	if pid := serving(u.socket()); pid == 0 || pid == killed.pid() {
		t.Errorf("process %d serves, and %d was killed", pid, killed.pid())
	}
	if _, err := killed.wait(); err != nil {
		t.Error(err)
	}
}
