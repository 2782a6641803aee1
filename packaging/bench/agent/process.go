package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory is what a process has in memory, in bytes (proc_pid_status(5), VmRSS and VmHWM).
type Memory struct{ Now, Peak int64 }

// MemoryOf reads it.
func MemoryOf(pid int) (Memory, error) {
	now, err1 := field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
	peak, err2 := field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	return Memory{now << 10, peak << 10}, errors.Join(err1, err2)
}

// Usage is what the threads of a process have had.
type Usage struct {
	CPU     time.Duration
	Wakeups int64 // how often one of them gave up the processor to wait (voluntary context switches)
	Threads int
}

// UsageOf adds up the threads that there are: what has ended counts no more.
func UsageOf(pid int) (u Usage, err error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		switches, err := field(task+"/status", "voluntary_ctxt_switches:")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return u, err
		}
		// "on the processor, waiting for it, how often", the first two in nanoseconds (sched-stats.rst)
		text, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			return u, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		on, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return u, err
		}
		u.CPU, u.Wakeups, u.Threads = u.CPU+time.Duration(on), u.Wakeups+switches, u.Threads+1
	}
	if u.Threads == 0 {
		return u, fmt.Errorf("process %d has no threads", pid)
	}
	return u, nil
}

// field returns the number behind a name at the beginning of a line.
func field(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if words := bytes.Fields(rest); len(words) > 0 {
				return strconv.ParseInt(string(words[0]), 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// Machine is how busy the machine was: the share of its processors' time that was not idle.
type Machine struct{ busy, all int64 }

// Look reads the counters of the machine (proc_stat(5)).
func Look() (m Machine) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, word := range strings.Fields(line) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i > 8 { // guests' time is in the users' already
			continue
		}
		m.all += n
		if i != 4 && i != 5 { // idle, and waiting for a disk
			m.busy += n
		}
	}
	return m
}

// BusySince is the share since an earlier look, from 0 to 1.
func (m Machine) BusySince(earlier Machine) float64 {
	return float64(m.busy-earlier.busy) / float64(max(m.all-earlier.all, 1))
}

// Load is the machine's load average over a minute.
func Load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
