//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// readMemory opens the agent's memory as any other program of the same user could, and looks for its secret there.
func readMemory(_ context.Context, r *running) (string, error) {
	if r.agent.secret == "" {
		return opened(r.pid())
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", r.pid()))
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return "refused by the kernel", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	n, err := copies(f, r.pid(), []byte(r.agent.secret))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("**it can**; the secret is there %d times as it is", n), nil
}

// opened is readMemory for an agent whose secret has no known form in memory.
func opened(pid int) (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	switch {
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "refused by the kernel", nil
	case err != nil:
		return "", err
	}
	return "**it can**", f.Close()
}

// copies counts how often the secret stands in a process's writable memory.
func copies(mem io.ReaderAt, pid int, secret []byte) (int, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "rw") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseInt(from, 16, 64)
		end, err2 := strconv.ParseInt(to, 16, 64)
		if err1 != nil || err2 != nil || end-start > 1<<30 {
			continue
		}
		b := make([]byte, end-start)
		if _, err := mem.ReadAt(b, start); err == nil {
			n += bytes.Count(b, secret)
		}
	}
	return n, nil
}
