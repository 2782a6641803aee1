package fleet_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// grace is a server that replaces refresh tokens, and takes the one before for 30 s.
var grace = sandbox.Refresh{Rotate: true, Overlap: 30 * time.Second}

// TestFleet is a fleet on three nodes of etcd, one fault after the other. "make proof" has a thousand, on more machines.
func TestFleet(t *testing.T) {
	s := newSite(t, number(t, "GROAT_FLEET_MACHINES", 3), grace)
	t.Run("one request for all", s.within(oneRequestForAll))
	t.Run("who renewed", s.within(whoRenewed))
	t.Run("an older copy", s.within(olderCopy))
	t.Run("faults", s.within(faults))
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// within runs a test with the site's failures as its own.
func (s *site) within(test func(*testing.T, *site)) func(*testing.T) {
	return func(t *testing.T) { test(t, s) }
}

// Whoever asks, and however many at once: each token costs one request.
func oneRequestForAll(t *testing.T, s *site) {
	before, _ := s.presented()
	const renewals = 10
	for range renewals {
		if n := s.everywhere(s.fresh()); n != 1 {
			t.Errorf("%d tokens", n)
		}
	}
	if after, refused := s.presented(); after-before != renewals || refused != 0 {
		t.Errorf("%d requests for %d renewals, %d refused", after-before, renewals, refused)
	}
}

// Every machine can say which one renewed last.
func whoRenewed(t *testing.T, s *site) {
	m := s.machines[len(s.machines)-1]
	m.await("", s.fresh())
	for _, other := range s.machines {
		var status protocol.FleetResult
		until := time.Now().Add(patience)
		for time.Now().Before(until) {
			other.json(&status, "fleet", "status", "--json")
			if len(status.Profiles) == 1 && status.Profiles[0].RenewedBy == m.name {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if len(status.Profiles) != 1 || status.Profiles[0].RenewedBy != m.name || len(status.Machines) != len(s.machines) {
			t.Errorf("%s: %+v, want renewed by %s", other.name, status, m.name)
		}
	}
}

// The engine is restored from a backup that has an older refresh token: the machines have the newer one.
func olderCopy(t *testing.T, s *site) {
	backup := filepath.Join(t.TempDir(), "backup")
	s.etcd.Save(t, backup)
	for range 3 {
		s.everywhere(s.fresh())
	}
	s.etcd.Restore(t, backup)
	s.everywhere(s.fresh())
	if _, refused := s.presented(); refused != 0 {
		t.Errorf("%d requests were refused", refused)
	}
}

// fault is something that goes wrong while m renews; what it returns mends it.
type fault struct {
	name string
	do   func(t *testing.T, s *site, m *machine) (mend func())
}

// allFaults are those that the campaign draws from.
var allFaults = []fault{
	{"kill -9 of who renews", func(_ *testing.T, _ *site, m *machine) func() { m.kill(); return m.start }},
	{"kill -9 of who renews, and at once another one", func(_ *testing.T, _ *site, m *machine) func() {
		m.restart()
		return func() {}
	}},
	{"SIGSTOP of who renews", func(t *testing.T, _ *site, m *machine) func() {
		m.process.Signal(t, syscall.SIGSTOP)
		return func() { m.process.Signal(t, syscall.SIGCONT) }
	}},
	{"who renews is cut off", func(_ *testing.T, s *site, m *machine) func() { return s.cut(m) }},
	{"kill -9 of a node", func(t *testing.T, s *site, _ *machine) func() { return killNode(t, s, s.follower(t)) }},
	{"kill -9 of the leader", func(t *testing.T, s *site, _ *machine) func() { return killNode(t, s, s.etcd.Leader(t)) }},
	{"SIGSTOP of a node", func(t *testing.T, s *site, _ *machine) func() { return stopNode(t, s, s.follower(t)) }},
	{"SIGSTOP of the leader", func(t *testing.T, s *site, _ *machine) func() { return stopNode(t, s, s.etcd.Leader(t)) }},
	{"a node in the minority", func(t *testing.T, s *site, _ *machine) func() { return isolate(t, s, s.etcd.Leader(t)) }},
	{"no majority", func(t *testing.T, s *site, _ *machine) func() {
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

// faults has one machine renew, and something goes wrong at a random moment of it. The others ask for the same token
// meanwhile, and get it. The session is never lost; no refresh token is presented more often than the fault explains.
func faults(t *testing.T, s *site) {
	n := number(t, "GROAT_FLEET_FAULTS", 6)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("GROAT_SEED"), fmt.Sprint(time.Now().UnixNano())), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	order := random.Perm(len(allFaults))
	s.server.SetLatency(300 * time.Millisecond)
	defer s.server.SetLatency(0)
	renewals, again := 0, 0
	for i := range n {
		f := allFaults[order[i%len(order)]]
		at := random.IntN(len(s.machines))
		before, _ := s.presented()
		s.fault(t, f, s.machines[at], time.Duration(random.Int64N(int64(600*time.Millisecond))))
		after, refused := s.presented()
		if refused > 0 {
			t.Fatalf("%s: the session is lost (seed %d, fault %d)", f.name, seed, i)
		}
		// The renewal, the same once more by who takes over, and for what the fault itself made new.
		if after-before > 3 {
			t.Errorf("%s: %d requests for one renewal (seed %d, fault %d)", f.name, after-before, seed, i)
		}
		renewals, again = renewals+1, again+after-before-1
		if t.Failed() {
			return
		}
	}
	t.Logf("faults: a fleet of %d machines on 3 nodes of etcd: %d faults, 0 logins lost, %d requests, %d of them "+
		"repeated, seed %d", len(s.machines), n, renewals+again, again, seed)
}

// fault lets one fault happen while m renews.
func (s *site) fault(t *testing.T, f fault, m *machine, after time.Duration) {
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
	t.Logf("%s after %v: the others have the token after %v", f.name, after.Round(time.Millisecond),
		time.Since(began).Round(10*time.Millisecond))
	mend()
	cancel()
	<-asked
	m.await("", scope)
	s.etcd.Await(t)
}
