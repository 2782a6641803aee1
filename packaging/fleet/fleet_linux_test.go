package fleet_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
)

// grace is a server that replaces refresh tokens, and takes the one before for 30 s.
var grace = sandbox.Refresh{Rotate: true, Overlap: 30 * time.Second}

// TestFleet is a fleet on three nodes of etcd, with some faults. "make proof" has a thousand, in fleets beside each
// other of which one machine has a clock that is two hours fast.
func TestFleet(t *testing.T) {
	sites, machines := number(t, "GROAT_FLEET_SITES", 1), number(t, "GROAT_FLEET_MACHINES", 3)
	c := newCampaign(t, number(t, "GROAT_FLEET_FAULTS", 4))
	p := programs{bin: parts.Binaries(t)}
	if sites > 1 {
		p.fast = twoHoursFast(t)
	}
	t.Run("sites", func(t *testing.T) {
		for i := range sites {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, machines, p, grace)
				t.Run("one request for all", s.within(oneRequestForAll))
				t.Run("who renewed", s.within(whoRenewed))
				t.Run("an older copy", s.within(olderCopy))
				t.Run("faults", func(t *testing.T) { c.run(t, s) })
			})
		}
	})
	c.report(t, sites, machines)
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
