package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// importFound is what the stand-in for groatd finds, as PROTOCOL.md has it: one of every kind.
const importFound = `[
	{"id":"a1","system":"Planet","what":"machine account","profile":"planet-m2m","provider":"planet-m2m",
	  "grant":"client_credentials","client_id":"c-1\u001b[2J",
	 "copies":[{"source":"/home/ann/.planet/m2m/auth_client.json","mode":"0644","plaintext":true,
	  "holds":["client secret"],"read_by":["planet","the Planet SDK"],
	   "remove":"rm -- /home/ann/.planet/m2m/auth_client.json","note":"planet auth login makes another one"},
	  {"source":"/home/ann/.planet/m2m/auth_client.sops.json","mode":"0600","plaintext":false,
	  "holds":["client secret"]}],
	 "warnings":["others can read the file"],"not_carried":["project_id","extra"]},
	{"id":"b2","system":"EarthScope","what":"session","profile":"earthscope","provider":"earthscope",
	  "grant":"device_code","client_id":"es",
	 "copies":[{"source":"/home/ann/.earthscope/default/tokens.json","mode":"0600","plaintext":true,
	  "holds":["refresh token"],"read_by":["es"],"remove":"rm -- x"}],
	 "fresh":"groat login earthscope --provider earthscope",
	  "confirm":"The session would be shared with es, and the first to refresh ends the other's."},
	{"id":"c3","system":"Climate Engine","what":"App Credentials","profile":"climateengine",
	  "either":["climateengine","spatiafi"],"provider":"climateengine","client_id":"u",
	 "grant":"client_credentials","copies":[]},
	{"id":"d4","system":"Planet","what":"API key","profile":"planet","provider":"planet-key","grant":"api_key",
	 "copies":[{"source":"environment","variables":["PL_API_KEY"],"plaintext":true,"holds":["API key"],
	  "remove":"unset PL_API_KEY"}]},
	{"id":"e5","system":"SpatiaFi","what":"App Credentials","profile":"",
	  "reason":"it holds an error and no credential","hint":"groat login spatiafi --provider spatiafi",
	 "copies":[{"source":"/home/ann/.config/spatiafi/app_credentials.json","mode":"0600","plaintext":true}]}]`

// importDaemon finds importFound, takes over all that it is asked to but a1, and wants to see two variables.
func importDaemon(t *testing.T, refuse bool) *fakeDaemon {
	return newFakeDaemon(t, func(r request) string {
		var found []map[string]any
		if err := json.Unmarshal([]byte(importFound), &found); err != nil {
			t.Error(err)
		}
		taken, _ := r.Params["take"].([]any)
		for _, id := range taken {
			for _, f := range found {
				if name, _, _ := strings.Cut(id.(string), "="); f["id"] == name {
					if f["id"] == "a1" && refuse {
						f["error"] = map[string]any{"code": -32001, "message": "it is refused",
							"data": map[string]any{"kind": "login_required", "hint": "h"}}
						continue
					}
					f["imported"] = true
				}
			}
		}
		b, err := json.Marshal(map[string]any{"found": found,
			"variables": []string{"PL_API_KEY", "ES_PROFILE", "UNSET"}})
		if err != nil {
			t.Error(err)
		}
		return `"result":` + string(b)
	})
}

var importEnv = map[string]string{"PL_API_KEY": `k"ä`, "ES_PROFILE": "p", "OTHER": "not asked for"}

func TestImportShows(t *testing.T) {
	f := importDaemon(t, false)
	got := runEnv(t, f.socket, "", importEnv, "import", "--dry-run")
	if got.code != 0 || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	golden(t, "import-found.txt", got.stdout)
	const variables = `{"ES_PROFILE":"p","PL_API_KEY":"k\"ä"}`
	var asked []map[string]any
	for _, r := range f.requests() {
		if r.Method != "import" {
			t.Errorf("%s was asked", r.Method)
		}
		asked = append(asked, r.Params)
	}
	if diff := cmp.Diff([]map[string]any{{}, {"environment": variables}}, asked); diff != "" {
		t.Error(diff)
	}
	if got := runEnv(t, f.socket, "", importEnv, "import", "--dry-run", "--json"); got.code != 0 ||
		!json.Valid([]byte(got.stdout)) || strings.Contains(got.stdout, "\x1b") {
		t.Errorf("%+v", got)
	}
}

// --yes takes what needs no answer; where it stands readable afterwards, and the command that uses it, come last.
func TestImportYes(t *testing.T) {
	f := importDaemon(t, false)
	got := runEnv(t, f.socket, "", importEnv, "import", "--yes", "--provider", "spatiafi")
	if got.code != 0 || got.stderr != "groat: left out, since you must be asked about it: EarthScope session, client "+
		"es\n" {
		t.Errorf("%+v", got)
	}
	golden(t, "import-yes.txt", got.stdout)
	all := f.requests()
	if diff := cmp.Diff([]any{"a1", "c3=spatiafi", "d4"}, all[len(all)-1].Params["take"]); diff != "" ||
		all[len(all)-1].Params["environment"] == nil {
		t.Errorf("%+v", all[len(all)-1])
	}
	got = runEnv(t, f.socket, "", nil, "import", "--yes")
	if !strings.Contains(got.stderr,
		"groat: left out, since no provider was chosen: Climate Engine App Credentials, client u (--provider "+
			"climateengine or spatiafi)\n") {
		t.Errorf("%+v", got)
	}
	all = f.requests()
	if last := all[len(all)-1]; !cmp.Equal(last.Params, map[string]any{"take": []any{"a1", "d4"}}) {
		t.Errorf("%+v", last)
	}
}

func TestImportIsRefused(t *testing.T) {
	f := importDaemon(t, true)
	got := run(t, f.socket, "", "import", "--yes")
	want := "groat: error: 1 of 2 could not be imported; nothing of them was kept\ngroat: hint: h\n"
	if got.code != report.ExitLoginRequired || !strings.HasSuffix(got.stderr, want) ||
		!strings.Contains(got.stdout,
			"not imported: Planet machine account, client \"c-1\ufffd[2J\": it is refused\n") ||
		!strings.HasSuffix(got.stdout, "next: groat get planet --output header\n") {
		t.Errorf("%+v", got)
	}
	if got := run(t, f.socket, "", "import", "--yes", "--json"); got.code != report.ExitLoginRequired ||
		!json.Valid([]byte(got.stdout)) {
		t.Errorf("%+v", got)
	}
}

func TestImportFrom(t *testing.T) {
	for _, tt := range []struct {
		from, stdin string
		want        map[string]any
	}{
		{"/a/../b.json", "", map[string]any{"from": "/b.json"}},
		{"c.json", "", map[string]any{"from": "/c.json"}},
		{"-", "{\"client_id\":\"x\"}\n", map[string]any{"content": `{"client_id":"x"}`}},
	} {
		t.Chdir("/")
		f := importDaemon(t, false)
		if got := run(t, f.socket, tt.stdin, "import", "--from", tt.from, "--yes"); got.code != 0 {
			t.Errorf("%+v", got)
		}
		all := f.requests()
		if len(all) != 3 {
			t.Fatalf("%d requests", len(all))
		}
		for i, r := range all {
			if i == 2 {
				tt.want["take"] = []any{"a1", "d4"}
			}
			if diff := cmp.Diff(tt.want, r.Params); diff != "" {
				t.Errorf("request %d: %s", i, diff)
			}
		}
	}
	f := importDaemon(t, false)
	for _, tt := range []struct {
		stdin string
		args  []string
		says  string
	}{
		{"", []string{"--from", "-"}, "it is empty"},
		{strings.Repeat("x", maxContent+1), []string{"--from", "-"}, "32 KiB"},
		{"", []string{"--json"}, "--json goes with --dry-run or --yes"},
	} {
		got := run(t, f.socket, tt.stdin, append([]string{"import"}, tt.args...)...)
		if got.code != report.ExitUsage || !explained(tt.args, got.stderr) || !strings.Contains(got.stderr, tt.says) ||
			got.stdout != "" {
			t.Errorf("%v: %+v", tt.args, got)
		}
	}
	if n := len(f.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	got := run(t, f.socket, "", "import") // shows, and cannot ask
	if got.code != report.ExitUsage || !strings.HasSuffix(got.stderr, "groat: hint: groat import --yes\n") ||
		!strings.HasPrefix(got.stdout, "found: ") {
		t.Errorf("%+v", got)
	}
}

func TestImportOfWhatFitsNoRequest(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{"found":[]}` })
	got := run(t, f.socket, strings.Repeat("x", maxContent), "import", "--from", "-")
	if got != (outcome{0, "found nothing to import\nnext: groat login\n", ""}) {
		t.Errorf("%+v", got)
	}
	got = run(t, f.socket, strings.Repeat("\n", maxContent), "import", "--from", "-")
	if got.code != report.ExitUsage || !twoLines(got.stderr) || !strings.Contains(got.stderr, causeNoFit) {
		t.Errorf("%+v", got)
	}
}
