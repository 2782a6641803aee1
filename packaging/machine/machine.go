// Package machine says where and when figures were measured, and runs the commands that measure.
package machine

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is a machine, a day and a commit. It has no name: the figures go into the repository.
type Machine struct {
	date, commit, kernel, system, memory string
	cores                                int
}

// This describes the machine that runs this process. A commit is "with changes" if a file differs from it; written are
// the files that do not count, since the figures go there.
func This(ctx context.Context, root string, written ...string) (Machine, error) {
	m := Machine{date: time.Now().UTC().Format(time.DateOnly), cores: runtime.NumCPU()}
	var err error
	if m.commit, err = Output(ctx, root, "git", "rev-parse", "--short=12", "HEAD"); err != nil {
		return m, err
	}
	status := []string{"status", "--porcelain", "--untracked-files=no", "--", "."}
	for _, file := range written {
		status = append(status, ":!"+file)
	}
	changed, err := Output(ctx, root, "git", status...)
	if err != nil {
		return m, err
	}
	if changed != "" {
		m.commit += " with changes"
	}
	kernel, err := Output(ctx, root, "uname", "-sr")
	if err != nil {
		return m, err
	}
	m.kernel, _, _ = strings.Cut(kernel, "-") // the rest names the machine that built the kernel
	m.system, m.memory = release(), memory()
	return m, nil
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, commit %s, %d cores, %s of memory, %s, %s, %s",
		m.date, m.commit, m.cores, m.memory, m.system, m.kernel, runtime.Version())
}

// release returns the system's name from os-release(5).
func release() string {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return runtime.GOOS
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return runtime.GOOS
}

// memory returns the size of the machine's memory, for people.
func memory() string {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "an unknown amount"
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return "an unknown amount"
	}
	kib, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return "an unknown amount"
	}
	return fmt.Sprintf("%.0f GB", float64(kib)*1024/1e9)
}

// Output runs a command in the repository and returns what it prints.
func Output(ctx context.Context, root, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var said []byte
		if e, ok := err.(*exec.ExitError); ok {
			said = e.Stderr
		}
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, said)
	}
	return strings.TrimRight(string(out), "\n"), nil
}
