package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// manyMachines is how many machines the simulation has: those of a large cluster.
const manyMachines = 1000

// crowd is a fleet of many machines, whose engine takes as long for a call and for an event as etcd does in the worst
// of a hundred cases.
type crowd struct {
	*site
	all []*machine

	mu    sync.Mutex
	calls map[int64]int // :: second → calls of the engine
}

const (
	slowCall  = 20 * time.Millisecond
	slowEvent = 50 * time.Millisecond
)

func newCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	c := &crowd{site: newSite(t, revoking), calls: map[int64]int{}}
	for i := range n {
		m := c.start(fmt.Sprintf("m%d", i), "")
		m.client.Inject(func(engine.Call) engine.Fault {
			c.mu.Lock()
			c.calls[time.Now().Unix()]++
			c.mu.Unlock()
			time.Sleep(time.Duration(rand.Int64N(int64(slowCall))))
			return engine.None
		})
		m.late.Store(int64(slowEvent))
		c.all = append(c.all, m)
	}
	if err := c.all[0].Replace(context.Background(), "work", c.session(), []byte("configuration")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	return c
}

// ask asks on all machines at once, and says how many different tokens there are.
func (c *crowd) ask() (different int) {
	var asking sync.WaitGroup
	var mu sync.Mutex
	tokens := map[string]int{}
	for _, m := range c.all {
		asking.Go(func() {
			token, err := m.get()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				c.t.Errorf("%s: %v", m.name, err)
				return
			}
			tokens[token.Access.Reveal()]++
		})
	}
	asking.Wait()
	return len(tokens)
}

// have counts the machines that hold the token of a generation.
func (c *crowd) have(generation int64) (n int) {
	for _, m := range c.all {
		m.Fleet.mu.Lock()
		for _, h := range m.profiles["work"].had {
			if h.generation >= generation {
				n++
				break
			}
		}
		m.Fleet.mu.Unlock()
	}
	return n
}

// A thousand machines that ask at once for a token that none has cause one request; each renewal is one request, and
// its token is on all of them within a second.
func TestAThousandMachines(t *testing.T) {
	tier.Long(t, "a thousand machines renew")
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, manyMachines)
		if n := c.ask(); n != 1 || c.posts() != 1 {
			t.Fatalf("%d different tokens after %d requests", n, c.posts())
		}
		slowest := time.Duration(0)
		for range 3 {
			before := c.all[0].Status("work").Generation
			for c.posts() == int(before)-1 { // until one renews ahead of time
				time.Sleep(5 * time.Millisecond)
			}
			began := time.Now()
			for c.have(before+1) < len(c.all) && time.Since(began) < 10*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			slowest = max(slowest, time.Since(began))
			time.Sleep(time.Minute)
			if n := c.ask(); n != 1 {
				t.Errorf("%d different tokens", n)
			}
			synctest.Wait()
			if after := c.all[0].Status("work").Generation; after != before+1 || c.posts() != int(after)-1 {
				t.Errorf("generation %d came after %d, by %d requests", after, before, c.posts())
			}
		}
		t.Logf("%d machines: 4 renewals by %d requests, the slowest on all within %v", len(c.all), c.posts(), slowest)
		if slowest > time.Second {
			t.Errorf("a renewed token was on all machines after %v", slowest)
		}
	})
}

// The engine is away for two minutes: no request is made more for that, every machine is current again within the
// longest wait, and they do not all come in the same second.
func TestTheHerdAfterARestartOfTheEngine(t *testing.T) {
	tier.Long(t, "a thousand machines come back")
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, manyMachines)
		c.ask()
		for _, m := range c.all {
			m.client.Cut()
		}
		time.Sleep(2 * time.Minute)
		if n := c.ask(); n != 1 || c.posts() != 1 {
			t.Errorf("without the engine: %d different tokens, %d requests", n, c.posts())
		}
		c.mu.Lock()
		clear(c.calls)
		c.mu.Unlock()
		for _, m := range c.all {
			m.client.Mend()
		}
		time.Sleep(mostWait + time.Second)
		synctest.Wait()
		for _, m := range c.all {
			if err := m.Status("work").Err; err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		total, most := 0, 0
		for _, n := range c.calls {
			total, most = total+n, max(most, n)
		}
		t.Logf("%d machines: %d calls of the engine, at most %d in a second", len(c.all), total, most)
		if total > 2*len(c.all) || most > len(c.all)/4 || c.posts() != 1 {
			t.Errorf("%d calls, %d in one second, %d requests", total, most, c.posts())
		}
	})
}
