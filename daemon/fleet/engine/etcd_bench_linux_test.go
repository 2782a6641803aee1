package engine

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// percentile returns the p-th percentile in milliseconds.
func percentile(times []time.Duration, p int) float64 {
	slices.Sort(times)
	return float64(times[(len(times)-1)*p/100].Microseconds()) / 1000
}

// BenchmarkEtcdSwap is a compare-and-swap of 2 kB through the JSON gateway of three nodes with TLS and authentication,
// beside a linearizable read of the same key, and beside a put by etcdctl, which is a process for each and speaks gRPC.
func BenchmarkEtcdSwap(b *testing.B) {
	c := &cluster{parts.StartEtcd(b, 0)}
	e := open(b, c.options())
	const key = "/groat/bench"
	state := swap(b, e, nil, Change{key, make([]byte, 2000)})
	var swaps, reads []time.Duration
	for b.Loop() {
		began := time.Now()
		state = swap(b, e, []Condition{{key, state.Revision}}, Change{key, make([]byte, 2000)})
		swaps = append(swaps, time.Since(began))
		began = time.Now()
		if _, _, err := e.Read(b.Context(), key); err != nil {
			b.Fatal(err)
		}
		reads = append(reads, time.Since(began))
	}
	var puts []time.Duration
	for range 20 {
		began := time.Now()
		put := exec.Command("etcdctl", "--endpoints", strings.Join(c.Endpoints, ","), "--cacert", c.CA, "--user",
			c.User+":"+c.Password, "put", key)
		put.Stdin = strings.NewReader(strings.Repeat("v", 2000))
		if out, err := put.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		puts = append(puts, time.Since(began))
	}
	b.ReportMetric(percentile(swaps, 50), "swap-p50-ms")
	b.ReportMetric(percentile(swaps, 99), "swap-p99-ms")
	b.ReportMetric(percentile(reads, 50), "read-p50-ms")
	b.ReportMetric(percentile(puts, 50), "etcdctl-put-p50-ms")
}

// BenchmarkEtcdWatch has 1,000 machines with a watch each, a connection and a client for every one: how long until the
// last has been told of a change, beside how long until a single one has; what a watch takes of the nodes' memory; and
// how long until all watch again after every node was killed.
func BenchmarkEtcdWatch(b *testing.B) {
	const machines = 1000
	c := &cluster{parts.StartEtcd(b, 0)}
	writer := open(b, c.options())
	state := swap(b, writer, nil, Change{"/groat/bench/a", []byte("0")})
	before := c.Memory(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	told, begun := make(chan struct{}, machines), make(chan struct{}, 100*machines)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range machines {
		e := open(b, c.options())
		wg.Go(func() {
			after := state
			for ctx.Err() == nil {
				e.Watch(ctx, "/groat/bench/", after, func(entries []Entry, s State) {
					if after = s; entries == nil {
						begun <- struct{}{}
					} else {
						told <- struct{}{}
					}
				})
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	for range machines {
		<-begun
	}
	memory := c.Memory(b) - before
	var last []time.Duration
	for b.Loop() {
		began := time.Now()
		state = swap(b, writer, nil, Change{"/groat/bench/a", fmt.Append(nil, began)})
		for range machines {
			<-told
		}
		last = append(last, time.Since(began))
	}
	b.ReportMetric(float64(memory)/machines/1000, "kB/watch")
	b.ReportMetric(percentile(last, 50), "all-told-p50-ms")
	b.ReportMetric(percentile(last, 100), "all-told-max-ms")
	for node := range c.Endpoints {
		c.Kill(b, node+1)
	}
	for node := range c.Endpoints {
		c.Start(b, node+1)
	}
	c.Await(b)
	began := time.Now()
	swap(b, writer, nil, Change{"/groat/bench/a", []byte("after the restart")})
	for range machines {
		<-told
	}
	b.ReportMetric(time.Since(began).Seconds(), "all-again-s")
}
