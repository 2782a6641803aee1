package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
)

const kept = `"result":{"exports":[{"path":"/home/alice/my file","profile":"work","form":"header","state":"current",` +
	`"expires_at":1790000839}]}`

func TestExport(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		params map[string]any
		says   string
	}{
		{"export", nil, "FILE "},
		{"export --json", nil, `{"exports":[{"path":"/home/alice/my file"`},
		{"export work --header-file h", map[string]any{"profile": "work", "header_file": filepath.Join(wd, "h")},
			"/home/alice/my file has a header of profile work from now on; " +
				"groat export --stop '/home/alice/my file' ends that\n"},
		{"export --token-file /x/../t --for 2h", map[string]any{"token_file": "/t", "for": 7200.0}, "from now on"},
		{"export --token-file /t --while 77", map[string]any{"token_file": "/t", "while_pid": 77.0}, "from now on"},
		{"export sat --as planet --file /t --scope a --audience b", map[string]any{"profile": "sat", "file": "/t",
			"as": "planet", "scope": "a", "audience": "b"}, "from now on"},
		{"export git --netrc /t", map[string]any{"profile": "git", "file": "/t", "as": "netrc"}, "from now on"},
		{"export --npmrc /t --for 1m", map[string]any{"file": "/t", "as": "npmrc", "for": 60.0}, "from now on"},
		{"export --token-file /t --on-change reload", map[string]any{"token_file": "/t", "on_change": "reload"},
			"from now on"},
		{"export --stop h", map[string]any{"stop": filepath.Join(wd, "h")}, "/home/alice/my file is removed\n"},
		{"export --stop --all", map[string]any{"all": true}, "is removed\n"},
	} {
		d := newFakeDaemon(t, func(request) string { return kept })
		o := run(t, d.socket, "", strings.Fields(tt.args)...)
		if o.code != 0 || o.stderr != "" || !strings.Contains(o.stdout, tt.says) {
			t.Errorf("%s: %+v", tt.args, o)
		}
		q := d.requests()
		if len(q) != 1 || q[0].Method != "export" || len(q[0].Params) != len(tt.params) {
			t.Fatalf("%s: %+v", tt.args, q)
		}
		for name, want := range tt.params {
			if q[0].Params[name] != want {
				t.Errorf("%s: %s is %v, want %v", tt.args, name, q[0].Params[name], want)
			}
		}
	}
}

// A file that stays where another is kept no longer is not said to be removed.
func TestAStopThatLeavesAFile(t *testing.T) {
	left := strings.Replace(kept, `"state"`, `"message":"it is not removed","state"`, 1)
	d := newFakeDaemon(t, func(request) string { return left })
	o := run(t, d.socket, "", "export", "--stop", "--all")
	if want := "/home/alice/my file is not kept any longer: it is not removed\n"; o.code != 0 || o.stdout != want {
		t.Errorf("%+v", o)
	}
}

func TestExportThatIsCalledWrongly(t *testing.T) {
	d := newFakeDaemon(t, func(request) string { return kept })
	for _, args := range []string{
		"export work", "export --for 2h", "export --while 7", "export --header-file a --token-file b",
		"export --header-file a --for 2h --while 7", "export --header-file a --for 0",
		"export --header-file a --while 0",
		"export --stop", "export --stop a --all", "export --all", "export --stop a --for 2h",
		"export --stop a --header-file b", "export a b", "export --header-file a --while x",
		"export --header-file \xff", "export --as planet", "export --file a", "export work --as planet --header-file a",
		"export --header-file a --as planet --file b", "export --netrc a --npmrc b", "export --netrc a --as planet", "export --scope a", "export --stop a --scope b",
		"export --stop --all --as planet",
	} {
		o := run(t, d.socket, "", strings.Fields(args)...)
		if o.code != report.ExitUsage || o.stdout != "" || !strings.HasSuffix(o.stderr, "hint: groat export --help\n") {
			t.Errorf("%s: %+v", args, o)
		}
	}
	if q := d.requests(); len(q) != 0 {
		t.Errorf("%+v", q)
	}
}

func TestStatusListsTheFiles(t *testing.T) {
	answer := func(exports string) func(request) string {
		return func(r request) string {
			if r.Method == "export" {
				return exports
			}
			return `"result":{"release":"1","pid":7,"started_at":1,"socket":"/s",` +
				`"keystore":{"use":"memory","state":"ok"},"profiles":[]}`
		}
	}
	bad := strings.ReplaceAll(kept, `"current"`, `"stale","message":"the disk is full","hint":"df","while_pid":5`)
	d := newFakeDaemon(t, answer(bad))
	o := run(t, d.socket, "", "status")
	if o.code != 0 || !strings.Contains(o.stdout, "stale") || !strings.Contains(o.stdout, "process 5 ends") ||
		!strings.Contains(o.stdout, "my file: the disk is full\nhint: df\n") {
		t.Errorf("%+v", o)
	}
	if o := run(t, d.socket, "", "status", "--json"); o.code != 0 || !strings.Contains(o.stdout, `"exports":[{"path"`) {
		t.Errorf("%+v", o)
	}
	for _, none := range []string{`"result":{"exports":[]}`,
		`"error":{"code":-32601,"message":"there is no such method"}`} {
		d := newFakeDaemon(t, answer(none))
		if o := run(t, d.socket, "", "status", "--json"); o.code != 0 || strings.Contains(o.stdout, "exports") {
			t.Errorf("%+v", o)
		}
	}
}

// What is said of a file fits a terminal: it is broken between words, and neither in the path nor in the command.
func TestExportFitsATerminal(t *testing.T) {
	path := "/home/ann/a directory/header.txt"
	r := &protocol.ExportResult{Exports: []protocol.Export{{Path: path, Profile: "work", Form: protocol.FormHeader}}}
	got := string(textExportStarted(screen{width: 60}, r))
	want := path + " has a header of profile\n  work from now on;\n  groat export --stop '" + path + "'\n  ends that\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Exports[0].Message = "the file was replaced by another program while groatd had it"
	for line := range strings.Lines(string(textExportsStopped(screen{width: 60}, r))) {
		if columns(line) > 61 {
			t.Errorf("%q", line)
		}
	}
}
