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
	long: `Run a command that finds a profile's access token: its environment says where the token is, and
does not hold it, so that the command can run for longer than one access token is good.

  GROAT_HEADER_FILE   a file with the whole header, current until the command ends (curl -H @FILE)
  GROAT_PROFILE       the profile, for "groat get" and the helpers
  GDAL_CONFIG_FILE    GDAL 3.10 and later reads what the profile lists (--api) with the header, by
                      /vsicurl/; not set where a gdalrc of your own is there
  GIT_CONFIG_COUNT …  git asks groat for what the profile lists, and no other helper
  GOAUTH              the go command asks groat first

groat becomes the command: the terminal, signals and the exit status are the command's own. The
exit status is 127 where there is no such command, 126 where it cannot be run.

--env puts the access token itself in a variable, for a program that has no other way. It ends, in
minutes as a rule, and then the variable is of no use; every process that the command starts has it,
and each of your processes can read it (/proc/PID/environ). An API key is put nowhere.

There is nothing here for wget: it sends the header on to wherever a server redirects it.`,
	example: `  groat run spatiafi -- gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat run work -- sh -c 'curl -H @"$GROAT_HEADER_FILE" https://api.example.com/v1/me'
  groat run work --env API_TOKEN -- ./upload`,
}

var helpHelperGDAL = help{
	short: "Have GDAL, rasterio and QGIS send a token: GDAL_CONFIG_FILE",
	long: `Print the environment with which GDAL, rasterio and QGIS send the header of PROFILE to what the
profile lists (--api), and to nothing else: GDAL_CONFIG_FILE, which names a file (gdalrc) that
names a file with the header. groatd keeps that one current until "groat export --stop", or as long
as a process runs (--while). GDAL reads it anew for each request.

GDAL 3.10 and later takes the header so for file names with /vsicurl/ or /vsicurl_streaming/. GDAL 3.6
(Debian 12) takes none, and no GDAL for a name without /vsicurl/ (OAPIF:, WMS:, https://): use
--every-host there. With that GDAL sends the token to every host that it asks, also to one that a
file which it reads names: only where you trust what you read.

Several profiles share one gdalrc. GDAL reads one gdalrc: with GDAL_CONFIG_FILE none of yours.
--gdalrc prints the text for it.

There is nothing here for wget: it sends the header on to wherever a server redirects it.`,
	example: `  eval "$(groat helper gdal spatiafi --while $$)"
  gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat helper gdal spatiafi --gdalrc >>~/.gdal/gdalrc
  eval "$(groat helper gdal spatiafi --every-host)"`,
}

const useRun = "run [PROFILE] [flags] -- COMMAND [ARGUMENT…]"

const (
	flagRunEnv    = "put the access token itself in `VARIABLE`, where it is not renewed; may be repeated"
	flagEveryHost = "have GDAL send the header to every host that it asks (GDAL_HTTP_HEADER_FILE)"
	flagGDALRC    = "print the text of a gdalrc instead of the environment"
)

const (
	msgRunWhat       = "what to run is missing: groat run PROFILE -- COMMAND"
	msgGDALTwice     = "--gdalrc and --every-host exclude each other: a gdalrc is for what profiles list"
	msgGDALOneHeader = "with --every-host there is one header for all hosts: name one profile"
	msgGDALMany      = "these are more profiles than one gdalrc can be named after"
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

func errNoAPIs(profile string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: "profile " + clean(profile) + " lists no API, so there is nothing that GDAL may send its token to",
		Hint:    "groat login " + visible.Word(profile) + " --api https://HOST"}
}

func errSameAPI(api, one, other string) *report.Failure {
	return &report.Failure{Code: report.ExitConfig,
		Message: fmt.Sprintf("profiles %s and %s both list %s, and GDAL sends one header there", clean(one),
			clean(other), clean(api)),
		Hint: "groat helper gdal " + visible.Word(one)}
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

func textOwnGDALRC(own string) string {
	return "groat: with this GDAL does not read " + sentence(own) + " any more; groat helper gdal --gdalrc prints " +
		"what to add to it\n"
}

func textRunOwnGDALRC(own, profile string) string {
	return "groat: GDAL reads " + sentence(own) + ", which says nothing of this run; groat helper gdal " +
		visible.Word(profile) + " --gdalrc prints what to add to it\n"
}
