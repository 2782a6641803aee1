// Command groat is the thin client: it asks groatd for an access token and prints it, and it shows the prompts of a
// login.
//
// The invariant: it holds no credential. What a person types at a login goes to groatd in one write and is wiped; an
// access token is printed and forgotten. What is not here: everything that speaks to an authorization server or a
// keychain, which is groatd's. Every sentence that a person reads stands in tui.go.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/groat-dev/groat/protocol/frame"
)

func main() {
	a := &app{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.Getenv,
		tty:    openTTY,
		route:  findRoute,
	}
	os.Exit(a.main(filepath.Base(os.Args[0]), os.Args[1:]))
}

// app is what a command may touch of the outside, so that a test can stand in for each part.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// tty opens the terminal of the person, whatever stdin and stdout are connected to.
	tty   func() (*os.File, error)
	route func() (*frame.Route, error)
}

// main runs the command that the arguments name, or the helper that the program is called as, and returns the exit
// code.
func (a *app) main(name string, args []string) int {
	if name == gitHelperName {
		return a.report(a.gitHelper(context.Background(), args))
	}
	if len(args) > 0 && args[0] == "get" {
		if o, rest, ok := quickGet(args[1:]); ok {
			return a.report(a.get(context.Background(), o, rest))
		}
	}
	return a.report(a.execute(context.Background(), args))
}

// quickGet parses the arguments of the one command that builds run thousands of times, without the command tree, whose
// construction costs more than the round trip to groatd. Arguments that it does not know are left to the tree.
func quickGet(args []string) (*getOptions, []string, bool) {
	var o getOptions
	fs := pflag.NewFlagSet("get", pflag.ContinueOnError)
	fs.Usage = func() {}
	fs.SetOutput(io.Discard)
	o.addTo(fs)
	if err := fs.Parse(args); err != nil || fs.NArg() > 1 {
		return nil, nil, false
	}
	return &o, fs.Args(), true
}
