package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

var helpExport = help{
	short: "Keep a file with an access token current",
	long: `Keep a file with an access token current, for programs that read one and cannot
ask groatd. --header-file has the whole header in one line (curl -H @FILE,
GDAL_HTTP_HEADER_FILE), --token-file the access token (WLCG's /tmp/bt_uUID,
BEARER_TOKEN_FILE). --as FORM --file has what a provider's own program reads,
without a refresh token, and is replaced before the program would renew by
itself:

  planet          planet-auth, Planet's SDK 3: ~/.planet/planet-user/token.json
  earthscope      EarthScope's SDK 1: ~/.earthscope/default/tokens.json
  earthscope-0.2  EarthScope's SDK 0.2: the path of DeviceCodeFlowSimple,
                  sso_tokens.json

--netrc and --npmrc have an entry for each https API that the profile's
credential is sealed for (curl --netrc-file FILE, NPM_CONFIG_USERCONFIG=FILE): a
file of groat's own, never your ~/.netrc or ~/.npmrc. An entry of a netrc is for
every port of its host, and for http: a program that is sent to http://HOST
sends the token in the clear, and Python's requests sends it in the place of
what you set yourself. Where a program can read a header or ask groat, let it.

groatd writes the file, which only you can read, and replaces it before its
access token ends, until you say --stop, or as long as a process runs (--while),
or for some time (--for). Then the file is removed; so it is, until the next
sign-in, when the profile is logged out or has no access token that is good.
While no groatd runs, nothing does that: the next one goes on.

--on-change NAME runs ~/.config/groat/hooks/NAME, a program of yours, after each
replacement: groatd runs it, without arguments and for 30 seconds at most, with
GROAT_EXPORT_FILE and GROAT_PROFILE; what it prints goes nowhere, and "groat
export" shows a failure.

Any program that reads your files reads the access token too: where a program
can ask groat, let it.

Without flags, list the files.`,
	example: `  groat export spatiafi --header-file ~/.spatiafi-header --while $$
  GDAL_HTTP_HEADER_FILE=~/.spatiafi-header \
    gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat export
  groat export sat --as planet --file ~/.planet/planet-user/token.json
  groat export --stop ~/.spatiafi-header
  groat export --stop --all`,
}

func msgNoForm(typed string) string {
	return "there is no form " + visible.Quote(clean(typed)) + ": --as is planet, earthscope or earthscope-0.2"
}

const (
	flagHeaderFile = "the `path` of a file with the whole header, as curl -H @FILE reads it"
	flagTokenFile  = "the `path` of a file with the access token alone"
	flagAs         = "the `form` of --file: planet, earthscope or earthscope-0.2"
	flagFileAs     = "the `path` of a file in the form --as"
	flagNetrc      = "the `path` of a netrc with an entry for each API"
	flagNpmrc      = "the `path` of an npmrc with an entry for each API"
	flagOnChange   = "run the program of this `name` in ~/.config/groat/hooks after each replacement"
	flagWhile      = "keep the file as long as the process of this `PID` runs"
	flagFor        = "keep the file for this `time` (2h)"
	flagStop       = "keep a file no longer, and remove it"
	flagAllExports = "with --stop: all files"
)

const (
	msgTwoForms = "a file has one form: call groat export once for each of --header-file, --token-file, --file, " +
		"--netrc and --npmrc"
	msgFileAs     = "--as and --file go together: the form of a file, and its path"
	msgTwoEnds    = "--while and --for exclude each other"
	msgNoEnd      = "--while needs the id of a process, and --for a time that is more than 0"
	msgStopAlone  = "--stop goes with a path or with --all, and with no other flag"
	msgStopWhat   = "--stop needs the path of one file, or --all"
	msgExportWhat = "which file to keep is missing: --header-file, --token-file, --file, --netrc or --npmrc"
	msgPathText   = "the path is no UTF-8 text, which groatd's protocol is made of"
)

const textNoExports = "no file is kept: groat export PROFILE --header-file FILE\n"

// exportEnd says until when a file is kept.
func exportEnd(e protocol.Export, now time.Time) string {
	switch {
	case e.WhileOthers != 0:
		return fmt.Sprintf("process %d and %d others end", e.WhilePID, e.WhileOthers)
	case e.WhilePID != 0:
		return fmt.Sprintf("process %d ends", e.WhilePID)
	case e.EndsAt != 0:
		return "in " + report.DurationWords(e.EndsAt-now.Unix())
	}
	return "--stop"
}

// textExports lists files, and says what is wrong with one.
func textExports(s screen, all []protocol.Export, now time.Time) []byte {
	if len(all) == 0 {
		return []byte(textNoExports)
	}
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Path, e.Profile, e.Form, e.State, exportEnd(e, now)})
	}
	var b bytes.Buffer
	b.Write(s.table([]string{"FILE", "PROFILE", "FORM", "STATE", "KEPT UNTIL"}, rows))
	for _, e := range all {
		if e.Message != "" {
			b.WriteByte('\n')
			s.about(&b, e.Path, ": "+sentence(e.Message))
		}
		if e.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", sentence(e.Hint))
		}
	}
	return b.Bytes()
}

// about writes a sentence that begins with a path. Neither the path nor a command in it is broken.
func (s screen) about(b *bytes.Buffer, path, rest string, command ...string) {
	begin, rest, _ := strings.Cut(rest, " ")
	pieces := append([]piece{{text: sentence(path) + begin}}, s.words(rest)...)
	for i, text := range command { // the first is one word, whatever is in it
		if i == 0 {
			pieces = append(pieces, piece{text: text})
		} else {
			pieces = append(pieces, s.words(text)...)
		}
	}
	s.flow(b, 0, 2, pieces)
}

func textExportStarted(s screen, r *protocol.ExportResult) []byte {
	var b bytes.Buffer
	for _, e := range r.Exports {
		what := "an access token"
		if e.Form == protocol.FormHeader {
			what = "a header"
		}
		s.about(&b, e.Path, " has "+what+" of profile "+clean(e.Profile)+" from now on;",
			"groat export --stop "+visible.Word(e.Path), "ends that")
		if e.Message != "" {
			s.flow(&b, 0, 2, s.words(sentence(e.Message)))
		}
	}
	return b.Bytes()
}

func textExportsStopped(s screen, r *protocol.ExportResult) []byte {
	if len(r.Exports) == 0 {
		return []byte(textNoExports)
	}
	var b bytes.Buffer
	for _, e := range r.Exports {
		if e.Message != "" {
			s.about(&b, e.Path, " is not kept any longer: "+sentence(e.Message))
			continue
		}
		s.about(&b, e.Path, " is removed")
	}
	return b.Bytes()
}
