package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/packaging/machine"
)

var fuzzed = regexp.MustCompile(`(?m)^fuzz: (\d+) targets, (\d+) executions, 0 failures$`)

// runFuzz fuzzes everything for a while and says how much that was.
func runFuzz(ctx context.Context, root, budget string) (string, error) {
	out, err := machine.Output(ctx, root, "go", "run", "./packaging/fuzz", "-fresh", "-time", budget)
	if err != nil {
		return "", err
	}
	m := fuzzed.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("no sum in\n%s", out)
	}
	n, err := strconv.Atoi(m[2])
	return fmt.Sprintf("%s executions of %s targets", thousands(n), m[1]), err
}

var survived = regexp.MustCompile(`(?m)(?:^|\s)faults: (.+)$`)

// runFaults runs "make faults" and keeps what stands behind each "faults: ".
func runFaults(ctx context.Context, root string) (lines []string, err error) {
	out, err := machine.Output(ctx, root, "make", "--no-print-directory", "faults")
	if err != nil {
		return nil, err
	}
	for _, m := range survived.FindAllStringSubmatch(out, -1) {
		lines = append(lines, strings.TrimSpace(m[1]))
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("no line says \"faults: \":\n%s", out)
	}
	return lines, nil
}

// report is what package peers writes.
type report struct {
	Programs []struct{ Name, Version string }
	Rows     []struct {
		ID, What string
		Cells    []string
	}
}

// ordinary is a user that every Debian system has and that runs nothing. The programs are measured as this user,
// since root has other limits. It is not "nobody", which stands for every unknown user in a user namespace.
const ordinary = "games"

// crowded is how many descriptors the comparison needs.
const crowded = 20000

// runPeers builds the comparison and runs it, as an ordinary user where this is root.
func runPeers(ctx context.Context, root, bin string, short bool) (r report, err error) {
	dir, err := os.MkdirTemp("", "groat-figures-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return r, err
	}
	program, err := filepath.Abs(filepath.Join(dir, "peers"))
	if err != nil {
		return r, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./packaging/figures/peers")
	build.Dir, build.Stderr, build.Env = root, os.Stderr, append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		return r, err
	}
	for _, name := range []string{"groat", "groat-commands", "groatd"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(bin, name)); err != nil {
			return r, err
		}
	}
	home := filepath.Join(dir, "t")
	if err := os.Mkdir(home, 0o700); err != nil {
		return r, err
	}
	args := []string{program, "-bin", dir}
	if short {
		args = append(args, "-short")
	}
	if os.Geteuid() == 0 {
		if err := give(home); err != nil {
			return r, err
		}
		args = append([]string{"setpriv", "--reuid=" + ordinary, "--regid=" + ordinary, "--clear-groups"}, args...)
		if !short {
			args = append([]string{"prlimit", fmt.Sprintf("--nofile=%d:%d", crowded, crowded)}, args...)
		}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stderr, cmd.Env = dir, os.Stderr, append(os.Environ(), "TMPDIR="+home)
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// give makes the ordinary user the owner of a directory.
func give(dir string) error {
	u, err := user.Lookup(ordinary)
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return errors.Join(err1, err2, os.Chown(dir, uid, gid))
}

// copyFile copies a program and lets every user run the copy.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
