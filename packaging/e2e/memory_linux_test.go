package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// doors are the ways into another process of the same user, as testdata/probe.py calls them.
var doors = []string{
	"mem", "environ", "maps", "smaps", "auxv", "stack", "io", "pagemap", "fd", "map_files", "fdinfo",
	"PTRACE_ATTACH", "PTRACE_SEIZE", "process_vm_readv", "pidfd_getfd",
}

// probe tries all doors, as the user of r, and returns those that open. Without a pid it is a process of the probe's
// own.
func (r *userEnv) probe(args ...string) []string {
	r.t.Helper()
	tier.Needs(r.t, "python3")
	script, err := os.ReadFile(filepath.Join("testdata", "probe.py"))
	if err != nil {
		r.t.Fatal(err)
	}
	s := r.run("", python, append([]string{"-c", string(script)}, args...)...)
	lines := strings.Fields(s.stdout)
	if s.code != 0 || len(lines) == 0 || lines[len(lines)-1] != "done" {
		r.t.Fatalf("the probe ended with %d: %s%s", s.code, s.stdout, s.stderr)
	}
	return lines[:len(lines)-1]
}

// closed wants all doors of a process closed, and what is behind them to be root's. The test itself is root, which may
// look.
func (r *userEnv) closed(what string, pid int) {
	r.t.Helper()
	address := int64(0)
	for a := range mappings(r.t, pid) {
		address = a
		break
	}
	if open := r.probe(strconv.Itoa(pid), strconv.FormatInt(address, 10)); len(open) > 0 {
		r.t.Errorf("a process of the same user can open these doors of %s: %s", what, open)
	}
	if uid := r.memoryOwner(pid); uid != 0 {
		r.t.Errorf("the memory of %s belongs to uid %d, want root: it can be dumped", what, uid)
	}
}

func (r *userEnv) memoryOwner(pid int) uint32 {
	r.t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

// A process of the same user can read nothing of groatd's memory, whichever door it tries, nor of groat's while that
// holds what a person has typed.
func TestMemoryIsClosed(t *testing.T) {
	t.Parallel()
	r := newUserEnv(t, stranger)
	// To be sure that the question is a fair one: of an ordinary process all doors open.
	if open := r.probe(); len(open) != len(doors) {
		t.Fatalf("of an ordinary process these doors open: %s; want %s", open, doors)
	}
	p := r.start()
	server := r.signIn("work")
	r.closed("groatd", p.pid())

	c := exec.CommandContext(t.Context(), filepath.Join(bin, "groat"), "login", "lab", "--issuer", server.Issuer(),
		"--client-id", labClient, "--secret-stdin")
	c.Env, c.Dir, c.SysProcAttr = r.environ(), "/", r.as()
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, r.secret) // and no end: it waits for more
	until(t, "groat has read what was typed", func() (int, bool) {
		n := copies(t, c.Process.Pid, r.secret)[0]
		return n,
			n > 0
	})
	r.closed("groat", c.Process.Pid)
	in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// groatd leaves no core, neither in a file nor in a pipe, whatever limit there is. A groatd that does not close its
// memory leaves one, with the secrets in it.
func TestNoCore(t *testing.T) {
	tier.Long(t, "it builds two groatds and writes their memory down")
	t.Parallel()
	ours, theirs := buggy(t), opened(t)
	r := newUserEnv(t, stranger)
	cores := filepath.Join(r.home, "..", "cores")
	if err := os.Mkdir(cores, 0o700); err != nil {
		t.Fatal(err)
	}
	r.own(cores, stranger)
	// crash kills a groatd that has a token and a client secret. It returns its core, if there is one to be had.
	crash := func(program string, set bool) (core string) {
		p := r.startVariant(program, cores)
		if _, there := r.servers["work"]; !there {
			r.signIn("work")
		}
		r.groat("", "get", "work")
		pid := p.pid()
		// Who owns it says whether the system would dump it, also where no core can be had.
		if got, want := r.memoryOwner(pid), map[string]uint32{ours: 0, theirs: stranger}[program]; got != want {
			t.Errorf("%s: its memory belongs to uid %d, want %d", program, got, want)
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if limited := regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits); err != nil ||
			limited != (program == ours) {
			t.Errorf("%s: its limit on cores: %v\n%s", program, err, limits)
		}
		r.daemon = nil
		state, err := p.stop(syscall.SIGABRT)
		if err != nil {
			t.Fatal(err)
		}
		status := state.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGABRT {
			t.Errorf("groatd ended with %s, want one that the system could dump", state)
		}
		if program == ours && status.CoreDump() || program == theirs && set && !status.CoreDump() {
			t.Errorf("%s: the system says that it wrote a core: %v", program, status.CoreDump())
		}
		if left := strings.Join(names(t, cores), " "); program == ours &&
			regexp.MustCompile(fmt.Sprintf(`\.%d\b`, pid)).MatchString(left) {
			t.Errorf("groatd left %s", left)
		}
		if set && status.CoreDump() {
			core = until(t, "the core is complete", func() (string, bool) {
				file := filepath.Join(cores, fmt.Sprintf("core.%d", pid))
				_, err := os.Stat(file)
				return file, err == nil
			})
		}
		return core
	}
	for _, how := range []string{"file", "pipe"} {
		restore, set := corePattern(t, how, cores)
		core := crash(ours, set)
		if core != "" {
			t.Errorf("groatd left a core (%s): %s", how, core)
		}
		core = crash(theirs, set)
		if set && !r.inTheClear(core) {
			t.Errorf("the core of a groatd whose memory is open (%s) has no secret: "+
				"one of ours would not have been noticed: %s", how, names(t, cores))
		}
		restore()
		if err := os.RemoveAll(cores); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(cores, 0o700); err != nil {
			t.Fatal(err)
		}
		r.own(cores, stranger)
	}
}

// inTheClear reports whether any secret stands in a file as it is.
func (c *canaries) inTheClear(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	c.mu.Lock()
	texts := slices.Collect(maps.Keys(c.secrets))
	c.mu.Unlock()
	n := make([]int, len(texts))
	count(n, f, 0, info.Size(), texts)
	return slices.Max(n) > 0
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// corePattern has the system write cores into a directory: by itself, or through a pipe to a program, which no limit on
// cores stops. The setting is the whole machine's: it is changed for seconds, by one test at a time, and a process of
// its own puts it back whatever becomes of this one. Where the machine (or a container) does not let it be set, that is
// said, and what the system would do is seen only by who owns the memory.
func corePattern(t *testing.T, how, dir string) (restore func(), set bool) {
	t.Helper()
	const setting = "/proc/sys/kernel/core_pattern"
	f, err := os.OpenFile(setting, os.O_RDWR, 0)
	if err != nil {
		t.Logf("cores are not looked at, only whether there would be any: %v", err)
		return func() {}, false
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	pattern := filepath.Join(dir, "core.%P")
	if how == "pipe" {
		handler := filepath.Join(filepath.Dir(dir), "handler")
		text := "#!/bin/sh\nhead -c 300000000 >\"$1/part.$2\" && mv \"$1/part.$2\" \"$1/core.$2\"\n"
		parts.WriteProgram(t, handler, text)
		pattern = "|" + filepath.Clean(handler) + " " + filepath.Clean(dir) + " %P"
	}
	guard := exec.Command("/bin/sh", "-c", `read x; printf %s "$1" >"$2"`, "sh", strings.TrimSuffix(string(was), "\n"),
		setting)
	guard.ExtraFiles = []*os.File{f} // the lock is held until it is done
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	done := false
	restore = func() {
		if done {
			return
		}
		done = true
		in.Close()
		err := guard.Wait()
		if now, readErr := os.ReadFile(setting); err != nil || readErr != nil || string(now) != string(was) {
			t.Errorf("%s is %q and was %q: %v", setting, now, was, errors.Join(err, readErr))
		}
	}
	t.Cleanup(restore)
	if _, err := f.WriteAt([]byte(pattern), 0); err != nil {
		t.Fatal(err)
	}
	return restore, true
}

// mappings yields the parts of a process's memory that it may have written to: start and end.
func mappings(t *testing.T, pid int) func(yield func(start, end int64) bool) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(start, end int64) bool) {
		for line := range strings.Lines(string(maps)) {
			var start, end int64
			var rights string
			if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &rights); n == 3 && strings.HasPrefix(rights, "rw") &&
				!yield(start, end) {
				return
			}
		}
	}
}

// copies counts how often each text stands in a process's memory. That is root's to see.
func copies(t *testing.T, pid int, texts ...string) []int {
	t.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	n := make([]int, len(texts))
	for start, end := range mappings(t, pid) {
		count(n, mem, start, end, texts)
	}
	return n
}

// count adds to n how often each text stands in a part of a file, as far as that can be read.
func count(n []int, from io.ReaderAt, start, end int64, texts []string) {
	const piece, longest = 1 << 20, 4 << 10 // a text across two pieces is seen with the second, and with that only
	b := make([]byte, 0, longest+piece)
	for at := start; at < end; at += piece {
		seen := min(len(b), longest)
		copy(b, b[len(b)-seen:])
		got, _ := from.ReadAt(b[seen:seen+int(min(piece, end-at))], at)
		b = b[:seen+got]
		for i, text := range texts {
			n[i] += bytes.Count(b[max(0, seen-len(text)+1):], []byte(text))
		}
		if got == 0 {
			return
		}
	}
}
