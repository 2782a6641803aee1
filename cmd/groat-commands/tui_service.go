package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/systemd"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

var (
	helpService        = help{short: "Have your service manager start groatd, and look after it"}
	helpServiceInstall = help{
		short: "Have your service manager start groatd",
		long: `Write a socket and a service unit for your systemd user manager, and start the
socket. From then on groatd starts with the first program that asks for a token,
and again where it fails. The groatd that runs now hands its tokens over.`,
	}
	helpServiceUninstall = help{
		short: "Undo groat service install",
		long: `Stop the service, and remove the units that groat has written. groat starts
groatd by itself again. What groatd keeps in memory only would be lost, and a
sign-in that has no refresh token or is under way: then groat says so and does
nothing, unless --force is given.`,
	}
	helpServiceStart = help{
		short: "Start the service",
		long:  "Start the socket and the service. Neither is changed where both run.",
	}
	helpServiceStop = help{
		short: "End groatd; its socket stays",
		long: `End groatd and leave its socket: the next program that asks starts it again,
which only groat service uninstall changes. What groatd keeps in memory only
would be lost, and a sign-in that has no refresh token or is under way: then
groat says so and does nothing, unless --force is given.`,
	}
	helpServiceRestart = help{
		short: "Replace the groatd of the service by the one that is installed",
		long: `Replace the groatd of the service by the one that is installed. Programs that
ask meanwhile wait at its socket, which systemd keeps. A process of its own,
which systemd knows nothing of, has the access tokens while the one has ended
and the other has not begun; no provider is asked for others.

What groatd keeps in memory only would be lost, and a sign-in that is under way:
then groat says so and does nothing, unless --force is given. With it, and after
a groatd that hands nothing over, systemd restarts the service, and each access
token is asked for again when it is needed. systemctl --user restart groatd does
the same.`,
	}
	helpServiceStatus = help{
		short: "Show whether the service is installed and runs",
		long: `Show whether the service is installed and runs, since when, and whether its
groatd is older than groat. It starts nothing. The exit code is 0 where programs
can reach groatd, and 69 where no service is installed, where its socket is not
active, or where groatd has failed.`,
	}
	helpServiceLogs = help{
		short: "Show what the service has logged",
		long:  "Show the last lines that groatd has logged to the journal.",
	}
)

const flagDryRunService = "show what would be written and run, and change nothing"

// errServicePlace takes the arguments of env that bring back the usual place, and the verb of "groat service".
func errServicePlace(env []string, verb string) *report.Failure {
	f := &report.Failure{Code: report.ExitConfig,
		Message: "a service is for the usual home, configuration and state directory, and the environment names others",
		Hint:    strings.Join(append(env, "groat service "+verb), " ")}
	if strings.HasPrefix(f.Hint, "-u ") {
		f.Hint = "env " + f.Hint
	}
	return f
}

// errNoServiceManager takes the verb of "groat service".
func errNoServiceManager(verb string) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable,
		Message: "there is no systemd here; groat starts groatd by itself",
		Hint:    withoutService(verb, "groat status")}
}

// errNoUserManager takes what systemctl said, and the verb of "groat service".
func errNoUserManager(said error, verb string) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: withoutService(verb, "groat status"), Cause: said,
		Message: "there is no systemd user manager here; groat starts groatd by itself"}
}

// withoutService returns the command for a groatd that is no service, where there is one for the verb of "groat
// service".
func withoutService(verb, otherwise string) string {
	switch verb {
	case "stop", "restart", "logs":
		return "groat " + verb
	}
	return otherwise
}

func errSystemctl(args []string, said string) *report.Failure {
	said = visible.Line(strings.TrimSpace(said), 300)
	return &report.Failure{Code: report.ExitUnavailable,
		Message: fmt.Sprintf("%s failed: %s", strings.Join(args, " "), said),
		Hint:    "systemctl --user status " + systemd.ServiceName, Cause: errors.New(said)}
}

func errForeignUnit(path string) *report.Failure {
	word := visible.Word(path)
	return &report.Failure{Code: report.ExitConfig,
		Message: visible.Name(path) + " was not written by groat service install, so nothing was changed",
		Hint:    "mv " + word + " " + visible.Word(path+".before")}
}

func errUnitPath(program string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "no unit can name " + visible.Name(program) +
		", which must be in another directory for that; groat starts it by itself", Hint: "groat status"}
}

func errUnitWrite(path string, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "cannot change the unit: " + visible.Text(cause.Error()),
		Hint: ownpath.DirHint(filepath.Dir(path)), Cause: cause}
}

func errNotHandedOver(why string) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Message: "the service is installed and waits: " + why,
		Hint: "groat service uninstall"}
}

// textInPlaceOf names the unit that does not count while groat's own is there.
func textInPlaceOf(path string) string {
	return "groat: the unit that groat writes stands in the place of " + visible.Name(path) +
		", which counts again after groat service uninstall\n"
}

// textServicePlan shows units and the commands that follow.
func textServicePlan(units []unitFile, commands [][]string) []byte {
	var b strings.Builder
	for _, u := range units {
		fmt.Fprintf(&b, "would write %s:\n\n%s\n", visible.Name(u.path), u.text)
	}
	return append([]byte(b.String()), textCommands(commands)...)
}

func textServiceRemoval(units []unitFile, commands [][]string) []byte {
	out := textCommands(commands[:1])
	for _, u := range units {
		out = fmt.Appendf(out, "would remove %s\n", visible.Name(u.path))
	}
	return append(out, textCommands(commands[1:])...)
}

func textCommands(commands [][]string) (out []byte) {
	for _, args := range commands {
		out = fmt.Appendf(out, "would run systemctl --user %s\n", strings.Join(args, " "))
	}
	return out
}

func textServiceInstalled(program string, s *protocol.StatusResult) []byte {
	out := fmt.Appendf(nil, "%s is a service of your user manager now (%s, pid %d).\n", visible.Name(program),
		systemd.SocketName, s.PID)
	return append(out, textLockedKeystore(s)...)
}

func textLockedKeystore(s *protocol.StatusResult) []byte {
	if s.Keystore.State != "locked" {
		return nil
	}
	return []byte("The keystore is locked: groat unlock\n")
}

// errNoService takes the verb of "groat service".
func errNoService(verb string) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: withoutService(verb, "groat service install"),
		Message: "no service is installed; groat starts groatd by itself"}
}

func errMasked() *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "groatd's units are masked, so nothing was done",
		Hint: "systemctl --user unmask " + systemd.SocketName + " " + systemd.ServiceName}
}

// errOthersUnit takes the file of a unit, and the verb of "groat service".
func errOthersUnit(path, verb string) *report.Failure {
	f := &report.Failure{Code: report.ExitConfig,
		Message: visible.Name(path) + " is no unit of groat's, so nothing was done",
		Hint:    "systemctl --user " + visible.Word(verb) + " " + systemd.ServiceName}
	if verb == "logs" {
		f.Hint = "journalctl --user -u " + systemd.ServiceName
	}
	return f
}

func errServiceDown(active string) *report.Failure {
	f := &report.Failure{Code: report.ExitUnavailable, Message: systemd.SocketName + " is not active",
		Hint: "groat service start"}
	if active == "failed" {
		f.Message, f.Hint = "groatd has failed", "groat service logs"
	}
	return f
}

// errServiceHangs takes the command that was typed, without its flags.
func errServiceHangs(pid int, command string, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Hint: command + " --force", Cause: cause,
		Message: fmt.Sprintf("groatd (pid %d) does not answer; what is stored is not lost with it", pid)}
}

func errNoJournal() *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: "systemctl --user status " + systemd.ServiceName,
		Message: "there is no journalctl here, which reads the journal"}
}

// errJournal takes why journalctl could not be run, or "" where it has said itself what is wrong.
func errJournal(why string) *report.Failure {
	f := &report.Failure{Code: report.ExitUnavailable, Message: "journalctl does not show what groatd has logged",
		Hint: fmt.Sprintf("sudo journalctl _UID=%d _SYSTEMD_USER_UNIT="+systemd.ServiceName, os.Geteuid())}
	if why != "" {
		f.Message = "journalctl cannot be run: " + visible.Text(why)
	}
	return f
}

func textServiceStarted(was bool, s *protocol.StatusResult) []byte {
	out := fmt.Appendf(nil, "groatd runs (pid %d).\n", s.PID)
	if was {
		out = fmt.Appendf(nil, "groatd runs already (pid %d).\n", s.PID)
	}
	return append(out, textLockedKeystore(s)...)
}

func textWouldCarry(pid int) []byte {
	return fmt.Appendf(nil, "would run groatd --carry, which takes over from groatd (pid %d)\n"+
		"would have %s start %s, which takes over from that\n", pid, systemd.SocketName, systemd.ServiceName)
}

func textServiceStopped(pid int) []byte {
	return fmt.Appendf(nil, "groatd (pid %d) has ended; %s starts it again when a program asks.\n", pid,
		systemd.SocketName)
}

// textService shows the service. sub is SubState of groatd.service.
func textService(v *serviceJSON, sub string) []byte {
	out := fmt.Appendf(nil, "unit     %s\nsocket   %s\ngroatd   %s (%s)", visible.Name(v.Unit), nameOf(v.Socket),
		nameOf(v.Service), nameOf(sub))
	if v.PID > 0 {
		out = fmt.Appendf(out, ", pid %d", v.PID)
	}
	if v.Since != "" {
		out = fmt.Appendf(out, ", since %s", sentence(v.Since))
	}
	out = append(out, '\n')
	if v.Release != "" {
		out = fmt.Appendf(out, "release  %s\n", nameOf(v.Release))
	}
	if v.Older {
		out = append(out, textOlder(v.Release)...)
	}
	return out
}

// textOlder says that the groatd that runs is of an older release than this groat.
func textOlder(of string) string {
	return fmt.Sprintf("groatd %s runs, groat is %s: groat restart\n", nameOf(of), nameOf(release))
}

func textServiceRemoved() []byte {
	return []byte("groatd is no service any more; groat starts it when it is needed.\n")
}

func textNoService() []byte { return []byte("groat has installed no service.\n") }
