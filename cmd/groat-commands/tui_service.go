package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/systemd"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

var (
	helpService        = help{short: "Have your service manager start groatd"}
	helpServiceInstall = help{
		short: "Have your service manager start groatd",
		long: `Write a socket and a service unit for your systemd user manager, and start the
socket. From then on groatd starts with the first program that asks for a token,
and again where it fails. The groatd that runs now hands its tokens over.`,
	}
	helpServiceUninstall = help{
		short: "Undo groat service install",
		long:  "Stop the service, and remove the units that groat has written. groat starts\ngroatd by itself again.",
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

func errNoServiceManager() *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable,
		Message: "there is no systemd here; groat starts groatd by itself",
		Hint:    "groat status"}
}

func errNoUserManager(said error) *report.Failure {
	return &report.Failure{Code: report.ExitUnavailable, Hint: "groat status", Cause: said,
		Message: "there is no systemd user manager here; groat starts groatd by itself"}
}

func errSystemctl(args []string, said string) *report.Failure {
	said = visible.Line(strings.TrimSpace(said), 300)
	return &report.Failure{Code: report.ExitUnavailable,
		Message: fmt.Sprintf("%s failed: %s", strings.Join(args, " "), said),
		Hint:    "systemctl --user status", Cause: errors.New(said)}
}

func errForeignUnit(path string) *report.Failure {
	word := visible.Word(path)
	return &report.Failure{Code: report.ExitConfig,
		Message: visible.Name(path) + " was not written by groat service install, so nothing was changed",
		Hint:    "mv " + word + " " + visible.Word(path+".before")}
}

func errUnitPath(program string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "no unit can name " + visible.Name(program),
		Hint: "install groat and groatd in another directory"}
}

func errUnitWrite(path string, cause error) *report.Failure {
	return &report.Failure{Code: report.ExitConfig, Message: "cannot change the unit: " + visible.Text(cause.Error()),
		Hint: "ls -ld " + visible.Word(filepath.Dir(path)), Cause: cause}
}

func errNotHandedOver(why string) *report.Failure {
	return &report.Failure{Code: report.ExitTemporary, Message: "the service is installed and waits: " + why,
		Hint: "groat service uninstall"}
}

// textServicePlan shows units and the commands that follow.
func textServicePlan(units []unit, commands [][]string) []byte {
	var b strings.Builder
	for _, u := range units {
		fmt.Fprintf(&b, "would write %s:\n\n%s\n", visible.Name(u.path), u.text)
	}
	return append([]byte(b.String()), textCommands(commands)...)
}

func textServiceRemoval(units []unit, commands [][]string) []byte {
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
	if s.Keystore.State == "locked" {
		out = fmt.Appendln(out, "The keystore is locked: groat unlock")
	}
	return out
}

func textServiceRemoved() []byte {
	return []byte("groatd is no service any more; groat starts it when it is needed.\n")
}

func textNoService() []byte { return []byte("groat has installed no service.\n") }
