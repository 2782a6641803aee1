package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fault is something that goes wrong while m renews; what it returns mends it.
type fault struct {
	name string
	do   func(t *testing.T, s *site, m *machine) (mend func())
}

// allFaults are what a campaign goes through again and again. "make test" has the first ones.
var allFaults = []fault{
	{"kill -9 of who renews", func(_ *testing.T, _ *site, m *machine) func() { m.kill(); return m.start }},
	{"kill -9 of the leader", func(t *testing.T, s *site, _ *machine) func() {
		return killNode(t, s, s.etcd.Leader(t))
	}},
	{"SIGSTOP of a node", func(t *testing.T, s *site, _ *machine) func() { return stopNode(t, s, s.follower(t)) }},
	{"a node in the minority", func(t *testing.T, s *site, _ *machine) func() {
		return isolate(t, s, s.etcd.Leader(t))
	}},
	{"kill -9 of who renews, which starts again at once", func(_ *testing.T, _ *site, m *machine) func() {
		m.restart()
		return func() {}
	}},
	{"SIGSTOP of who renews", func(t *testing.T, _ *site, m *machine) func() {
		m.process.Signal(t, syscall.SIGSTOP)
		return func() { m.process.Signal(t, syscall.SIGCONT) }
	}},
	{"who renews is cut off from the engine", func(_ *testing.T, s *site, m *machine) func() { return s.cut(m) }},
	{"kill -9 of a node", func(t *testing.T, s *site, _ *machine) func() { return killNode(t, s, s.follower(t)) }},
	{"SIGSTOP of the leader", func(t *testing.T, s *site, _ *machine) func() {
		return stopNode(t, s, s.etcd.Leader(t))
	}},
	{"no majority for some seconds", func(t *testing.T, s *site, _ *machine) func() {
		one, two := stopNode(t, s, 1), stopNode(t, s, 2)
		time.Sleep(rand.N(8 * time.Second))
		one()
		two()
		return func() {}
	}},
}

func (s *site) follower(t *testing.T) int { return s.etcd.Leader(t)%len(s.etcd.Endpoints) + 1 }

func killNode(t *testing.T, s *site, node int) func() {
	s.etcd.Kill(t, node)
	return func() { s.etcd.Start(t, node) }
}

func stopNode(t *testing.T, s *site, node int) func() {
	s.etcd.Stop(t, node)
	return func() { s.etcd.Continue(t, node) }
}

func isolate(t *testing.T, s *site, node int) func() {
	s.etcd.Isolate(t, node)
	return func() { s.etcd.Rejoin(t, node) }
}

// campaign is the faults of all sites.
type campaign struct {
	faults int
	seed   uint64

	mu       sync.Mutex
	random   *rand.Rand
	begun    int
	done     int
	requests int           // with a refresh token
	slowest  time.Duration // until the other machines had the token
}

func newCampaign(t *testing.T, faults int) *campaign {
	t.Helper()
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("GROAT_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return &campaign{faults: faults, seed: seed, random: rand.New(rand.NewPCG(seed, 1))}
}

// next draws a fault, the machine that renews, and the moment.
func (c *campaign) next(s *site) (n int, f fault, m *machine, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun == c.faults {
		return -1, fault{}, nil, 0
	}
	n = c.begun
	c.begun++
	return n, allFaults[n%len(allFaults)], s.machines[c.random.IntN(len(s.machines))],
		time.Duration(c.random.Int64N(int64(350 * time.Millisecond)))
}

// run has one machine renew, and something goes wrong at a random moment of it. The others ask for the same token
// meanwhile, and get it. The session is never lost, and no refresh token is presented more often than the fault
// explains.
func (c *campaign) run(t *testing.T, s *site) {
	s.server.SetLatency(300 * time.Millisecond) // most moments are while a request is on its way
	defer s.server.SetLatency(0)
	for !t.Failed() {
		n, f, m, after := c.next(s)
		if n < 0 {
			return
		}
		before, _ := s.presented()
		lag := s.fault(t, f, m, after)
		all, refused := s.presented()
		if refused > 0 {
			t.Fatalf("%s, of %s: the session is lost (seed %d, fault %d)", f.name, m.name, c.seed, n)
		}
		// The renewal, the same once more by who takes over, and once more by who was separated from the others.
		if all-before > 3 {
			t.Errorf("%s: %d requests for one renewal (seed %d, fault %d)", f.name, all-before, c.seed, n)
		}
		c.mu.Lock()
		c.done, c.requests, c.slowest = c.done+1, c.requests+all-before, max(c.slowest, lag)
		c.mu.Unlock()
		t.Logf("fault %d: %s, of %s, after %v: the others had the token after %v, %d requests", n, f.name, m.name,
			after.Round(time.Millisecond), lag.Round(10*time.Millisecond), all-before)
	}
}

// report says what came of it, in a line that "make proof" reads.
func (c *campaign) report(t *testing.T, sites, machines int) {
	if t.Failed() || c.done != c.faults {
		t.Fatalf("%d of %d faults, seed %d", c.done, c.faults, c.seed)
	}
	clock := ""
	if sites > 1 {
		clock = ", the clock of one two hours fast"
	}
	t.Logf("faults: %d fleets of %d machines%s, each on 3 nodes of etcd: %d faults, 0 logins lost, %d requests, the "+
		"other machines had a token after %v at most, seed %d", sites, machines, clock, c.done,
		c.requests, c.slowest.Round(100*time.Millisecond), c.seed)
}

// fault lets one fault happen while m renews, and returns how long the others waited for their token.
func (s *site) fault(t *testing.T, f fault, m *machine, after time.Duration) time.Duration {
	scope := s.fresh()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		m.token(ctx, scope)
	}()
	time.Sleep(after)
	began := time.Now()
	mend := f.do(t, s, m)
	var others []*machine
	for _, other := range s.machines {
		if other != m {
			others = append(others, other)
		}
	}
	s.everywhere(scope, others...)
	lag := time.Since(began)
	mend()
	cancel()
	<-asked
	m.await("", scope)
	s.etcd.Await(t)
	return lag
}
