package engine

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// TestEtcd holds the client to Debian's etcd: three nodes with TLS and authentication, of which one after the other
// fails in every way. The tests run one after the other, since each has the whole cluster for itself.
func TestEtcd(t *testing.T) {
	t.Parallel()
	c := &cluster{parts.StartEtcd(t, 0)}
	t.Run("engine", func(t *testing.T) {
		testEngine(t, func() Engine { return c.engine(t) })
	})
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"who is refused", testRefused},
		{"a token that is forgotten", testForgottenToken},
		{"compaction", testCompaction},
		{"a large history", testLargeHistory},
		{"a machine that stands still", testStuckMachine},
		{"a leader that is killed", testKilledLeader},
		{"a node that is stopped", testStoppedNode},
		{"a node in the minority", testMinority},
		{"no majority", testNoMajority},
		{"an older copy", testOlderCopy},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

type cluster struct{ *parts.Etcd }

// options returns those of the fleet's user, for some nodes in this order, or all.
func (c *cluster) options(nodes ...int) Options {
	o := Options{Endpoints: c.Endpoints, Roots: x509.NewCertPool(), User: c.User,
		Password: keystore.SecretString(c.Password)}
	o.Roots.AddCert(c.Authority)
	if nodes != nil {
		o.Endpoints = nil
	}
	for _, n := range nodes {
		o.Endpoints = append(o.Endpoints, c.Endpoints[n-1])
	}
	return o
}

func (c *cluster) engine(t *testing.T) *Etcd { t.Helper(); return open(t, c.options()) }

// engineAt returns an engine that is at a node first.
func (c *cluster) engineAt(t *testing.T, node int) *Etcd {
	t.Helper()
	e := c.engine(t)
	for e.order()[0].url != c.Endpoints[node-1] {
		e.leave(e.order()[0])
	}
	return e
}

func testRefused(t *testing.T, c *cluster) {
	const password = "a password that is wrong"
	wrongPassword := c.options()
	wrongPassword.Password = keystore.SecretString(password)
	noUser := c.options()
	noUser.User, noUser.Password = "", keystore.Secret{}
	wrongCA := c.options()
	wrongCA.Roots = x509.NewCertPool()
	unreachable := c.options()
	unreachable.Endpoints = []string{"https://127.0.0.1:1"}
	for name, test := range map[string]struct {
		options Options
		prefix  string
		want    error
		text    string
	}{
		"wrong password":   {wrongPassword, "/groat/", ErrRefused, "invalid user ID or password"},
		"no user":          {noUser, "/groat/", ErrRefused, "user name is empty"},
		"another's key":    {c.options(), "/other/", ErrRefused, "permission denied"},
		"wrong authority":  {wrongCA, "/groat/", ErrUntrusted, ""},
		"an address alone": {unreachable, "/groat/", ErrUnavailable, "connection refused"},
	} {
		e := open(t, test.options)
		_, _, readErr := e.Read(t.Context(), test.prefix)
		_, _, swapErr := e.Swap(t.Context(), nil, []Change{{test.prefix + "refused", []byte("1")}})
		watchErr := e.Watch(t.Context(), test.prefix, State{Revision: 1}, func([]Entry, State) {})
		for _, err := range []error{readErr, swapErr, watchErr} {
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), c.Password)) {
				t.Errorf("%s: the password is in the error: %v", name, err)
			}
		}
	}
}

// counting swaps a counter again and again, and watches it. Each value must be told once, in order.
type counting struct {
	*watching
	t    *testing.T
	e    Engine
	key  string
	next int
	at   State
}

func count(t *testing.T, e Engine, watched Engine, name string) *counting {
	t.Helper()
	k := &counting{t: t, e: e, key: "/groat/" + name}
	_, state, err := e.Read(t.Context(), k.key)
	if err != nil {
		t.Fatal(err)
	}
	k.at, k.watching = state, watch(t, watched, k.key, state)
	receive(t, k.begun)
	k.more(20)
	return k
}

// more swaps so many times. Where it cannot know what became of a swap, it looks.
func (k *counting) more(n int) {
	k.t.Helper()
	until := time.Now().Add(wait)
	for last := k.next + n; k.next < last; {
		value := fmt.Append(nil, k.next)
		entries, _, err := k.e.Read(k.t.Context(), k.key)
		if err == nil && len(entries) == 1 && bytes.Equal(entries[0].Value, value) {
			k.next++
			continue
		}
		if err == nil {
			condition := Condition{Key: k.key}
			if len(entries) == 1 {
				condition.Revision = entries[0].Revision
			}
			var swapped bool
			if swapped, k.at, err = k.e.Swap(k.t.Context(), []Condition{condition}, []Change{{k.key, value}}); swapped {
				k.next++
				continue
			}
		}
		if time.Now().After(until) {
			k.t.Fatalf("value %d: %v", k.next, err)
		}
	}
}

// check wants all values from first on.
func (k *counting) check(first int) {
	k.t.Helper()
	for i := first; i < k.next; i++ {
		if got, want := text(receive(k.t, k.told)), fmt.Sprintf("%s=%d", k.key, i); got != want {
			k.t.Fatalf("told %q, want %q", got, want)
		}
	}
	select {
	case entries := <-k.told:
		k.t.Errorf("told %q, which nobody wrote", text(entries))
	case err := <-k.ended:
		k.t.Errorf("the watch ended: %v", err)
	default:
	}
}

// faster wants that what follows begin is soon there.
func faster(t *testing.T, than time.Duration, begin time.Time) {
	t.Helper()
	if took := time.Since(begin); took > than {
		t.Errorf("it took %v, which is more than %v", took, than)
	}
}

func testKilledLeader(t *testing.T, c *cluster) {
	leader := c.Leader(t)
	k := count(t, c.engineAt(t, leader), c.engineAt(t, leader), "killed")
	c.Kill(t, leader)
	k.more(20)
	k.check(0)
	c.Start(t, leader)
	c.Await(t)
}

func testStoppedNode(t *testing.T, c *cluster) {
	node := c.Leader(t)%3 + 1 // not the leader: only those who use it notice
	k := count(t, c.engineAt(t, node), c.engineAt(t, node), "stopped")
	quiet := watch(t, c.engineAt(t, node), "/groat/stopped", k.at)
	receive(t, quiet.begun)
	c.Stop(t, node)
	defer c.Continue(t, node)
	began := time.Now()
	k.more(20)
	k.check(0)
	faster(t, 15*time.Second, began)
	// The other one has no call that could find out: it asks by itself.
	for range 20 {
		receive(t, quiet.told)
	}
}

func testMinority(t *testing.T, c *cluster) {
	node := c.Leader(t)
	k := count(t, c.engineAt(t, node), c.engineAt(t, node), "minority")
	c.Isolate(t, node)
	defer c.Await(t)
	defer c.Rejoin(t, node)
	began := time.Now()
	k.more(20)
	k.check(0)
	faster(t, 15*time.Second, began)
}

// With a minority nothing can be read or written, and every call ends; afterwards all goes on.
func testNoMajority(t *testing.T, c *cluster) {
	e := c.engine(t)
	before := swap(t, e, nil, Change{"/groat/majority", []byte("1")})
	c.Stop(t, 1)
	c.Stop(t, 2)
	began := time.Now()
	w := watch(t, c.engine(t), "/groat/", before)
	if _, _, err := e.Read(t.Context(), "/groat/"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read: %v", err)
	}
	if err := receive(t, w.ended); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a watch: %v", err)
	}
	faster(t, totalTime+2*time.Second, began)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := e.Read(ctx, "/groat/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read that is to end: %v", err)
	}
	c.Continue(t, 1)
	c.Continue(t, 2)
	c.Await(t)
	if entries, _, err := e.Read(t.Context(), "/groat/majority"); err != nil || text(entries) != "/groat/majority=1" {
		t.Errorf("%q, %v", text(entries), err)
	}
}

// A token that a node does not know, or not any more, is replaced.
func testForgottenToken(t *testing.T, c *cluster) {
	e := c.engine(t)
	var state State
	for _, use := range []func(){
		func() { state = swap(t, e, nil, Change{"/groat/token", []byte("1")}) },
		func() {
			if _, _, err := e.Read(t.Context(), "/groat/token"); err != nil {
				t.Error(err)
			}
		},
		func() { receive(t, watch(t, e, "/groat/token", state).begun) },
	} {
		old := keystore.SecretString("unknown.1")
		e.session = old
		if use(); e.session.Equal(old) {
			t.Error("the token is the old one")
		}
	}
}

func testCompaction(t *testing.T, c *cluster) {
	e := c.engine(t)
	before := swap(t, e, nil, Change{"/groat/compacted", []byte("1")})
	swap(t, e, nil, Change{"/groat/compacted", []byte("2")})
	now := swap(t, e, nil, Change{"/groat/compacted", []byte("3")})
	c.Ctl(t, "compaction", fmt.Sprint(now.Revision))
	if err := receive(t, watch(t, e, "/groat/compacted", before).ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("a watch from before: %v", err)
	}
	w := watch(t, e, "/groat/compacted", now)
	swap(t, e, nil, Change{"/groat/compacted", nil})
	if got := text(receive(t, w.told)); got != "-/groat/compacted" {
		t.Errorf("told %q", got)
	}
}

// What is told at once may be more than one message: the changes of one revision stay together.
func testLargeHistory(t *testing.T, c *cluster) {
	e := c.engine(t)
	var changes []Change
	for i := range MaxSwap / MaxValue {
		changes = append(changes, Change{fmt.Sprintf("/groat/large/%d", i), make([]byte, MaxValue)})
	}
	before := swap(t, e, nil, Change{"/groat/large/first", []byte("1")})
	for range 6 {
		swap(t, e, nil, changes...)
	}
	w := watch(t, e, "/groat/large/", before)
	for range 6 {
		if entries := receive(t, w.told); len(entries) != len(changes) {
			t.Fatalf("%d changes, want %d", len(entries), len(changes))
		}
	}
}

// A machine that takes nothing from its watch delays no other one, and misses nothing.
func testStuckMachine(t *testing.T, c *cluster) {
	e := c.engineAt(t, 1)
	before := swap(t, e, nil, Change{"/groat/stuck", []byte("1")})
	goOn, told := make(chan struct{}), make(chan []Entry, 200)
	go c.engineAt(t, 1).Watch(t.Context(), "/groat/stuck", before, func(entries []Entry, _ State) {
		<-goOn
		if entries != nil {
			told <- entries
		}
	})
	well := watch(t, c.engineAt(t, 1), "/groat/stuck", before)
	const changes = 100
	for range changes { // more than any buffer on the way
		swap(t, e, nil, Change{"/groat/stuck", make([]byte, MaxValue)})
	}
	for range changes {
		receive(t, well.told)
	}
	close(goOn)
	last := before.Revision
	for range changes {
		entries := receive(t, told)
		if entries[0].Revision <= last {
			t.Fatalf("revision %d after %d", entries[0].Revision, last)
		}
		last = entries[0].Revision
	}
}

// A restored backup is an older copy: who has seen more is told, also when the copy has grown since.
func testOlderCopy(t *testing.T, c *cluster) {
	e := c.engine(t)
	old := swap(t, e, nil, Change{"/groat/copy", []byte("1")})
	backup := filepath.Join(t.TempDir(), "backup")
	c.Save(t, backup)
	var now State
	for i := range 5 {
		now = swap(t, e, nil, Change{"/groat/copy", fmt.Append(nil, "later", i)})
	}
	w := watch(t, e, "/groat/copy", now)
	receive(t, w.begun)
	c.Restore(t, backup)
	for {
		err := receive(t, w.ended)
		if errors.Is(err, ErrCompacted) {
			break
		}
		if !errors.Is(err, ErrUnavailable) {
			t.Fatalf("the watch: %v", err)
		}
		w = watch(t, e, "/groat/copy", now)
	}
	entries, state, err := e.Read(t.Context(), "/groat/copy")
	if err != nil || text(entries) != "/groat/copy=1" || entries[0].Revision != old.Revision ||
		state.Revision >= now.Revision {
		t.Errorf("%q, %+v after %+v, %v", text(entries), state, now, err)
	}
	for range 10 {
		state = swap(t, e, nil, Change{"/groat/copy", []byte("new")})
	}
	if state.Revision <= now.Revision {
		t.Fatalf("the copy is at %d, and was at %d", state.Revision, now.Revision)
	}
	if err := receive(t, watch(t, e, "/groat/copy", now).ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("a watch from before, after the copy has grown: %v", err)
	}
}
