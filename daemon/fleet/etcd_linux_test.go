package fleet

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// arrivals tells when a token has come to a number of machines.
type arrivals struct {
	mu   sync.Mutex
	have map[string]map[string]bool // :: access token → machines
	all  map[string]chan struct{}   // :: access token → closed when so many machines have it
	n    int
}

func (a *arrivals) of(token string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.channel(token)
}

func (a *arrivals) channel(token string) chan struct{} {
	if a.all[token] == nil {
		a.all[token], a.have[token] = make(chan struct{}), map[string]bool{}
	}
	return a.all[token]
}

func (a *arrivals) came(machine, token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := a.channel(token)
	if a.have[token][machine] {
		return
	}
	if a.have[token][machine] = true; len(a.have[token]) == a.n {
		close(done)
	}
}

// Two hundred machines on three nodes of etcd, or a thousand: all ask at once for a token that none has, which costs
// one request; then three renewals, each of which is on all of them within a second, where nothing else runs.
func TestManyMachinesOnEtcd(t *testing.T) {
	machines := manyMachines / 5
	if os.Getenv(everyOrder) == "all" {
		machines = manyMachines
	}
	nodes := parts.StartEtcd(t, 0)
	options := engine.Options{Endpoints: nodes.Endpoints, Roots: x509.NewCertPool(), User: nodes.User,
		Password: keystore.SecretString(nodes.Password)}
	options.Roots.AddCert(nodes.Authority)
	e, err := engine.NewEtcd(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s := newSite(t, revoking)
	s.etcd = e
	var all []*machine
	came := &arrivals{have: map[string]map[string]bool{}, all: map[string]chan struct{}{}, n: machines}
	var configured atomic.Int64
	ready := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for i := range machines {
		m := s.start(fmt.Sprintf("m%d", i), "")
		share, configure := m.tell.Came, m.tell.Configured
		m.Fleet.mu.Lock()
		m.tell.Came = func(profile string, match func(grant.Request) bool, token grant.Token) bool {
			taken := share(profile, match, token)
			came.came(m.name, token.Access.Reveal())
			return taken
		}
		m.tell.Configured = func(profile string, config []byte) {
			configure(profile, config)
			if configured.Add(1) == int64(machines) {
				close(ready)
			}
		}
		m.Fleet.mu.Unlock()
		if all = append(all, m); i > 0 {
			continue
		}
		if err := m.Replace(ctx, "work", s.session(), []byte("configuration")); err != nil {
			t.Fatal(err)
		}
	}
	await(ctx, t, ready)

	var asking sync.WaitGroup
	for _, m := range all {
		asking.Go(func() { m.mustGet() })
	}
	asking.Wait()
	if n := s.posts(); n != 1 {
		t.Errorf("%d requests for the first token", n)
	}
	var slowest time.Duration
	for i := range 3 {
		time.Sleep(justCame) // before that the token that has just come would be the answer
		token, err := all[i].b.Verify(ctx, "work")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		came.came(all[i].name, token.Access.Reveal())
		await(ctx, t, came.of(token.Access.Reveal()))
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("%d machines on etcd: 4 renewals by %d requests, the slowest on all within %v", machines, s.posts(),
		slowest.Round(time.Millisecond))
	if n := s.posts(); n != 4 {
		t.Errorf("%d requests for four tokens", n)
	}
	if slowest > time.Second && os.Getenv(everyOrder) == "all" { // time is measured where nothing else runs
		t.Errorf("a renewed token was on all machines after %v", slowest)
	}
}

func await(ctx context.Context, t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("not in time")
	}
}
