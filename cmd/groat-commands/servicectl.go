package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/unit"
	"github.com/groat-dev/groat/packaging/systemd"
	"github.com/groat-dev/groat/protocol/frame"
)

// The verbs of "groat service" for a service that is installed, by groat or by a package. Only units of groat's are
// touched.

// service is what systemd says of groatd's units (systemctl(1), "show").
type service struct {
	route *frame.Route
	unit  string // the file of groatd.service
	// active and sub are ActiveState and SubState of groatd.service, socket is ActiveState of groatd.socket.
	active, sub, socket string
	pid                 int    // 0 where it does not run
	since               string // as systemd prints it
}

// runs reports whether groatd runs under the service manager.
func (s *service) runs() bool { return s.pid > 0 && s.active != "failed" }

// withService runs a verb of "groat service" for the service that is installed, or says why there is none.
func (a *app) withService(verb string, do func(*service) error) error {
	r, _, err := a.serviceUnits(verb)
	if err != nil {
		return err
	}
	if err := a.findUserManager(verb); err != nil {
		return err
	}
	s, err := a.showService(r, verb)
	if err != nil {
		return err
	}
	return do(s)
}

// installedService returns the service that stands behind "groat stop", "groat restart" and "groat logs" here, or nil
// where a groatd of this shell's place is no service: then they are about the one that groat starts.
func (a *app) installedService() *service {
	r, err := a.route()
	if err != nil || runtime.GOOS != "linux" || r.Sockets.Explicit != "" || !a.isUsual(r.Place) ||
		!unit.Installed(a.getenv) {
		return nil
	}
	s, err := a.showService(r, "")
	if err != nil {
		return nil
	}
	return s
}

// showService asks systemd about the units. The verb is for hints.
func (a *app) showService(r *frame.Route, verb string) (*service, error) {
	said, err := a.systemctl("show", "--property=Id,LoadState,FragmentPath,ActiveState,SubState,MainPID,"+
		"ExecMainStartTimestamp", systemd.ServiceName, systemd.SocketName)
	if err != nil {
		return nil, err
	}
	units := map[string]map[string]string{} // :: name → property → value
	for block := range strings.SplitSeq(said, "\n\n") {
		properties := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			properties[name] = value
		}
		units[properties["Id"]] = properties
	}
	of, socket := units[systemd.ServiceName], units[systemd.SocketName]
	switch {
	case of["LoadState"] == "masked" || socket["LoadState"] == "masked":
		return nil, errMasked()
	case of["LoadState"] != "loaded" || socket["LoadState"] != "loaded":
		return nil, errNoService(verb)
	}
	for _, u := range []map[string]string{of, socket} {
		text, err := os.ReadFile(u["FragmentPath"])
		if err != nil || !systemd.Ours(string(text)) {
			return nil, errOthersUnit(u["FragmentPath"], verb)
		}
	}
	s := &service{route: r, unit: of["FragmentPath"], active: of["ActiveState"], sub: of["SubState"],
		socket: socket["ActiveState"], since: of["ExecMainStartTimestamp"]}
	s.pid, _ = strconv.Atoi(of["MainPID"])
	return s, nil
}

// startService starts the socket and the service. What systemd has given up after too many starts, it starts again only
// once it is told to forget those.
func (a *app) startService(ctx context.Context, s *service, dry bool) error {
	commands := [][]string{{"reset-failed", systemd.SocketName, systemd.ServiceName},
		{"start", systemd.SocketName, systemd.ServiceName}}
	was := s.runs() && s.socket == "active"
	if dry {
		return a.write(textCommands(commands))
	}
	for _, args := range commands {
		if was {
			break
		}
		if _, err := a.systemctl(args...); err != nil {
			return err
		}
	}
	status, err := a.serviceAnswers(ctx, s.route)
	if err != nil {
		return err
	}
	return a.write(textServiceStarted(was, status))
}

// stopService ends the service. Its socket stays, and starts it again when a program asks.
func (a *app) stopService(ctx context.Context, s *service, f *stopFlags) error {
	args := []string{"stop", systemd.ServiceName}
	switch beside, err := a.runsBeside(ctx, s); {
	case err != nil:
		return err
	case beside:
		return a.stop(ctx, f)
	case !s.runs():
		return a.write(textNoneRuns())
	}
	if err := a.serviceMayEnd(ctx, s, f); err != nil {
		return err
	}
	if f.dry {
		return a.write(textCommands([][]string{args}))
	}
	if _, err := a.systemctl(args...); err != nil {
		return err
	}
	a.tellRefusal()
	return a.write(textServiceStopped(s.pid))
}

// runsBeside reports whether a groatd runs that is no service's while the service does not. Where systemd has the
// socket, a connection to it may start the service, which takes over: then s says so afterwards.
func (a *app) runsBeside(ctx context.Context, s *service) (bool, error) {
	if s.runs() {
		return false, nil
	}
	if s.socket == "active" {
		if h, ok := s.route.Holder(); !ok || !h.Here() || !isGroatd(h.PID) {
			return false, nil
		}
	}
	d, err := a.findRunning(ctx)
	if err != nil || d == nil {
		return false, err
	}
	d.c.Close()
	now, err := a.showService(s.route, "")
	if err != nil {
		return false, err
	}
	*s = *now
	return s.pid != d.status.PID, nil
}

// findService is findRunning for a service that runs.
func (a *app) findService(ctx context.Context, s *service) (*running, error) {
	d, err := a.findRunning(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errServiceHangs(s.pid, a.path, err)
	}
	return d, err
}

// serviceMayEnd is mayEnd for a service that runs.
func (a *app) serviceMayEnd(ctx context.Context, s *service, f *stopFlags) error {
	if f.force {
		return nil
	}
	d, err := a.findService(ctx, s)
	if err != nil || d == nil {
		return err
	}
	defer d.c.Close()
	if d.status.PID != s.pid { // the service waits for another groatd
		return nil
	}
	return a.mayEnd(&d.status, f, false)
}

// restartService replaces the groatd of the service by the one that is installed.
func (a *app) restartService(ctx context.Context, s *service, f *stopFlags) error {
	switch beside, err := a.runsBeside(ctx, s); {
	case err != nil:
		return err
	case beside:
		return a.restart(ctx, f)
	}
	if s.runs() {
		d, err := a.findService(ctx, s)
		if err != nil && !f.force {
			return err
		}
		if err == nil && d != nil {
			defer d.c.Close()
			of := d.status.PID == s.pid // else the service waits for another groatd
			carries := of && handsOver(s.route, d, f)
			if err := a.mayEnd(&d.status, f, carries); of && err != nil {
				return err
			}
			if carries && f.dry {
				return a.write(textWouldCarry(s.pid))
			} else if carries {
				return a.replace(ctx, s.route, d, autostart.Carrying)
			}
		}
	}
	args := []string{"restart", systemd.ServiceName}
	if f.dry {
		return a.write(textCommands([][]string{args}))
	}
	if _, err := a.systemctl(args...); err != nil {
		return err
	}
	status, err := a.serviceAnswers(ctx, s.route)
	if err != nil {
		return err
	}
	return a.write(textRestarted(status, !s.runs()))
}

// serviceJSON is what "groat service status --json" prints.
type serviceJSON struct {
	Unit    string `json:"unit"`
	Socket  string `json:"socket"`  // ActiveState of groatd.socket
	Service string `json:"service"` // ActiveState of groatd.service
	PID     int    `json:"pid,omitempty"`
	Since   string `json:"since,omitempty"`
	Release string `json:"release,omitempty"` // of the groatd that runs
	Older   bool   `json:"older,omitempty"`   // than this groat
}

// serviceStatus shows the service. It does not start it. Where no program could reach groatd, that is an error.
func (a *app) serviceStatus(ctx context.Context, s *service, json bool) error {
	shown := serviceJSON{Unit: s.unit, Socket: s.socket, Service: s.active, PID: s.pid}
	if s.runs() {
		shown.Since = s.since
		if d, err := a.findRunning(ctx); err == nil && d != nil {
			d.c.Close()
			if d.status.PID == s.pid {
				shown.Release, shown.Older = d.status.Release, older(d.status.Release, release)
			}
		}
	}
	if err := printResult(a, &shown, json, func(v *serviceJSON) []byte { return textService(v, s.sub) }); err != nil {
		return err
	}
	if s.socket != "active" || s.active == "failed" {
		return errServiceDown(s.active)
	}
	return nil
}

// showJournal shows what the service has logged to systemd's journal.
func (a *app) showJournal(f *logFlags) error {
	program := autostart.OnPath(a.getenv("PATH"), "journalctl")
	if program == "" {
		return errNoJournal()
	}
	lines := "all"
	if f.lines > 0 {
		lines = strconv.FormatUint(uint64(f.lines), 10)
	}
	// With --user journalctl would read the user's own files only, and there are none where the journal is in memory.
	args := []string{"--no-pager", "--user-unit", systemd.ServiceName, "-n", lines}
	if f.follow {
		args = append(args, "-f")
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = a.managerEnv(), a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		if _, ran := errors.AsType[*exec.ExitError](err); ran {
			return errJournal("")
		}
		return errJournal(err.Error())
	}
	return nil
}
