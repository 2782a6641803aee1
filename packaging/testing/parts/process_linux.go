package parts

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// Process is a program that a test kills, stops and continues. It ends with the test, and with the test's process.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// hold starts cmd. The cleanup kills it.
func hold(t testing.TB, what string, cmd *exec.Cmd) *Process {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &Process{cmd, make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that has started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s is missing: run %s (%v)", what, installer, err)
	}
	t.Cleanup(func() { p.Kill(t) })
	return p
}

// Hold starts a program.
func Hold(t testing.TB, cmd *exec.Cmd) *Process { t.Helper(); return hold(t, cmd.Path, cmd) }

// Signal sends a signal to a program that runs.
func (p *Process) Signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
}

// Kill ends the program with SIGKILL, if it runs, and waits until it is gone.
func (p *Process) Kill(t testing.TB) {
	t.Helper()
	p.cmd.Process.Kill()
	<-p.ended
}

// Memory returns how much of the machine's memory the program has in use, in bytes.
func (p *Process) Memory(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }
