//go:build !race

package fleet

// One goroutine at a time runs under the checker, so there is nothing for the race detector, and it would take the time
// of all other tests. "make test" runs these without it.

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// action is one choice of the checker.
type action struct {
	m    int // -1: time passes
	what deed
}

type deed string

const (
	goes       deed = "goes on"
	crashes    deed = "crashes"
	pauses     deed = "is paused"
	resumes    deed = "goes on after its pause"
	lands      deed = "stands still, and the server handles its request"
	loses      deed = "does not get the answer"
	isCut      deed = "is cut off from the engine, which has not heard it"
	isCutAfter deed = "is cut off from the engine, which has heard it"
	heals      deed = "is no longer cut off"
	timePasses deed = "time passes"
)

// mishap is a fault that has happened, and where.
type mishap struct {
	fault fault
	step  step
}

// run is one execution and what has happened in it.
type execution struct {
	*world
	done    []action
	mishaps []mishap
	idle    int // how often time has passed although nobody waits
}

func (x *execution) order(m *modelMachine, o order) {
	m.orders <- o
	<-m.here
	x.watch()
}

// watch lets every machine that can see what the engine has; so does the watch of [Fleet.Run], at once.
func (x *execution) watch() {
	for _, m := range x.machines {
		if m.stands != gone && !m.paused && !m.cut && m.watched != x.changes {
			m.watched = x.changes
			m.f.take(x.mem.Entries(), engine.State{Now: modelEpoch.Add(x.now)}, false)
		}
	}
}

// due returns when the machine renews unasked, and when it writes back what the engine does not have; 0 is never.
func (m *modelMachine) due() (renew, flush time.Duration) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	p := m.f.profiles["work"]
	return p.due, p.flushAt
}

// ready reports whether a machine may go on now.
func (x *execution) ready(i int) bool {
	m := x.machines[i]
	switch m.stands {
	case gone:
		return false
	case ahead: // they are alike: one begins after the other
		due, _ := m.due()
		return i == 0 || x.machines[i-1].stands != ahead || due != 0 && due <= x.now
	case over:
		due, flush := m.due()
		return !m.cut && (due != 0 && due <= x.now && m.made < 2 || flush != 0 && flush <= x.now)
	case waiting:
		select {
		case <-m.changed:
			return true
		default:
			return m.until <= x.now
		}
	}
	return true
}

// choices are the actions that are possible, of faults at most so many. A step that touches nothing but its machine is
// taken before all others: in which order it comes among those of other machines makes no difference.
func (x *execution) choices(faults int) (all []action) {
	for i, m := range x.machines {
		own := m.stands == sending || m.stands == answered || m.stands == waiting && x.ready(i)
		if own && !m.paused {
			all = append(all, action{i, goes})
			if len(x.mishaps) < faults {
				x.faultsOf(m, func(what deed) { all = append(all, action{i, what}) })
			}
			return all
		}
	}
	busy, paused := false, false
	for i, m := range x.machines {
		can := func(what deed) { all = append(all, action{i, what}) }
		if m.stands == gone {
			continue
		}
		mayFail := len(x.mishaps) < faults && m.stands != ahead && (m.stands != over || m.got)
		if m.paused {
			paused = true
			can(resumes)
			if m.stands == flying {
				can(lands)
				busy = busy || m.flightTo <= x.now
			}
			if mayFail {
				can(crashes)
			}
			continue
		}
		if x.ready(i) {
			can(goes)
			due, _ := m.due()
			busy = busy || m.stands != ahead || due != 0 && due <= x.now
		}
		if mayFail {
			x.faultsOf(m, can)
		}
		if m.cut && (m.stands == reading || m.stands == swapping || m.stands == over) { // where it makes a difference
			can(heals)
		}
	}
	if next := x.nextTime(); !busy && (next != 0 || paused && x.idle < 2) {
		all = append(all, action{-1, timePasses})
	}
	return all
}

// faultsOf are the faults that can happen to a machine where it stands. What happens to one that has written nothing,
// and is not about to, is left out: for the others it is a machine that begins later, or never.
func (x *execution) faultsOf(m *modelMachine, can func(deed)) {
	switch m.stands {
	case waiting, over:
		if m.got {
			can(crashes)
		}
	case reading:
		if m.holds {
			can(crashes)
			can(pauses)
		}
		if m.holds && !m.cut {
			can(isCut)
		}
	case swapping:
		can(pauses)
		if m.holds {
			can(crashes)
		}
		if m.holds && !m.cut {
			can(isCut)
		}
		if !m.cut {
			can(isCutAfter)
		}
	case sending, flying, answered:
		can(crashes)
		can(pauses)
		if m.stands != sending {
			can(loses)
		}
		if !m.cut {
			can(isCut)
		}
	}
}

// stepOf is where a machine is, as the tables call it.
func stepOf(m *modelMachine) step {
	switch {
	case m.got:
		return beforeResult
	case m.stands == sending:
		return beforeSend
	case m.stands == flying:
		return onItsWay
	case m.stands == answered, m.stands == swapping && m.holds:
		return handled
	case m.holds:
		return intentMade
	}
	return beforeIntent
}

// do makes a choice happen.
func (x *execution) do(a action) {
	x.done = append(x.done, a)
	if a.m < 0 {
		next := x.nextTime()
		if next == 0 {
			next = x.now + TakeOver
			x.idle++
		}
		x.now = next
		return
	}
	m := x.machines[a.m]
	happens := func(f fault, at step) { x.mishaps = append(x.mishaps, mishap{f, at}) }
	switch a.what {
	case goes:
		x.order(m, goOn)
	case crashes:
		happens(crash, stepOf(m))
		m.orders <- end
		m.stands = gone
	case pauses:
		happens(stopped, stepOf(m))
		m.paused = true
	case lands:
		x.order(m, goOn)
	case resumes:
		m.paused = false
		x.watch()
	case loses:
		happens(noAnswer, stepOf(m))
		x.order(m, breakOff)
	case isCut:
		happens(partition, stepOf(m))
		m.cut = true
		if m.stands == reading || m.stands == swapping {
			x.order(m, refuse)
		}
	case isCutAfter:
		at := intentMade
		if m.holds {
			at = resultMade
		}
		happens(partition, at)
		m.cut = true
		x.order(m, lose)
	case heals:
		m.cut = false
		x.watch()
	}
}

// nextTime is when something becomes possible that is not now; 0 where time alone changes nothing.
func (x *execution) nextTime() (next time.Duration) {
	soonest := func(t time.Duration) {
		if t > x.now && (next == 0 || t < next) {
			next = t
		}
	}
	for _, m := range x.machines {
		due, flush := m.due()
		switch {
		case m.stands == gone:
		case m.paused && m.stands == flying:
			soonest(m.flightTo)
		case m.paused:
		case m.stands == waiting:
			soonest(m.until)
		case m.stands == ahead:
			soonest(due)
		case m.stands == over && !m.cut:
			soonest(flush)
			if m.made < 2 {
				soonest(due)
			}
		}
	}
	return next
}

// state is all that decides what can still happen, and how it is judged.
func (x *execution) state() [16]byte {
	h := fnv.New128a()
	mishaps := slices.SortedFunc(slices.Values(x.mishaps), func(a, b mishap) int {
		return strings.Compare(string(a.fault+"/"+fault(a.step)), string(b.fault+"/"+fault(b.step)))
	})
	fmt.Fprintln(h, x.now, x.server.text(), x.engineText(), x.posts, mishaps, x.idle)
	for _, token := range slices.Sorted(maps.Keys(x.presented)) {
		fmt.Fprintln(h, token, x.presented[token])
	}
	for _, m := range x.machines {
		if m.stands == gone {
			fmt.Fprintln(h, gone)
			continue
		}
		m.f.mu.Lock()
		fmt.Fprintln(h, m.stands, m.until, m.holds, m.got, m.paused, m.cut, m.flightTo, m.made, m.history, m.err)
		m.knows(h)
		m.f.mu.Unlock()
	}
	return [16]byte(h.Sum(nil))
}

// knows writes all that a machine knows. Between two renewals nothing else decides what it does. f.mu is held.
func (m *modelMachine) knows(to io.Writer) {
	p := m.f.profiles["work"]
	newest, _ := m.f.memory.of(p.id)
	fmt.Fprintln(to, p.revision, p.intentSeen, p.blockSeen, p.due, p.flushAt, p.rolledBack, p.late, p.bad, p.had,
		p.lateToken != nil, newest.Generation, m.w.open(m.f.recordKey(p), newest.Sealed))
}

// end ends what still runs.
func (x *execution) end() {
	for _, m := range x.machines {
		if m.stands != gone {
			m.orders <- end
		}
	}
}

// tables are those of FLEET.md: what is said of a fault at a step, for one server.
type tables map[mishap]string

func readTables(t *testing.T, kind serverKind) tables {
	t.Helper()
	document, err := os.ReadFile("FLEET.md")
	if err != nil {
		t.Fatal(err)
	}
	said := tables{}
	for _, f := range []fault{crash, stopped, noAnswer, partition} {
		for i, row := range tableUnder(t, string(document), string(f), trialSteps(f)) {
			said[mishap{f, trialSteps(f)[i]}] = row[slices.Index(serverKinds, kind)]
		}
	}
	return said
}

// judge says what is wrong at the end of an execution, or "".
func (x *execution) judge(said tables) string {
	mayLose, mayRepeat, under := false, false, 0
	for _, m := range x.mishaps {
		cell := said[m]
		mayLose = mayLose || cell == "lost"
		mayRepeat = mayRepeat || cell != "kept"
		if cell != "kept" {
			under++
		}
	}
	switch {
	case x.kind == "30 s grace" && len(x.mishaps) > 1 && under > 0:
		mayLose = true // the second one may keep the others from taking over within the grace
	case x.kind == "FAPI" && under > 1:
		mayLose = true // both have a successor that was not written, and the first one is void
	}
	most := 0
	for _, n := range x.presented {
		most = max(most, n)
	}
	rotating, requests := x.kind != "not rotating", x.posts
	err := x.ask()
	lost := err != nil
	switch {
	case lost && !mayLose:
		return "lost"
	case rotating && most > 1 && !mayRepeat:
		return "presented twice"
	case rotating && most > 1+len(x.mishaps):
		return "presented too often"
	case lost && !errors.Is(err, broker.ErrRotationLost):
		return fmt.Sprintf("not explained (%v)", err)
	case len(x.mishaps) == 0 && requests != 1:
		return "too many requests"
	}
	return ""
}

// ask renews ten minutes after all is well again, on each machine that is left, or on one that starts.
func (x *execution) ask() (err error) {
	x.free = true
	x.now += 10 * time.Minute
	left := slices.DeleteFunc(slices.Clone(x.machines), func(m *modelMachine) bool { return m.stands == gone })
	if len(left) == 0 {
		left = append(left, x.newMachine("m9", rules{}))
	}
	for _, m := range left {
		m.cut = false
	}
	all := x.machines
	x.machines = left
	defer func() { x.machines, x.free = all, false }()
	for _, m := range left {
		x.watch()
		m.f.doDue(context.Background())
		if _, e := m.source.Obtain(context.Background(), grant.Request{}, broker.Now); broker.NeedsLogin(e) {
			err = e
		}
	}
	return err
}

// bound is how far the checker goes.
type bound struct{ machines, faults int }

// explored is what the checker has found.
type explored struct {
	states, executions int
	wrong              string // empty: nothing
	trace              []action
}

// explore runs the shipped code in every order in which the machines' steps, the passing of time and the faults can
// come, up to the bound. It executes anew for each order that branches off, and leaves out states that it has seen.
func explore(kind serverKind, b bound, r rules, said tables) (found explored) {
	seen := map[[16]byte]struct{}{}
	open := [][]action{nil}
	for len(open) > 0 && found.wrong == "" {
		path := open[len(open)-1]
		open = open[:len(open)-1]
		found.execute(kind, b, r, said, path, func(x *execution, choices []action) (action, bool) {
			state := x.state()
			if _, was := seen[state]; was {
				return action{}, false
			}
			seen[state] = struct{}{}
			if len(choices) == 0 {
				return action{}, false
			}
			for _, a := range choices[1:] {
				open = append(open, append(slices.Clip(x.done), a))
			}
			return choices[0], true
		})
	}
	found.states = len(seen)
	return found
}

// walk runs the shipped code so many times, each in an order that is drawn at random.
func walk(kind serverKind, b bound, said tables, times int) (found explored) {
	for n := 0; n < times && found.wrong == ""; n++ {
		draw := rand.New(rand.NewPCG(uint64(n), 1))
		found.execute(kind, b, rules{}, said, nil, func(_ *execution, choices []action) (action, bool) {
			if len(choices) == 0 {
				return action{}, false
			}
			return choices[draw.IntN(len(choices))], true
		})
	}
	return found
}

// execute runs one execution: a path, and then what pick picks. One that comes to its end is judged.
func (e *explored) execute(kind serverKind, b bound, r rules, said tables, path []action,
	pick func(*execution, []action) (action, bool)) {
	x := &execution{world: newWorld(kind, b.machines, r)}
	defer x.end()
	e.executions++
	for _, m := range x.machines {
		<-m.here
	}
	x.watch()
	for _, a := range path {
		x.do(a)
	}
	for {
		choices := x.choices(b.faults)
		a, ok := pick(x, choices)
		if !ok {
			if len(choices) == 0 && e.wrong == "" {
				e.wrong, e.trace = x.judge(said), x.done
			}
			return
		}
		x.do(a)
	}
}

func (e explored) String() string {
	var b strings.Builder
	if e.states > 0 {
		fmt.Fprintf(&b, "%d states, ", e.states)
	}
	fmt.Fprintf(&b, "%d executions", e.executions)
	if e.wrong != "" {
		fmt.Fprintf(&b, ": %s, when", e.wrong)
		for _, a := range e.trace {
			if a.m < 0 {
				fmt.Fprintf(&b, "\n\ttime passes")
			} else {
				fmt.Fprintf(&b, "\n\tm%d %s", a.m, a.what)
			}
		}
	}
	return b.String()
}

// modelBounds are how far the checker goes, and how many executions it draws with two faults.
func modelBounds() (all []bound, walks int) {
	if os.Getenv(everyOrder) == "all" {
		return []bound{{3, 1}, {2, 2}}, 100_000
	}
	return []bound{{3, 0}, {2, 1}}, 500
}

// TestFleetModel: in every order of steps and faults, up to the bound, no login is lost that FLEET.md says is kept, and
// no refresh token is presented twice but where it says so.
func TestFleetModel(t *testing.T) {
	tier.Long(t, "it runs some ten thousand executions")
	bounds, walks := modelBounds()
	var states, executions, drawn, wrong atomic.Int64
	t.Run("servers", func(t *testing.T) {
		for _, kind := range serverKinds {
			judge := func(t *testing.T, found explored) {
				if t.Log(found); found.wrong != "" {
					wrong.Add(1)
					t.Fail()
				}
			}
			for _, b := range bounds {
				t.Run(fmt.Sprintf("%s, %d machines, %d faults", kind, b.machines, b.faults), func(t *testing.T) {
					t.Parallel()
					found := explore(kind, b, rules{}, readTables(t, kind))
					states.Add(int64(found.states))
					executions.Add(int64(found.executions))
					judge(t, found)
				})
			}
			t.Run(fmt.Sprintf("%s, 3 machines, 2 faults, drawn", kind), func(t *testing.T) {
				t.Parallel()
				found := walk(kind, bound{3, 2}, readTables(t, kind), walks)
				drawn.Add(int64(found.executions))
				judge(t, found)
			})
		}
	})
	t.Logf("orders: %d states in %d executions, and %d executions drawn at random, %d wrong", states.Load(),
		executions.Load(), drawn.Load(), wrong.Load())
}

// withoutRule is what goes wrong where a rule of FLEET.md is left out.
type withoutRule struct {
	rule  string // as FLEET.md calls it
	off   rules
	kind  serverKind
	bound bound
	wrong string
}

var withoutRules = []withoutRule{
	{"intent before sending", rules{noIntent: true}, "strict", bound{2, 0}, "presented twice"},
	{"intent by compare-and-swap", rules{blindIntent: true}, "strict", bound{2, 0}, "presented twice"},
	{"send deadline", rules{noDeadline: true}, "strict", bound{2, 1}, "presented twice"},
	{"take-over after a wait", rules{noTakeOver: true}, "strict", bound{2, 0}, "presented twice"},
	{"result by compare-and-swap", rules{blindResult: true}, "FAPI", bound{2, 1}, "lost"},
	{"late successor", rules{noSuccessor: true}, "strict", bound{2, 1}, "lost"},
	{"shared refusal", rules{noRefusal: true}, "strict", bound{3, 1}, "presented too often"},
	{"doubt in the record", rules{noDoubt: true}, "strict", bound{2, 1}, "not explained"},
	{"token with the record", rules{apart: true}, "strict", bound{2, 0}, "too many requests"},
}

// TestFleetRules: each rule of FLEET.md is needed. Without it, and with all others, the checker finds an order of steps
// in which what the table of rules names goes wrong.
func TestFleetRules(t *testing.T) {
	tier.Long(t, "it runs some thousand executions")
	document, err := os.ReadFile("FLEET.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range withoutRules {
		t.Run(w.rule, func(t *testing.T) {
			t.Parallel()
			found := explore(w.kind, w.bound, w.off, readTables(t, w.kind))
			t.Log(found)
			if wrong, _, _ := strings.Cut(found.wrong, " ("); wrong != w.wrong {
				t.Errorf("without it: %q, want %q", wrong, w.wrong)
			}
			row := fmt.Sprintf("| %s | %s | %d | %d | %s |", w.rule, w.kind, w.bound.machines, w.bound.faults, w.wrong)
			if !strings.Contains(string(document), "\n"+row+"\n") {
				t.Errorf("FLEET.md lacks the row %s", row)
			}
		})
	}
}
