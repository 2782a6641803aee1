package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/cmd/groat/unit"
	"github.com/groat-dev/groat/packaging/systemd"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

// unitFile is a file of a service manager.
type unitFile struct{ path, text string }

func (a *app) serviceCommand() *cobra.Command {
	cmd := command("service install|uninstall|start|stop|restart|status|logs", helpService, cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error { return cmd.Help() })
	var dry, json bool
	var f stopFlags
	var of logFlags
	install := command("install [flags]", helpServiceInstall, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.installService(cmd.Context(), dry)
	})
	uninstall := command("uninstall [flags]", helpServiceUninstall, cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			return a.uninstallService(cmd.Context(), &f)
		})
	start := command("start [flags]", helpServiceStart, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.withService("start", func(s *service) error { return a.startService(cmd.Context(), s, dry) })
	})
	stop := command("stop [flags]", helpServiceStop, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.withService("stop", func(s *service) error { return a.stopService(cmd.Context(), s, &f) })
	})
	restart := command("restart [flags]", helpServiceRestart, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.withService("restart", func(s *service) error { return a.restartService(cmd.Context(), s, &f) })
	})
	status := command("status [flags]", helpServiceStatus, cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return a.withService("status", func(s *service) error { return a.serviceStatus(cmd.Context(), s, json) })
	})
	logs := command("logs [flags]", helpServiceLogs, cobra.NoArgs, func(*cobra.Command, []string) error {
		return a.withService("logs", func(*service) error { return a.showJournal(&of) })
	})
	for _, c := range []*cobra.Command{install, start} {
		c.Flags().BoolVar(&dry, "dry-run", false, flagDryRunService)
	}
	status.Flags().BoolVar(&json, "json", false, flagJSON)
	cmd.AddCommand(install, f.add(uninstall), start, f.add(stop), f.add(restart), status, of.add(logs))
	return cmd
}

// installService has the user's service manager start groatd, and hands over to it.
func (a *app) installService(ctx context.Context, dry bool) error {
	r, units, err := a.serviceUnits("install")
	if err != nil {
		return err
	}
	program := autostart.FindDaemon(a.getenv("PATH"))
	if program == "" {
		return &autostart.Error{Reason: autostart.NoProgram}
	}
	program = nameOnPath(program, a.getenv("PATH"))
	text, ok := systemd.Service(program)
	if !ok {
		return errUnitPath(program)
	}
	units[0].text, units[1].text = text, systemd.Socket()
	if _, err := ownUnits(units); err != nil {
		return err
	}
	commands := [][]string{{"daemon-reload"}, {"enable", "--now", systemd.SocketName}}
	if dry {
		if err := a.write(textServicePlan(units, commands)); err != nil {
			return err
		}
	}
	if err := a.findUserManager("install"); err != nil { // nothing is written where there is none
		return err
	}
	if path := unit.Packaged(a.getenv); path != "" {
		a.printNote(textInPlaceOf(path))
	}
	if dry {
		return nil
	}
	for _, u := range units {
		if err := writeUnit(u); err != nil {
			return errUnitWrite(u.path, err)
		}
	}
	for _, args := range commands {
		if _, err := a.systemctl(args...); err != nil {
			return err
		}
	}
	status, err := a.serviceAnswers(ctx, r)
	if err != nil {
		return err
	}
	return a.write(textServiceInstalled(program, status))
}

// serviceAnswers returns the status of the service, which it starts by a connection. That another groatd has not handed
// over to it is an error.
func (a *app) serviceAnswers(ctx context.Context, r *frame.Route) (*protocol.StatusResult, error) {
	var status protocol.StatusResult
	if err := a.call(ctx, providerTime, protocol.MethodStatus, struct{}{}, &status); err != nil {
		return nil, err
	}
	if h, ok := r.Holder(); ok && h.PID != status.PID && status.Keystore.State == "unavailable" {
		return nil, errNotHandedOver(status.Keystore.Message)
	}
	return &status, nil
}

// uninstallService undoes what installService has done, and ends the groatd of the service with it: as systemctl does,
// without a question, but not if something would be lost.
func (a *app) uninstallService(ctx context.Context, f *stopFlags) error {
	r, units, err := a.serviceUnits("uninstall")
	if err != nil {
		return err
	}
	ours, err := ownUnits(units)
	if err != nil {
		return err
	}
	if len(ours) == 0 {
		return a.write(textNoService())
	}
	if s, err := a.showService(r, "uninstall"); err == nil && s.runs() {
		if err := a.serviceMayEnd(ctx, s, f); err != nil {
			return err
		}
	}
	disable := []string{"disable", "--now", systemd.SocketName, systemd.ServiceName}
	if f.dry {
		return a.write(textServiceRemoval(ours, [][]string{disable, {"daemon-reload"}}))
	}
	_, disabled := a.systemctl(disable...)
	for _, u := range ours {
		if err := os.Remove(u.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errUnitWrite(u.path, err)
		}
	}
	if disabled != nil {
		if err := a.findUserManager("uninstall"); err != nil {
			return err
		}
		return disabled
	}
	if _, err := a.systemctl("daemon-reload"); err != nil {
		return err
	}
	return a.write(textServiceRemoved())
}

// serviceUnits returns where this user's service manager reads the units of groatd's service and socket, without their
// text. The service is for the usual place only; the hint of the error is "groat service" with verb.
func (a *app) serviceUnits(verb string) (*frame.Route, []unitFile, error) {
	r, err := a.route()
	if err != nil {
		return r, nil, report.NoRoute(err)
	}
	if runtime.GOOS != "linux" {
		return r, nil, errNoServiceManager(verb)
	}
	if r.Sockets.Explicit != "" || !a.isUsual(r.Place) {
		return r, nil, errServicePlace(a.otherPlace(r.Place), verb)
	}
	dir := filepath.Join(r.Place.Home, ".config", "systemd", "user")
	units := []unitFile{{path: filepath.Join(dir, systemd.ServiceName)}, {path: filepath.Join(dir, systemd.SocketName)}}
	return r, units, nil
}

// isUsual reports whether a place is known, and is the one that a service is for.
func (a *app) isUsual(p *frame.Place) bool {
	if a.usual == nil {
		return p != nil && autostart.Usual(*p)
	}
	return p != nil && a.usual(*p)
}

// otherPlace returns the arguments of env that bring back the usual place.
func (a *app) otherPlace(now *frame.Place) (args []string) {
	for _, name := range []string{"GROAT_SOCKET", "GROAT_CONFIG", "GROAT_STATE_DIR", "XDG_CONFIG_HOME",
		"XDG_STATE_HOME"} {
		if a.getenv(name) != "" {
			args = append(args, "-u", name)
		}
	}
	if u, ok := ownpath.LocalUser(os.Geteuid()); ok && now != nil && now.Home != u.Home {
		args = append(args, "HOME="+visible.Word(u.Home))
	}
	return args
}

// ownUnits returns those of the units that are there. One that groat did not write is an error.
func ownUnits(units []unitFile) (there []unitFile, err error) {
	for _, u := range units {
		info, err := os.Lstat(u.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.Mode().IsRegular() { // a link to /dev/null is how a unit is masked
			return nil, errForeignUnit(u.path)
		}
		text, err := os.ReadFile(u.path)
		if err != nil {
			return nil, errUnitWrite(u.path, err)
		}
		if !strings.HasPrefix(string(text), systemd.Written) {
			return nil, errForeignUnit(u.path)
		}
		there = append(there, u)
	}
	return there, nil
}

// writeUnit replaces a unit as a whole.
func writeUnit(u unitFile) error {
	dir := filepath.Dir(u.path)
	// The unit is a program that runs at each sign-in: no other user may be able to put another one in its place.
	if err := ownpath.System().MayMakeIn(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".groatd-*") // no name of a unit
	if err != nil {
		return err
	}
	_, err = f.WriteString(u.text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), u.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// nameOnPath returns the name by which a program is found on PATH, where that is the same file: behind it may stand a
// directory of one version, which is gone after the next upgrade.
func nameOnPath(program, path string) string {
	name := autostart.OnPath(path, filepath.Base(program))
	there, err := os.Stat(name)
	real, err2 := os.Stat(program)
	if err == nil && err2 == nil && os.SameFile(there, real) && filepath.IsAbs(name) {
		return name
	}
	return program
}

// systemctlTime is how long systemctl may take: the unit gives a groatd that ends 30 s.
const systemctlTime = 40 * time.Second

// findUserManager returns an error where no systemd user manager answers, as for root or after su. Its hint is for a
// verb of "groat service".
func (a *app) findUserManager(verb string) error {
	if autostart.OnPath(a.getenv("PATH"), "systemctl") == "" {
		return errNoServiceManager(verb)
	}
	_, err := a.systemctl("show", "--property=Version")
	if f, ok := errors.AsType[*report.Failure](err); ok && f.Cause != nil {
		return errNoUserManager(f.Cause, verb)
	}
	return err
}

// maxSaid bounds what is read of systemctl.
const maxSaid = 16 << 10

// systemctl runs "systemctl --user" with args, and returns what it said. The error has that too.
func (a *app) systemctl(args ...string) (string, error) {
	args = append([]string{"systemctl", "--user"}, args...)
	failed := func(said string) error { return errSystemctl(args, said) }
	program := autostart.OnPath(a.getenv("PATH"), args[0])
	if program == "" {
		return "", errNoServiceManager("")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", failed(err.Error())
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", failed(err.Error())
	}
	defer r.Close()
	p, err := os.StartProcess(program, args, &os.ProcAttr{Env: a.managerEnv(), Files: []*os.File{null, w, w}})
	w.Close()
	if err != nil {
		return "", failed(err.Error())
	}
	end := time.AfterFunc(systemctlTime, func() { p.Kill() })
	defer end.Stop()
	r.SetReadDeadline(time.Now().Add(systemctlTime)) // a program that systemctl has started may hold the other end
	said, _ := io.ReadAll(io.LimitReader(r, maxSaid))
	io.Copy(io.Discard, r)
	state, err := p.Wait()
	switch {
	case err != nil:
		return "", failed(err.Error())
	case !state.Success():
		return "", failed(string(said))
	}
	return string(said), nil
}

// managerEnv is the environment for a program that speaks to the user manager.
func (a *app) managerEnv() []string {
	env := os.Environ()
	run := "/run/user/" + strconv.Itoa(os.Geteuid())
	if a.getenv("XDG_RUNTIME_DIR") == "" && isDir(run) { // as after su
		env = append(env, "XDG_RUNTIME_DIR="+run)
	}
	return env
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
