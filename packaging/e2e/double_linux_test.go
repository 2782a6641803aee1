package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/attack"
)

// trials is how often what goes wrong only now and then is tried.
const trials = 100

// Four are started at once where a killed one has left its socket. One stays and serves; the others say that it runs.
func TestE7DoubleStart(t *testing.T) {
	t.Parallel()
	u := newUnder(t, "")
	if _, err := u.daemon.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	u.world.daemon = nil
	for trial := range trials {
		if _, err := os.Lstat(u.socket()); err != nil {
			t.Fatal("there is no stale socket:", err)
		}
		u.oneOfFour(trial)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d trials of 4 starters", trials)
}

func (u *under) oneOfFour(trial int) {
	u.t.Helper()
	var cmds []*exec.Cmd
	for range 4 {
		c := exec.Command(filepath.Join(bin, "groatd"))
		log := newLogbook()
		c.Env, c.Dir, c.Stderr = u.environ(), "/", log
		cmds, u.logs = append(cmds, c), append(u.logs, log)
	}
	starters, err := attack.Together(cmds...)
	if err != nil {
		u.t.Fatal(err)
	}
	defer starters.Stop()
	codes, running := starters.Losers(patience)
	if !slices.Equal(codes, []int{73, 73, 73}) || len(running) != 1 {
		u.t.Errorf("trial %d: %d run, the others ended with %v", trial, len(running), codes)
		return
	}
	winner := cmds[running[0]].Process.Pid
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ctx, cancel := context.WithTimeout(u.t.Context(), patience)
		_, err := hello.Ask(ctx, u.dial)
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			u.t.Errorf("trial %d: the one that runs is not reached: %v", trial, err)
			return
		}
	}
	if pid := serving(u.socket()); pid != winner {
		u.t.Errorf("trial %d: process %d serves, and %d runs", trial, pid, winner)
	}
}
