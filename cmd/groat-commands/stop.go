package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

const (
	// stopTime is how long groatd may take to end: it gives requests to providers 20 s.
	stopTime = 30 * time.Second
	// endPause is the time between two looks whether it has ended.
	endPause = 20 * time.Millisecond
)

// stopFlags are what "groat stop" and "groat restart" are called with.
type stopFlags struct{ force, dry bool }

func (f *stopFlags) add(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&f.force, "force", false, flagForceStop)
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, flagDryRunStop)
	return cmd
}

func (a *app) stopCommand() *cobra.Command {
	var f stopFlags
	cmd := command("stop [flags]", helpStop, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if s := a.installedService(); s != nil {
			return a.stopService(cmd.Context(), s, &f)
		}
		return a.stop(cmd.Context(), &f)
	})
	return f.add(cmd)
}

// stop ends the groatd that runs, if one does. Where GROAT_SOCKET names one of another place, that one is meant: no
// other one is started.
func (a *app) stop(ctx context.Context, f *stopFlags) error {
	d, err := a.findRunning(ctx)
	if err != nil {
		return err
	}
	if d == nil {
		return a.write(textNoneRuns())
	}
	defer d.c.Close()
	if err := a.mayEnd(&d.status, f, false); err != nil {
		return err
	}
	if f.dry {
		return a.write(textWouldStop(d.status.PID))
	}
	if err := a.end(ctx, d, f); err != nil {
		return err
	}
	a.tellRefusal()
	return a.write(textStopped(d.status.PID))
}

// tellRefusal says where the groatd that starts next would refuse its configuration.
func (a *app) tellRefusal() {
	if r, err := a.route(); err == nil && r.Place != nil && autostart.Refuses(r, a.getenv) {
		a.printNote(textNextRefuses)
	}
}

// mayEnd returns an error if something would be lost with a groatd, which may hand over to another one before, and the
// person does not want that.
func (a *app) mayEnd(s *protocol.StatusResult, f *stopFlags, handsOver bool) error {
	lost := slices.Clip(s.Unsaved)
	if !handsOver {
		lost = append(lost, s.HandedOver...)
	}
	if len(lost) > 0 && !f.force {
		return errWouldLose(s.PID, lost, a.path)
	}
	return nil
}

// running is a groatd that runs, with a connection to it.
type running struct {
	c      *protocol.Client
	status protocol.StatusResult
	// server is the process that made the socket, or 0 where that is not seen from here.
	server int
}

// findRunning returns the groatd of this place, or nil if none runs. It starts none.
func (a *app) findRunning(ctx context.Context) (*running, error) {
	r, err := a.route()
	if err != nil {
		return nil, report.NoRoute(err)
	}
	deadline := time.Now().Add(answerTime)
	if limit, ok := ctx.Deadline(); ok && limit.Before(deadline) {
		deadline = limit
	}
	conn, err := r.Reach(deadline, false)
	if conn == nil && err == nil {
		conn = r.ReachHolder(deadline)
	}
	if err != nil {
		return nil, err
	}
	if conn == nil {
		if h, ok := r.Holder(); ok && h.Here() && h.Socket != "" && isGroatd(h.PID) {
			return nil, errNotReached(h)
		}
		return nil, nil
	}
	d := &running{server: conn.ServerPID()}
	if d.c, err = protocol.FromConn(conn); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := d.c.Call(bounded, protocol.MethodStatus, struct{}{}, &d.status); err != nil {
		d.c.Close()
		// The socket of a service is the service manager's, which must not be killed.
		if errors.Is(err, context.DeadlineExceeded) && isGroatd(d.server) {
			return nil, errHangs(d.server, err)
		}
		return nil, err
	}
	return d, nil
}

// end asks a groatd to end and waits until it has. No other process can be hit: the process is opened by its id (a
// pidfd where the system has them), and after that groatd answers with the same id on the connection it had before.
func (a *app) end(ctx context.Context, d *running, f *stopFlags) error {
	pid := d.status.PID
	if d.server != pid || pid <= 1 {
		return errNotSeen(pid)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return errNotTold(pid, err)
	}
	defer p.Release()
	bounded, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var again protocol.StatusResult
	if err := d.c.Call(bounded, protocol.MethodStatus, struct{}{}, &again); err != nil {
		return err
	}
	if again.PID != pid {
		return errNotSeen(again.PID)
	}
	if err := a.mayEnd(&again, f, false); err != nil { // a sign-in may have begun
		return err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errNotTold(pid, err)
	}
	d.c.Close() // groatd waits for no connection, but an idle one need not be told
	for limit := time.Now().Add(stopTime); !ended(p, pid); time.Sleep(endPause) {
		if time.Now().After(limit) {
			return errNotEnded(pid)
		}
	}
	return nil
}

// ended reports whether a process has ended, also if its parent does not care yet.
func ended(p *os.Process, pid int) bool {
	return p.Signal(syscall.Signal(0)) != nil || isZombie(pid)
}

// isGroatd reports whether a process has groatd's name, where the system has /proc.
func isGroatd(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.TrimSpace(string(name)) == "groatd"
}

// isZombie reports whether a process has ended and waits for its parent (proc_pid_stat(5)).
func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	name := bytes.LastIndexByte(text, ')') // the name may have spaces and brackets
	return bytes.HasPrefix(text[name+1:], []byte(" Z"))
}
