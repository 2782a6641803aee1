// Command groat hands out access tokens: it asks groatd for one and prints it.
//
// Tools start it thousands of times, so that it does at once what they ask for, "groat get" and the helpers of other
// programs, by a few system calls and nothing that takes time to start. For all else, and where no groatd runs yet, it
// replaces itself with groat-commands, with the same arguments, which can do everything. So this program is a shorter
// way and never another one: the requests, the texts and the exit codes are the same code.
//
// The invariant: it holds no credential; an access token is printed and forgotten.
package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	_ "github.com/groat-dev/groat/cmd/groat/stack" // at once
	"github.com/groat-dev/groat/protocol/frame"
)

func main() { os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:])) }

// run does what the arguments ask for, and returns the exit code.
func run(name string, args []string) int {
	switch {
	case name == helper.GitName:
		return git(args)
	case name == helper.DockerName:
		return docker(args)
	case name == helper.CargoName && isCargo(args):
		return cargo()
	case name == helper.KeyringName && len(args) > 1:
		return keyring(args)
	case len(args) > 1 && args[0] == "helper":
		if answer, ok := helperFor(args[1], args[2:]); ok {
			return answer
		}
	case len(args) > 0 && args[0] == "get":
		if o, profile, ok := parseGet(args[1:]); ok {
			if format, err := o.Format(); err == nil {
				return printToken(format, o.Request(profile, os.Getenv))
			}
		}
	}
	return fail(handOver(nil))
}

// errNotRunning means that no groatd runs, which groat-commands may start.
var errNotRunning = errors.New("no groatd runs")

var caller = get.Caller{
	Route: func() (*frame.Route, error) { return frame.FindRoute(os.Getenv) },
	Connect: func(r *frame.Route, repeatable bool) (*frame.Conn, error) {
		c, err := r.Reach(time.Now().Add(get.ConnectTime), repeatable)
		if c == nil && err == nil {
			err = errNotRunning
		}
		return c, err
	},
}

// helperFor answers a program, with the arguments that follow its name. It reports false for what it does not know.
func helperFor(program string, args []string) (code int, ok bool) {
	operand := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	switch {
	case program == "go" && len(args) == 0:
		return report.ExitDone, true // it asks for what it can say before any server has asked: nothing
	case program == "go" && operand && len(args) == 1:
		return answered(get.Go(caller, args[0], os.Getenv, os.Stdout)), true
	case program == "cargo" && (len(args) == 0 || isCargo(args)):
		return cargo(), true
	case program == "keyring" && len(args) > 1:
		return keyring(args), true
	case program == "git" && (operand || len(args) > 1): // git puts what its configuration says before the operation
		return git(args), true
	case program == "docker" && operand:
		return docker(args), true
	case program == "kubectl" && len(args) > 0:
		return kubectl(args)
	case program == "curl" && operand && len(args) == 1:
		return printToken("curl", get.Curl(args[0], os.Getenv)), true
	}
	return 0, false
}

// printToken is "groat get".
func printToken(format string, q get.Request) int {
	t, err := caller.Do(q)
	if errors.Is(err, errNotRunning) {
		err = handOver(nil)
	}
	if err == nil && t.SessionWarning && aPersonSees() {
		handOver(nil) // groat-commands prints it and the warning; where it cannot be run, the token is printed alone
	}
	if err == nil {
		err = get.Print(os.Stdout, format, t)
	}
	if err == nil {
		return report.ExitDone
	}
	if format == "json" {
		f := explain(err)
		f.PrintJSON(os.Stderr)
		return f.Code
	}
	return fail(err)
}

// fail prints an error's two lines and returns its exit code.
func fail(err error) int {
	f := explain(err)
	f.Print(os.Stderr)
	return f.Code
}

// explain words an error.
func explain(err error) *report.Failure { return report.Explain(err, os.Getenv) }

// git answers git, which ignores exit codes and shows stderr: every error is one line there.
func git(args []string) int {
	read, err := get.Git(caller, args, os.Getenv, nil, os.Stdout)
	// Whether git writes a token to disk is worth a look where a person sees what is said of it, and at "store" only,
	// for which nobody waits.
	if errors.Is(err, errNotRunning) || err == nil && helper.PassedOn(args, read) != nil && isDevice(os.Stderr) {
		err = handOver(read)
	}
	if err != nil {
		explain(err).PrintLine(os.Stderr)
	}
	return report.ExitDone
}

// docker answers docker, which looks for errors on stdout.
func docker(args []string) int {
	read, err := get.Docker(caller, args, os.Getenv, nil, os.Stdout)
	if errors.Is(err, errNotRunning) || errors.Is(err, helper.ErrDockerOperation) {
		err = handOver(read)
	}
	if err != nil {
		return get.FailDocker(err, explain, os.Stdout, os.Stderr)
	}
	return report.ExitDone
}

// kubectl answers kubectl. It reports false for arguments that are not [PROFILE] [--id-token].
func kubectl(args []string) (code int, ok bool) {
	profile, idToken := "", false
	for _, arg := range args {
		switch {
		case arg == "--id-token" && !idToken:
			idToken = true
		case arg != "" && arg[0] != '-' && profile == "":
			profile = arg
		default:
			return 0, false
		}
	}
	return answered(get.Kubectl(caller, profile, idToken, os.Getenv, os.Stdout)), true
}

// answered ends a helper that has read nothing and whose errors are two lines.
func answered(err error) int {
	if errors.Is(err, errNotRunning) {
		err = handOver(nil)
	}
	if err != nil {
		return fail(err)
	}
	return report.ExitDone
}

// isCargo reports whether the arguments are those that cargo gives; all else cargo says on stdin.
func isCargo(args []string) bool { return len(args) == 1 && args[0] == helper.CargoPlugin }

// cargo answers cargo. Cargo is greeted before it says what it wants, so the one who greets has to be able to answer:
// where no groatd runs, that is groat-commands.
func cargo() int {
	c, err := caller.Connected()
	if errors.Is(err, errNotRunning) {
		err = handOver(nil)
		c.Connect = func(*frame.Route, bool) (*frame.Conn, error) { return nil, err }
	}
	if get.Cargo(c, os.Getenv, explain, nil, os.Stdout) != nil {
		return report.ExitInternal
	}
	return report.ExitDone
}

// keyring answers pip and uv.
func keyring(args []string) int { return answered(get.Keyring(caller, args, os.Getenv, os.Stdout)) }

// isDevice reports whether a file is a device, as a terminal is.
func isDevice(f *os.File) bool {
	it, err := f.Stat()
	return err == nil && it.Mode()&os.ModeCharDevice != 0
}
