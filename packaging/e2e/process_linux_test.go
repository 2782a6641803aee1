package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for a process of ours. None takes a tenth of it, unless the machine is very busy.
const patience = 2 * time.Minute

// process is a groatd that a test started.
type process struct {
	cmd   *exec.Cmd
	log   *logbook
	ended chan struct{} // closed when it has been waited for
}

// startProcess starts groatd and returns when it is ready, or with what it said where it was not.
func startProcess(dir string, env []string, attr *syscall.SysProcAttr, args ...string) (*process, error) {
	cmd := exec.Command(filepath.Join(bin, "groatd"), args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = env, dir, attr
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	if err := p.waitLog(ready); err != nil {
		p.stop(syscall.SIGKILL)
		return nil, err
	}
	return p, nil
}

// ready is what groatd logs when it serves.
var ready = regexp.MustCompile(`\bready\b`)

// launch starts a command that is groatd or becomes it. What it prints goes to the log, or where cmd sends it.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, log: newLogbook(), ended: make(chan struct{})}
	if cmd.Stdout == nil && cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = p.log, p.log
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
		p.log.wake()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// waitLog waits for a line that the process writes.
func (p *process) waitLog(line *regexp.Regexp) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		text, changed := p.log.snapshot()
		if line.MatchString(text) {
			return nil
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
		case <-p.ended:
			if text, _ := p.log.snapshot(); line.MatchString(text) {
				return nil
			}
		}
		return fmt.Errorf("groatd did not say %s: %s", line, text)
	}
}

// stop sends a signal, waits for the end, and returns how it was.
func (p *process) stop(s syscall.Signal) (*os.ProcessState, error) {
	p.cmd.Process.Signal(s)
	return p.wait()
}

// wait waits for the end; a process that does not come to one is killed.
func (p *process) wait() (*os.ProcessState, error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState, nil
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
		return nil, errors.New("groatd did not end and was killed")
	}
}

// stopServing ends the groatd that serves a socket, whoever started it, and waits for its end. Where none does it
// returns 0.
func stopServing(socket string) (pid int, err error) {
	pid = serving(socket)
	if pid == 0 {
		return 0, nil
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !strings.Contains(exe, bin+"/") { // a Python of another system starts it from below a tree
		return pid, fmt.Errorf("process %d (%s) serves %s and is none of ours: %w", pid, exe, socket, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return pid, err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		return pid, err
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, int(patience/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = fmt.Errorf("groatd (pid %d) did not end", pid)
		}
		return pid, err
	}
}

// serving returns the pid of the process behind a socket, or 0.
func serving(socket string) int {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// logbook keeps what a process writes and tells whoever waits for more.
type logbook struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

// maxLogbook bounds what a process that talks without end can do to the tests.
const maxLogbook = 4 << 20

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.text = append(l.text, p[:min(len(p), maxLogbook-len(l.text))]...)
	l.mu.Unlock()
	l.wake()
	return len(p), nil
}

func (l *logbook) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logbook) snapshot() (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text), l.changed
}
