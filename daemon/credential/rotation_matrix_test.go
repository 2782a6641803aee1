package credential

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// trialServer is a way in which servers treat refresh tokens.
type trialServer struct {
	name string
	mode sandbox.Refresh
}

var trialServers = []trialServer{
	{"not rotating", sandbox.Refresh{Always: true}},
	{"strict", strict},
	{"strict, ends the session", sandbox.Refresh{Always: true, Rotate: true}},
	{"30 s grace", sandbox.Refresh{Always: true, Rotate: true, Overlap: 30 * time.Second}},
	{"FAPI", sandbox.Refresh{Always: true, Rotate: true, UntilUsed: true}},
}

var (
	trialFaults = []fault{kill, powerCut, diskFull, badSync, bareFull, bareBadSync, lostAnswer}
	trialPauses = []time.Duration{2 * time.Second, 40 * time.Second, 10 * time.Minute}
)

// faultIDs are the numbers of the faults in packaging/figures/FAULTS.md.
var faultIDs = map[fault]string{
	kill: "E1", powerCut: "E2", diskFull: "D14", badSync: "D15", bareFull: "D14", bareBadSync: "D15", lostAnswer: "C45",
}

func trialSteps(f fault) []step {
	if f == lostAnswer {
		return []step{onItsWay, handled}
	}
	steps := []step{beforeNote, beforeUrgent, noteTorn, noteWritten, onItsWay, handled, arrived}
	for _, tear := range tears {
		steps = append(steps, tear.step)
	}
	steps = append(steps, written, readBack, struckTorn, beforePublish, published)
	for _, with := range []string{withNote, withRecord} {
		for _, what := range compactions {
			steps = append(steps, step(with+what))
		}
	}
	return steps
}

// everyCell is the environment variable that makes [TestRotationMatrix] run each cell with each pause, and not with one
// of them.
const everyCell = "GROAT_FAULTS"

// TestRotationMatrix executes the tables of ROTATION.md: each cell is exactly what happens.
func TestRotationMatrix(t *testing.T) {
	tier.Long(t, "it renews some hundred times")
	document, err := os.ReadFile("ROTATION.md")
	if err != nil {
		t.Fatal(err)
	}
	var runs, unexpected atomic.Int64
	t.Run("trials", func(t *testing.T) {
		for n, f := range trialFaults {
			t.Run(faultIDs[f]+" "+string(f), func(t *testing.T) {
				t.Parallel()
				said := tableUnder(t, string(document), f)
				for i, step := range trialSteps(f) {
					for j, server := range trialServers {
						for k, pause := range trialPauses {
							once := k == (n+i+j)%len(trialPauses)
							if !once && (os.Getenv(everyCell) != "all" || said[i][j][k] == unreached) {
								continue
							}
							runs.Add(1)
							if !cell(t, f, step, server, pause, said[i][j][k]) {
								unexpected.Add(1)
							}
						}
					}
				}
			})
		}
	})
	t.Logf("faults: at the steps of a rotation: %d runs, %d unexpected", runs.Load(), unexpected.Load())
}

// cell runs one cell.
func cell(t *testing.T, f fault, s step, server trialServer, pause time.Duration, want outcome) bool {
	return t.Run(fmt.Sprintf("%s/%s/%s", s, server.name, pause), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if got := newCrashHarness(t, server.mode, s, f).run(pause); got != want {
				t.Errorf("the session is %s; ROTATION.md says %s", got, want)
			}
		})
	})
}

// tableUnder is the table of a fault: what it says of each step, server and pause.
func tableUnder(t *testing.T, document string, f fault) (cells [][][]outcome) {
	t.Helper()
	_, rest, _ := strings.Cut(document, "\n### "+string(f)+"\n")
	_, rest, _ = strings.Cut(rest, "\n| step |")
	rest, _, _ = strings.Cut(rest, "\n\n")
	lines := strings.Split(strings.TrimSpace(rest), "\n")
	header, steps := "", trialSteps(f)
	for _, s := range trialServers {
		header += " " + s.name + " |"
	}
	if len(lines) != 2+len(steps) || lines[0] != strings.TrimSpace(header) {
		t.Fatalf("ROTATION.md has no table of %s with %d steps and the servers %s", f, len(steps), header)
	}
	for i, line := range lines[2:] {
		words := strings.Split(strings.Trim(line, "|"), " | ")
		if len(words) != 1+len(trialServers) || strings.TrimSpace(words[0]) != string(steps[i]) {
			t.Fatalf("ROTATION.md's table of %s says %q where the step is %q", f, line, steps[i])
		}
		var row [][]outcome
		for _, w := range words[1:] {
			row = append(row, outcomes(strings.TrimSpace(w)))
		}
		cells = append(cells, row)
	}
	return cells
}

// outcomes are what a cell says of each pause.
func outcomes(text string) []outcome {
	words := strings.Split(text, " / ")
	if len(words) == 1 {
		words = slices.Repeat(words, len(trialPauses))
	}
	all := make([]outcome, len(trialPauses))
	for i, w := range words[:min(len(words), len(all))] {
		all[i] = outcome(w)
	}
	return all
}
