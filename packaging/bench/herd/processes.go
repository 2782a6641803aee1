package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/groat-dev/groat/packaging/bench/agent"
)

// processes are many of them that want one token.
type processes struct {
	Count     int
	Autostart bool // no groatd ran
	Floor     bool // they are a Go program that does nothing
	Latency   time.Duration
	// Median and Ended are when half and all of them had ended, since they began at one moment.
	Median, Ended    time.Duration
	Failed, Requests int
	MachineBusy      float64
}

// measureFloor is measureProcesses with a Go program that does nothing and asks nobody.
func measureFloor(o options) (p processes, err error) {
	dir, err := os.MkdirTemp("", "groat-herd-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	empty, err := agent.CompileFloor(dir, "./packaging/bench/floor/empty")
	if err != nil {
		return p, err
	}
	p = processes{Count: o.processes, Floor: true}
	return p, p.run(empty, os.Environ())
}

func measureProcesses(o options, autostart bool) (p processes, err error) {
	dir, err := os.MkdirTemp("", "groat-herd-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	a, err := agent.New(agent.Options{Bin: o.bin, Dir: dir, Latency: o.latency})
	if err != nil {
		return p, err
	}
	defer a.Close()
	if err := a.Stop(); err != nil { // its token was warm
		return p, err
	}
	env := a.Env
	if autostart {
		env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "GROAT_NO_") })
		defer a.StopStarted()
	} else if _, err := a.Start(); err != nil {
		return p, err
	}
	p = processes{Count: o.processes, Autostart: autostart, Latency: o.latency}
	before := len(a.Servers.Requests())
	err = p.run(a.Groat, env)
	p.Requests = len(a.Servers.Requests()) - before
	return p, err
}

// run starts the processes at one moment and waits for their end.
func (p *processes) run(program string, env []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	gate, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer gate.Close()
	defer open.Close()
	pids := map[int]bool{}
	for range p.Count { // each is a shell that waits for the end of the pipe, and then becomes the program
		argv := []string{"sh", "-c", `read x; exec "$0" get "$1"`, program, agent.First}
		pid, err := syscall.ForkExec("/bin/sh", argv, &syscall.ProcAttr{
			Env: env, Files: []uintptr{gate.Fd(), null.Fd(), null.Fd()},
		})
		if err != nil {
			open.Close()
			return err
		}
		pids[pid] = true
	}
	machine, begin := agent.Look(), time.Now()
	open.Close()
	ends := map[int]time.Duration{} // :: process → when it had ended
	codes := map[int]int{}
	for !all(pids, ends) {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case pid > 0:
			ends[pid], codes[pid] = time.Since(begin), status.ExitStatus()
		case err != nil && err != syscall.EINTR:
			return err
		default:
			time.Sleep(time.Millisecond)
		}
	}
	var took []time.Duration
	for pid := range pids {
		took = append(took, ends[pid].Round(time.Millisecond))
		if codes[pid] != 0 {
			p.Failed++
		}
	}
	slices.Sort(took)
	p.Median, p.Ended, p.MachineBusy = took[len(took)/2], took[len(took)-1], agent.Look().BusySince(machine)
	return nil
}

func all(pids map[int]bool, ends map[int]time.Duration) bool {
	for pid := range pids {
		if _, ended := ends[pid]; !ended {
			return false
		}
	}
	return true
}
