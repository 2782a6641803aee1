package e2e_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var openFiles = regexp.MustCompile(`(?m)^Max open files +(\d+) +(\d+)`)

// A shell's soft limit on descriptors is not the daemon's: it may use as many as the hard limit allows, also where it starts
// itself anew.
func TestH71TheSoftLimitOnDescriptorsIsRaised(t *testing.T) {
	for name, variable := range map[string]string{"started": "LANG=C", "started anew": "GODEBUG=http2debug=2"} {
		t.Run(name, func(t *testing.T) {
			w, err := newWorld(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			var was unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
				t.Fatal(err)
			}
			hard := min(was.Max, 4000)
			limits := "ulimit -Sn 64; ulimit -Hn " + strconv.FormatUint(hard, 10) + "; exec env " + variable + " groatd"
			p := &process{cmd: exec.Command("sh", "-c", limits), log: newLogbook(), ended: make(chan struct{})}
			p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = w.env(), p.log, p.log
			if err := p.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { p.cmd.Wait(); close(p.ended) }()
			defer p.stop(syscall.SIGTERM)
			if err := p.waitLog(regexp.MustCompile(`\bready\b`)); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid()) + "/limits")
			if err != nil {
				t.Fatal(err)
			}
			m := openFiles.FindSubmatch(text)
			if want := strconv.FormatUint(hard, 10); m == nil || string(m[1]) != want || string(m[2]) != want {
				t.Errorf("want %s of %s: %s", want, want, text)
			}
		})
	}
}
