// Command groat-commands is what groat is for all that a person types. It is not typed itself: groat, the small program
// that builds run thousands of times, replaces itself with this one for whatever it does not do alone, with the same
// arguments. So this program can do everything, "get" and the helpers too: where no groatd runs yet, it starts one.
//
// The invariant: it holds no credential. What a person types at a login goes to groatd in one write and is wiped; an
// access token is printed and forgotten. What is not here: everything that speaks to an authorization server or a
// keychain, which is groatd's. Every sentence that a person reads stands in the files tui*.go, here or in package
// report.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/groat-dev/groat/cmd/groat/helper"
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
	// usual reports whether a place is the one that a service is for; nil is [autostart.Usual].
	usual func(frame.Place) bool
	json  bool // the command was asked for JSON
	// typed are the arguments of the command that runs, and path is its name ("groat login"), for hints.
	typed []string
	path  string
}

// foreign are the names that other programs call groat by, each with its helper.
var foreign = map[string]string{helper.GitName: "git", helper.DockerName: "docker", helper.CargoName: "cargo",
	helper.KeyringName: "keyring"}

// main runs the command that the arguments name, or the helper that the program is called as, and returns the exit
// code.
func (a *app) main(name string, args []string) int {
	ctx := context.Background()
	of, isHelper := foreign[name]
	switch {
	case isHelper && asksForHelp(args), name == helper.CargoName:
		args = append([]string{"helper", of}, args...)
	case name == helper.GitName:
		return a.report(a.gitHelper(ctx, args))
	case name == helper.DockerName:
		return a.report(a.dockerHelper(ctx, args))
	case name == helper.KeyringName:
		return a.report(a.keyringHelper(ctx, args))
	}
	return a.report(a.execute(ctx, args))
}
