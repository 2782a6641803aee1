package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/fleet/engine"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// trialServer is a way in which servers treat refresh tokens.
type trialServer struct {
	name string
	mode sandbox.Refresh
}

var trialServers = []trialServer{
	{"not rotating", notRotating}, {"strict", strict}, {"strict, ends the session", revoking},
	{"30 s grace", graceful}, {"FAPI", fapi},
}

// fault is what goes wrong at a step of the machine that renews.
type fault string

const (
	crash     fault = "crash"
	stopped   fault = "pause"
	noAnswer  fault = "lost answer"
	partition fault = "partition"
)

// step is a point of a renewal, as FLEET.md calls it.
type step string

const (
	beforeIntent step = "before the intent"
	intentMade   step = "the intent is written, the engine's answer on its way"
	beforeSend   step = "before the request is sent"
	onItsWay     step = "the request is on its way, not handled"
	handled      step = "the server has handled it, its answer is on its way"
	beforeResult step = "the answer has arrived, the result is not written"
	resultMade   step = "the result is written, the engine's answer on its way"
)

// trialSteps are those at which a fault can happen.
func trialSteps(f fault) []step {
	if f == noAnswer {
		return []step{onItsWay, handled}
	}
	return []step{beforeIntent, intentMade, beforeSend, onItsWay, handled, beforeResult, resultMade}
}

// outage is how long a pause or a partition lasts: longer than another machine's take-over.
const outage = 90 * time.Second

// trial is one cell of a table: machine m0 renews, and something happens to it.
type trial struct {
	*site
	fault fault
	step  step
	short bool     // the outage is over before another machine takes over
	m     *machine // m0

	once  sync.Once
	swaps int
	trips int
}

func (r *trial) outage() time.Duration {
	if r.short {
		return TakeOver / 2
	}
	return outage
}

// strike is called at each step, and lets the fault happen at its own. lost says that the answer to what was done
// before the step does not arrive.
func (r *trial) strike(at step) (lost bool) {
	if at != r.step {
		return false
	}
	r.once.Do(func() {
		switch r.fault {
		case crash:
			r.m.die()
			lost = true
		case stopped:
			r.m.halt(r.outage())
		case noAnswer:
			lost = true
		case partition:
			r.m.client.Cut()
			time.AfterFunc(r.outage(), r.m.client.Mend)
			lost = true
		}
	})
	return lost
}

// inject is m0's way to the engine.
func (r *trial) inject(c engine.Call) engine.Fault {
	r.m.hold()
	if c.Kind != engine.Swapping {
		return engine.None
	}
	before, after := beforeIntent, intentMade
	if r.swaps++; r.swaps > 1 {
		before, after = beforeResult, resultMade
	}
	if r.strike(before) || r.m.dead.Load() {
		return engine.Refuse
	}
	if r.step == after && r.fault == stopped { // it is made, and noticed later
		late := false
		r.once.Do(func() {
			late = true
			swapped, _, err := r.store.Client().Swap(context.Background(), c.Conditions, c.Changes)
			if err != nil || !swapped {
				r.t.Errorf("the change was not made: %v", err)
			}
			r.m.halt(r.outage())
		})
		if late {
			return engine.LoseRequest // that is what the machine is told; it looks what became of it
		}
	}
	if r.strike(after) {
		return engine.LoseAnswer
	}
	return engine.None
}

// trip is m0's way to the server.
func (r *trial) trip(next func() (*http.Response, error)) (*http.Response, error) {
	if r.strike(beforeSend); r.m.dead.Load() {
		return nil, errors.New("the machine is gone")
	}
	if r.trips++; r.trips == 1 && (r.fault == crash || r.fault == noAnswer) {
		switch r.step {
		case onItsWay:
			r.server.Script(r.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterBody})
		case handled:
			r.server.Script(r.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterHandling})
		}
	}
	if r.fault == partition {
		r.strike(onItsWay)
	}
	resp, err := next()
	r.strike(onItsWay)
	r.strike(handled)
	return resp, err
}

// run returns what becomes of the login.
func (r *trial) run() string {
	r.t.Helper()
	all := r.machines(2)
	r.m = all[0]
	r.m.client.Inject(r.inject)
	r.m.setTrip(r.trip)
	go r.m.b.Token(context.Background(), broker.Query{Profile: "work", MinTTL: broker.Unset})
	time.Sleep(10 * time.Minute)
	synctest.Wait()
	twice := r.presentedTwice()
	ask := all[1:]
	if r.fault != crash {
		ask = all
	}
	for _, m := range ask {
		if _, err := m.b.Verify(context.Background(), "work"); err != nil { // by another renewal
			return "lost"
		}
	}
	if twice {
		return "kept, twice"
	}
	return "kept"
}

// TestFleetMatrix executes the tables of FLEET.md: each cell is exactly what happens.
func TestFleetMatrix(t *testing.T) {
	tier.Long(t, "it renews some hundred times")
	document, err := os.ReadFile("FLEET.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fault{crash, stopped, noAnswer, partition} {
		said := tableUnder(t, string(document), string(f), trialSteps(f))
		for i, at := range trialSteps(f) {
			for j, server := range trialServers {
				t.Run(fmt.Sprintf("%s/%s/%s", f, at, server.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := &trial{site: newSite(t, server.mode), fault: f, step: at}
						if got := r.run(); got != said[i][j] {
							t.Errorf("the login is %s; FLEET.md says %s", got, said[i][j])
						}
					})
				})
			}
		}
	}
}

// tableUnder is a table of FLEET.md: what it says of each row and server.
func tableUnder[T ~string](t *testing.T, document, heading string, rows []T) (cells [][]string) {
	t.Helper()
	_, rest, _ := strings.Cut(document, "\n### "+heading+"\n")
	_, rest, _ = strings.Cut(rest, "\n| step |")
	rest, _, _ = strings.Cut(rest, "\n\n")
	lines := strings.Split(strings.TrimSpace(rest), "\n")
	header := ""
	for _, s := range trialServers {
		header += " " + s.name + " |"
	}
	if len(lines) != 2+len(rows) || lines[0] != strings.TrimSpace(header) {
		t.Fatalf("FLEET.md has no table of %s with %d rows and the servers %s", heading, len(rows), header)
	}
	for i, line := range lines[2:] {
		words := strings.Split(strings.Trim(line, "|"), " | ")
		if len(words) != 1+len(trialServers) || strings.TrimSpace(words[0]) != string(rows[i]) {
			t.Fatalf("FLEET.md's table of %s says %q where the row is %q", heading, line, rows[i])
		}
		var row []string
		for _, w := range words[1:] {
			row = append(row, strings.TrimSpace(w))
		}
		cells = append(cells, row)
	}
	return cells
}

// A pause or a partition that is over before the others take over loses nothing, and presents nothing twice.
func TestShortOutages(t *testing.T) {
	tier.Long(t, "it renews some hundred times")
	for _, f := range []fault{stopped, partition} {
		for _, at := range trialSteps(f) {
			for _, server := range trialServers {
				t.Run(fmt.Sprintf("%s/%s/%s", f, at, server.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := &trial{site: newSite(t, server.mode), fault: f, step: at, short: true}
						if got := r.run(); got != "kept" {
							t.Errorf("the login is %s", got)
						}
					})
				})
			}
		}
	}
}

// memoryRow is what the members know of what a restored engine does not.
type memoryRow string

const (
	memberRuns  memoryRow = "a member that runs has seen the newer record"
	memberFile  memoryRow = "a member that starts has it in its file"
	memberNone  memoryRow = "no member has seen it"
	backupTable           = "restored backup"
)

// The engine is put back to a copy from two renewals ago.
func TestRestoredBackup(t *testing.T) {
	document, err := os.ReadFile("FLEET.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := []memoryRow{memberRuns, memberFile, memberNone}
	said := tableUnder(t, string(document), backupTable, rows)
	for i, row := range rows {
		for j, server := range trialServers {
			t.Run(fmt.Sprintf("%s/%s", row, server.name), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					if got := restored(newSite(t, server.mode), row, dir); got != said[i][j] {
						t.Errorf("the login is %s; FLEET.md says %s", got, said[i][j])
					}
				})
			})
		}
	}
}

func restored(s *site, row memoryRow, dir string) string {
	m := s.start("m0", dir)
	ctx := context.Background()
	if err := m.Replace(ctx, "work", s.session(), []byte("configuration")); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	backup := s.store.Backup()
	for range 2 {
		if _, err := m.b.Verify(ctx, "work"); err != nil {
			s.t.Fatal(err)
		}
	}
	time.Sleep(10 * time.Minute)
	switch row {
	case memberRuns:
		s.store.Restore(backup)
	default:
		m.stop()
		s.store.Restore(backup)
		if row == memberNone {
			dir = ""
		}
		m = s.start("m0", dir)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	_, err := m.b.Verify(ctx, "work")
	switch {
	case err != nil:
		return "lost"
	case s.presentedTwice():
		return "kept, twice"
	}
	return "kept"
}
