package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// demoLimit is what the README promises of the demo, and the demo of itself.
const demoLimit = time.Minute

// playDemo runs the demo as a person does. It must end well and in time, show what it promises, and leave nothing behind:
// no process and no file.
func (h *house) playDemo(command string) {
	h.t.Helper()
	tier.Long(h.t, "it builds groat and plays the demo")
	temp, err := os.MkdirTemp("", "groat-demo-test-")
	if err != nil {
		h.t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	bin, tmp := filepath.Join(temp, "bin"), filepath.Join(temp, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	play := func(command string) string {
		// Programs of its own, so that its processes can be told from others.
		c := exec.CommandContext(ctx, "sh", "-c", command+" BIN="+bin)
		c.Dir = root
		c.Env = append(os.Environ(), "TMPDIR="+tmp)
		c.WaitDelay = time.Second
		out, err := c.CombinedOutput()
		if err != nil {
			h.t.Errorf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	play("make build") // compiling is not what is timed
	began := time.Now()
	out := play(command)
	if took := time.Since(began); took >= demoLimit {
		h.t.Errorf("the demo took %s, want less than %s", took, demoLimit)
	}
	for _, want := range []string{"signed in: profile work", "HTTP 200", "renewed, and nobody had to wait", "50 processes, 1 token", "Requests that this cost the server: 1.", "still exists at"} {
		if !strings.Contains(out, want) {
			h.t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, bin+"/") {
			h.t.Errorf("the demo left a process behind: %s is %s", link, exe)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		h.t.Errorf("the demo left files behind: %v %v", left, err)
	}
}
