package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// A hundred first calls at once, with both programs as they are shipped, start one groatd and are all answered by it.
func TestHundredCallersStartOneDaemon(t *testing.T) {
	tier.Long(t, "it builds groat and starts it a hundred times")
	dir := buildPrograms(t, "groat", "groat-commands", "groatd")
	home := shortDir(t)
	starts := filepath.Join(home, "starts")
	// A groatd that says that it was started, and is groatd then.
	if err := os.Rename(filepath.Join(dir, "groatd"), filepath.Join(dir, "groatd.real")); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\nexec %s/groatd.real\n", starts, dir)
	parts.WriteProgram(t, filepath.Join(dir, "groatd"), script)
	env := []string{
		"HOME=" + home, "PATH=/usr/bin:/bin", "GROAT_KEYSTORE=memory", "GROAT_SOCKET=" + home + "/run/agent.sock",
		"GROAT_STATE_DIR=" + home + "/state", "XDG_CONFIG_HOME=" + home + "/config",
	}
	t.Cleanup(func() { stopAll(t, starts) })
	pids := map[int]int{}
	for i, got := range runTogether(t, 100, func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "groat"), "status", "--json")
		cmd.Env = env
		return cmd
	}) {
		var r protocol.StatusResult
		if err := json.Unmarshal([]byte(got.stdout), &r); got.code != 0 || got.stderr != "" || err != nil {
			t.Errorf("caller %d: %+v %v", i, got, err)
			continue
		}
		pids[r.PID]++
	}
	if len(pids) != 1 {
		t.Errorf("answers came from %v", pids)
	}
	if b, err := os.ReadFile(starts); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("starts: %q %v", b, err)
	}
}

// stopAll ends the daemons that a test started and waits until they have ended.
func stopAll(t *testing.T, starts string) {
	b, _ := os.ReadFile(starts)
	for line := range strings.Lines(string(b)) {
		var pid int
		if fmt.Sscan(line, &pid); pid <= 1 {
			continue
		}
		syscall.Kill(pid, syscall.SIGTERM)
		deadline := time.Now().Add(patience)
		for gone := false; !gone; time.Sleep(5 * time.Millisecond) {
			state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			gone = err != nil || strings.Contains(string(state), ") Z ")
			if time.Now().After(deadline) {
				t.Errorf("groatd %d does not end", pid)
				syscall.Kill(pid, syscall.SIGKILL)
				return
			}
		}
	}
}
