package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The tests of this package are groat's from end to end: the real groatd and the real groat, over a real socket,
// against authorization servers on loopback. Most are scripts (testdata/*.txtar), one behaviour each;
// script_linux_test.go says what their commands do. The quick tier has these alone. What needs another user, a hundred
// processes or another project's program is in Go beside it.
//
// A number in a test's name (TestE7DoubleStart) is a row of packaging/figures/FAULTS.md, which says what must happen; a
// test there makes sure that each number has its row.

// bin is the directory of groat, groatd, and the names that git and docker call groat by. Every user of the machine can
// read it.
var bin string

func TestMain(m *testing.M) {
	widen()
	os.Exit(runTests(m))
}

// widen lets more tests run beside each other than there are processors, where nobody has said how many: what they do
// most is wait, for a keychain's limits, the end of a token, a browser.
func widen() {
	const name = "test.parallel"
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == name })
	if !said {
		flag.Set(name, strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "groat-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the binaries cannot be built:", err)
		return 1
	}
	bin = dir
	code := m.Run()
	for _, pid := range processesOf(dir) {
		fmt.Fprintf(os.Stderr, "a test left process %d behind\n", pid)
		syscall.Kill(pid, syscall.SIGKILL)
		code = max(code, 1)
	}
	return code
}

// build builds the programs as a release does.
func build(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+"/", "./cmd/groat", "./cmd/groat-commands",
		"./cmd/groatd")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	for _, name := range []string{"git-credential-groat", "docker-credential-groat", "cargo-credential-groat"} {
		if err := os.Symlink("groat", filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// processesOf returns the processes whose program is in dir.
func processesOf(dir string) []int {
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, dir+"/") {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}
