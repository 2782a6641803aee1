// Command groat hands out access tokens: it asks groatd for one and prints it.
//
// Tools start it thousands of times, so that it does at once what they ask for, "groat get" and git's helper, by a few
// system calls and nothing that takes time to start. For all else, and where no groatd runs yet, it replaces itself
// with groat-commands, with the same arguments, which can do everything. So this program is a shorter way and never
// another one: the requests, the texts and the exit codes are the same code.
//
// The invariant: it holds no credential; an access token is printed and forgotten.
package main

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/groat-dev/groat/cmd/groat/get"
	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/cmd/groat/report"
	_ "github.com/groat-dev/groat/cmd/groat/stack" // at once
	"github.com/groat-dev/groat/protocol/frame"
)

func main() { os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:])) }

// gitHelperName is the name that git calls the program by for "credential.helper = groat".
const gitHelperName = "git-credential-groat"

// run does what the arguments ask for, and returns the exit code.
func run(name string, args []string) int {
	switch {
	case name == gitHelperName:
		return git(args)
	case len(args) > 2 && args[0] == "helper" && args[1] == "git":
		return git(args[2:])
	case len(args) > 0 && args[0] == "get":
		if o, profile, ok := parseGet(args[1:], os.Getenv); ok {
			return printToken(o, profile)
		}
	}
	return handOver(nil)
}

// connectTime bounds the way to a connection.
const connectTime = 30 * time.Second

// caller makes requests for tokens. Where no groatd runs it hands over, with what was read of stdin.
func caller(read func() []byte) get.Caller {
	route := func() (*frame.Route, error) { return frame.FindRoute(os.Getenv) }
	return get.Caller{Route: route, Connect: func(r *frame.Route) (*frame.Conn, error) {
		c, err := r.Reach(time.Now().Add(connectTime), true)
		if c == nil && err == nil {
			os.Exit(handOver(read()))
		}
		return c, err
	}}
}

// printToken is "groat get".
func printToken(o get.Options, profile string) int {
	format, err := o.Format()
	if err != nil {
		return handOver(nil) // which has the words for it
	}
	t, err := caller(func() []byte { return nil }).Do(o.Request(profile))
	if err == nil {
		err = get.Print(os.Stdout, format, t)
	}
	if err == nil {
		return report.ExitDone
	}
	f := explain(err)
	f.Print(os.Stderr)
	return f.Code
}

// git answers git, which ignores exit codes and shows stderr: every error is one line there.
func git(args []string) int {
	end := time.Now().Add(helper.GitTime)
	in := &recorder{from: os.Stdin}
	tooSlow := time.AfterFunc(helper.GitTime+time.Second, func() {
		explain(helper.ErrGitSlow).PrintLine(os.Stderr)
		os.Exit(report.ExitDone)
	})
	defer tooSlow.Stop()
	if err := helper.Git(get.Helper{Caller: caller(in.all), End: end}, args, in, os.Stdout); err != nil {
		explain(err).PrintLine(os.Stderr)
	}
	return report.ExitDone
}

// explain returns what there is to say of an error.
func explain(err error) *report.Failure {
	f := report.Describe(err)
	if e, ok := f.Cause.(*frame.Error); ok {
		f.AddNetwork(e, os.Getenv)
	}
	return f
}

// recorder keeps what was read, which is at most what a helper's protocol allows.
type recorder struct {
	from io.Reader
	read []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	r.read = append(r.read, b[:n]...)
	return n, err
}

func (r *recorder) all() []byte { return r.read }
