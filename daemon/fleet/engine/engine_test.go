package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testEngine is what every engine must do. Each of its tests has a prefix of its own; newEngine returns a further way
// to the same store.
func testEngine(t *testing.T, newEngine func() Engine) {
	t.Run("read", func(t *testing.T) { testRead(t, newEngine()) })
	t.Run("swap", func(t *testing.T) { testSwap(t, newEngine()) })
	t.Run("bounds", func(t *testing.T) { testBounds(t, newEngine()) })
	t.Run("race", func(t *testing.T) { testRace(t, newEngine) })
	t.Run("watch", func(t *testing.T) { testWatch(t, newEngine()) })
	t.Run("watch from before", func(t *testing.T) { testWatchFromBefore(t, newEngine()) })
	t.Run("watch of what is to come", func(t *testing.T) { testWatchAhead(t, newEngine()) })
}

// swap makes a Swap that must succeed.
func swap(t testing.TB, e Engine, conditions []Condition, changes ...Change) State {
	t.Helper()
	swapped, state, err := e.Swap(t.Context(), conditions, changes)
	if err != nil || !swapped {
		t.Fatalf("swapped = %v, err = %v", swapped, err)
	}
	return state
}

// text shows entries without their revisions.
func text(entries []Entry) string {
	var words []string
	for _, e := range entries {
		if e.Value == nil {
			words = append(words, "-"+e.Key)
		} else {
			words = append(words, e.Key+"="+string(e.Value))
		}
	}
	return strings.Join(words, " ")
}

func testRead(t *testing.T, e Engine) {
	if entries, state, err := e.Read(t.Context(), "/groat/read/"); err != nil || entries != nil || state.Revision < 1 {
		t.Fatalf("an empty store: %v, %+v, %v", entries, state, err)
	}
	first := swap(t, e, nil, Change{"/groat/read/b", []byte("2")}, Change{"/groat/read/a", []byte{}}, Change{"/groat/read0", []byte("no")})
	second := swap(t, e, nil, Change{"/groat/read/b", []byte("\x00\xff")})
	entries, state, err := e.Read(t.Context(), "/groat/read/")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(entries), "/groat/read/a= /groat/read/b=\x00\xff"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if entries[0].Revision != first.Revision || entries[1].Revision != second.Revision {
		t.Errorf("revisions %v, want %d and %d", entries, first.Revision, second.Revision)
	}
	if entries[0].Value == nil {
		t.Error("an empty value is read as none")
	}
	if state.Revision < second.Revision || state.Cluster == 0 || state.Cluster != second.Cluster || state.Now.IsZero() {
		t.Errorf("state %+v after %+v", state, second)
	}
	// More than one page of what is large.
	large := make([]byte, MaxValue)
	for i := range 40 {
		swap(t, e, nil, Change{fmt.Sprintf("/groat/read/many/%02d", i), large})
	}
	entries, _, err = e.Read(t.Context(), "/groat/read/many/")
	if err != nil || len(entries) != 40 || !slices.IsSortedFunc(entries, func(a, b Entry) int {
		return strings.Compare(a.Key, b.Key)
	}) {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func testSwap(t *testing.T, e Engine) {
	a, b := Change{"/groat/swap/a", []byte("1")}, Change{"/groat/swap/b", []byte("1")}
	made := swap(t, e, []Condition{{"/groat/swap/a", 0}, {"/groat/swap/b", 0}}, a, b)
	for _, conditions := range [][]Condition{
		{{"/groat/swap/a", 0}},
		{{"/groat/swap/a", made.Revision}, {"/groat/swap/b", made.Revision - 1}},
		{{"/groat/swap/a", made.Revision}, {"/groat/swap/c", made.Revision}},
	} {
		swapped, state, err := e.Swap(t.Context(), conditions, []Change{{"/groat/swap/a", []byte("2")}, {"/groat/swap/c", nil}})
		if err != nil || swapped || state.Revision < made.Revision {
			t.Errorf("%v: swapped = %v, %+v, %v", conditions, swapped, state, err)
		}
	}
	later := swap(t, e, []Condition{{"/groat/swap/a", made.Revision}}, Change{"/groat/swap/a", nil}, Change{"/groat/swap/b", []byte("2")})
	if later.Revision <= made.Revision {
		t.Errorf("revision %d after %d", later.Revision, made.Revision)
	}
	if entries, _, err := e.Read(t.Context(), "/groat/swap/"); err != nil || text(entries) != "/groat/swap/b=2" {
		t.Errorf("%q, %v", text(entries), err)
	}
	// A key that was deleted is not there.
	swap(t, e, []Condition{{"/groat/swap/a", 0}}, a)
}

func testBounds(t *testing.T, e Engine) {
	key := strings.Repeat("k", MaxKey+1)
	many := make([]Change, MaxChanges+1)
	for i := range many {
		many[i] = Change{fmt.Sprintf("/groat/bounds/%d", i), []byte("1")}
	}
	heavy := make([]Change, MaxSwap/MaxValue+1)
	for i := range heavy {
		heavy[i] = Change{fmt.Sprintf("/groat/bounds/%d", i), make([]byte, MaxValue)}
	}
	for name, changes := range map[string][]Change{
		"no key": {{"", []byte("1")}}, "long key": {{key, []byte("1")}},
		"long value":    {{"/groat/bounds/a", make([]byte, MaxValue+1)}},
		"one key twice": {{"/groat/bounds/a", []byte("1")}, {"/groat/bounds/a", nil}},
		"many":          many, "heavy": heavy,
	} {
		if swapped, _, err := e.Swap(t.Context(), nil, changes); err == nil || swapped || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: swapped = %v, %v", name, swapped, err)
		}
	}
	if _, _, err := e.Swap(t.Context(), []Condition{{"", 0}}, nil); err == nil {
		t.Error("a condition without a key is taken")
	}
	if _, _, err := e.Read(t.Context(), ""); err == nil {
		t.Error("the whole store can be read")
	}
	if err := e.Watch(t.Context(), "", State{Revision: 1}, func([]Entry, State) {}); err == nil {
		t.Error("the whole store can be watched")
	}
	if entries, _, err := e.Read(t.Context(), "/groat/bounds/"); err != nil || entries != nil {
		t.Errorf("written: %v, %v", text(entries), err)
	}
	swap(t, e, nil, many[:MaxChanges]...)
	swap(t, e, nil, heavy[:MaxSwap/MaxValue]...)
}

// testRace: of all who swap on one revision, one does.
func testRace(t *testing.T, newEngine func() Engine) {
	const writers = 200
	before := swap(t, newEngine(), nil, Change{"/groat/race/key", []byte("before")})
	engines := []Engine{newEngine(), newEngine(), newEngine(), newEngine()}
	var winners atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			swapped, _, err := engines[i%len(engines)].Swap(t.Context(),
				[]Condition{{"/groat/race/key", before.Revision}}, []Change{{"/groat/race/key", fmt.Append(nil, i)}})
			if err != nil {
				t.Error(err)
			}
			if swapped {
				winners.Add(1)
			}
		})
	}
	wg.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d of %d writers won", n, writers)
	}
}

// watching is a running Watch.
type watching struct {
	told   chan []Entry // without those that tell nothing
	begun  chan State
	ended  chan error
	cancel func()
}

func watch(t *testing.T, e Engine, prefix string, after State) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{make(chan []Entry, 10_000), make(chan State, 10_000), make(chan error, 1), cancel}
	go func() {
		w.ended <- e.Watch(ctx, prefix, after, func(entries []Entry, state State) {
			if entries == nil {
				w.begun <- state
				return
			}
			w.told <- entries
		})
	}()
	t.Cleanup(cancel)
	return w
}

// wait is how long tests wait for what must happen.
const wait = 20 * time.Second

// receive returns what comes from a channel.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(wait):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func testWatch(t *testing.T, e Engine) {
	_, state, err := e.Read(t.Context(), "/groat/watch/")
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, e, "/groat/watch/", state)
	if begun := receive(t, w.begun); begun.Revision < state.Revision {
		t.Errorf("begun at %d, before %d", begun.Revision, state.Revision)
	}
	swap(t, e, nil, Change{"/groat/watch/a", []byte("1")}, Change{"/groat/watch/b", []byte("1")}, Change{"/groat/watch0", []byte("1")})
	swap(t, e, nil, Change{"/groat/watch0", []byte("2")})
	last := swap(t, e, nil, Change{"/groat/watch/b", []byte{}}, Change{"/groat/watch/a", nil})
	if got, want := text(receive(t, w.told)), "/groat/watch/a=1 /groat/watch/b=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	entries := receive(t, w.told)
	if got, want := text(entries), "/groat/watch/b= -/groat/watch/a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, e := range entries {
		if e.Revision != last.Revision {
			t.Errorf("%s has revision %d, want %d", e.Key, e.Revision, last.Revision)
		}
	}
	w.cancel()
	if err := receive(t, w.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("after the cancel: %v", err)
	}
}

// testWatchFromBefore: a watch begins where it is told, though that is long ago.
func testWatchFromBefore(t *testing.T, e Engine) {
	before := swap(t, e, nil, Change{"/groat/past/a", []byte("0")})
	for i := range 50 {
		swap(t, e, nil, Change{"/groat/past/a", fmt.Append(nil, i)})
	}
	w := watch(t, e, "/groat/past/", before)
	for i := range 50 {
		if got, want := text(receive(t, w.told)), fmt.Sprintf("/groat/past/a=%d", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// testWatchAhead: a store that has not the revision that was seen is an older copy.
func testWatchAhead(t *testing.T, e Engine) {
	_, state, err := e.Read(t.Context(), "/groat/ahead/")
	if err != nil {
		t.Fatal(err)
	}
	state.Revision += 1000
	if err := receive(t, watch(t, e, "/groat/ahead/", state).ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("a revision that is to come: %v", err)
	}
	state.Revision -= 1000
	state.Cluster++
	if err := receive(t, watch(t, e, "/groat/ahead/", state).ended); !errors.Is(err, ErrCompacted) {
		t.Errorf("another cluster: %v", err)
	}
}
