package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/visible"
)

var helpExport = help{
	short: "Keep a file with an access token current, for programs that read one",
	long: `Keep a file with an access token current, for programs that read one and cannot ask groatd.
--header-file has the whole header in one line (curl -H @FILE, GDAL_HTTP_HEADER_FILE), --token-file
the access token (WLCG's /tmp/bt_uUID, BEARER_TOKEN_FILE).

groatd writes the file, which only you can read, and replaces it before its access token ends, until
you say --stop, or as long as a process runs (--while), or for some time (--for). Then the file is
removed; so it is, until the next sign-in, when the profile is logged out or has no access token that
is good. While no groatd runs nobody does that: the next one goes on.

Any program that reads your files reads the access token too: where a program can ask groat, let it.

Without flags, list the files.`,
	example: `  groat export spatiafi --header-file ~/.spatiafi-header --while $$
  GDAL_HTTP_HEADER_FILE=~/.spatiafi-header gdalinfo /vsicurl/https://api.spatiafi.com/api/x.tif
  groat export
  groat export --stop ~/.spatiafi-header
  groat export --stop --all`,
}

const (
	flagHeaderFile = "the `path` of a file with the whole header, as curl -H @FILE reads it"
	flagTokenFile  = "the `path` of a file with the access token alone"
	flagWhile      = "keep the file as long as the process of this `PID` runs"
	flagFor        = "keep the file for this `time` (2h)"
	flagStop       = "keep a file no longer, and remove it"
	flagAllExports = "with --stop: all files"
)

const (
	msgTwoForms   = "--header-file and --token-file exclude each other: call groat export once for each"
	msgTwoEnds    = "--while and --for exclude each other"
	msgNoEnd      = "--while needs the id of a process, and --for a time that is more than 0"
	msgStopAlone  = "--stop goes with a path or with --all, and with no other flag"
	msgStopWhat   = "--stop needs the path of one file, or --all"
	msgExportWhat = "which file to keep is missing: --header-file or --token-file"
	msgPathText   = "the path is no UTF-8 text, which groatd's protocol is made of"
)

const textNoExports = "no file is kept: groat export PROFILE --header-file FILE\n"

// exportEnd says until when a file is kept.
func exportEnd(e protocol.Export, now time.Time) string {
	switch {
	case e.WhilePID != 0:
		return fmt.Sprintf("process %d ends", e.WhilePID)
	case e.EndsAt != 0:
		return "in " + report.DurationWords(e.EndsAt-now.Unix())
	}
	return "--stop"
}

// textExports lists files, and says what is wrong with one.
func textExports(all []protocol.Export, now time.Time) []byte {
	if len(all) == 0 {
		return []byte(textNoExports)
	}
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Path, e.Profile, e.Form, e.State, exportEnd(e, now)})
	}
	var b bytes.Buffer
	b.Write(table([]string{"FILE", "PROFILE", "FORM", "STATE", "KEPT UNTIL"}, rows))
	for _, e := range all {
		if e.Message != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", sentence(e.Path), sentence(e.Message))
		}
		if e.Hint != "" {
			fmt.Fprintf(&b, "hint: %s\n", sentence(e.Hint))
		}
	}
	return b.Bytes()
}

func textExportStarted(r *protocol.ExportResult) []byte {
	var b bytes.Buffer
	for _, e := range r.Exports {
		what := "the header"
		if e.Form == protocol.FormToken {
			what = "the access token"
		}
		fmt.Fprintf(&b, "%s has %s of profile %s from now on; groat export --stop %s ends that\n",
			sentence(e.Path), what, clean(e.Profile), visible.Word(e.Path))
	}
	return b.Bytes()
}

func textExportsStopped(r *protocol.ExportResult) []byte {
	if len(r.Exports) == 0 {
		return []byte(textNoExports)
	}
	var b bytes.Buffer
	for _, e := range r.Exports {
		if e.Message != "" {
			fmt.Fprintf(&b, "%s is not kept any longer: %s\n", sentence(e.Path), sentence(e.Message))
			continue
		}
		fmt.Fprintf(&b, "%s is removed\n", sentence(e.Path))
	}
	return b.Bytes()
}
