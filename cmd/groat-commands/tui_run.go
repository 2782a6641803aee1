package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/ownpath"
	"github.com/groat-dev/groat/protocol/visible"
)

var helpRun = help{
	short: "Run a command that finds a profile's access token",
	long: `Run a command that finds a profile's access token: its environment says where
the token is, and does not hold it, so that the command can run for longer than
one access token is good.

  GROAT_HEADER_FILE   a file with the whole header, current until the command
                      ends (curl -H @FILE)
  GROAT_PROFILE       the profile, for "groat get" and the helpers
  GDAL_CONFIG_FILE    GDAL 3.10 and later reads what the profile lists (--api)
                      with the header, by /vsicurl/; not set where a gdalrc of
                      your own is there
  GIT_CONFIG_COUNT …  git asks groat for what the profile lists, and no other
                      helper
  GOAUTH              the go command asks groat first

groat becomes the command: the terminal, signals and the exit status are the
command's own. The exit status is 127 where there is no such command, 126 where
it cannot be run.

--env puts the access token itself in a variable, for a program that has no
other way. It ends, in minutes as a rule, and then the variable is of no use;
every process that the command starts has it, and each of your processes can
read it (/proc/PID/environ). An API key is put nowhere.

There is nothing here for wget: it sends the header on to wherever a server
redirects it.`,
	example: `  groat run spatiafi -- gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat run work -- \
    sh -c 'curl -H @"$GROAT_HEADER_FILE" https://api.example.com/v1/me'
  groat run work --env API_TOKEN -- ./upload`,
}

const (
	useRun = "run [PROFILE] [flags] -- COMMAND [ARGUMENT…]"

	flagRunEnv = "put the access token itself in `VARIABLE`, where it is not renewed; may be repeated"

	msgRunDash = "; the command goes behind --: groat run PROFILE -- COMMAND"
	msgRunWhat = "what to run is missing: groat run PROFILE -- COMMAND"
)

func msgRunVariable(name string) string {
	return fmt.Sprintf("%s is not a variable that a token may be put in", nameOf(name))
}

// errProgram says why a command is not run.
func errProgram(name string, cause error) *report.Failure {
	f := &report.Failure{Code: exitCannotRun, Message: fmt.Sprintf("%s cannot be run: %s", nameOf(name), cause),
		Hint: "ls -l " + visible.Word(name), Cause: cause}
	if errors.Is(cause, os.ErrNotExist) {
		f.Code = exitNotFound
	}
	if !strings.Contains(name, "/") {
		f.Hint = "type " + visible.Word(name)
	}
	return f
}

func errGitCount(value string) *report.Failure {
	return &report.Failure{Code: report.ExitUsage,
		Message: fmt.Sprintf("GIT_CONFIG_COUNT is %s, and git takes a number only", nameOf(value)),
		Hint:    "unset GIT_CONFIG_COUNT"}
}

// errRuntimeDir says why nothing can be written beside groatd's socket.
func errRuntimeDir(cause error) *report.Failure {
	f := &report.Failure{Code: report.ExitConfig, Hint: "groat status", Cause: cause,
		Message: "no file can be made beside groatd's socket: " + cause.Error()}
	if own, ok := errors.AsType[*ownpath.Error](cause); ok {
		f.Message, f.Hint = "the directory of groatd's socket, "+own.Error(), own.Hint
	}
	return f
}
