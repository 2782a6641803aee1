package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat/report"
)

const unusualFound = `[
	{"id":"a1","system":"Planet","what":"machine account","profile":"robot","grant":"client_credentials",
	  "client_id":"c","copies":[],
	 "destination":"https://login.example.com","unusual":true},
	{"id":"b2","system":"Planet","what":"API key","profile":"planet","provider":"planet-key","grant":"api_key",
	  "copies":[],
	 "destination":"https://api.planet.com"}]`

func unusualDaemon(t *testing.T) *fakeDaemon {
	return newFakeDaemon(t, func(r request) string {
		var found []map[string]any
		if err := json.Unmarshal([]byte(unusualFound), &found); err != nil {
			t.Error(err)
		}
		taken, _ := r.Params["take"].([]any)
		for _, id := range taken {
			for _, f := range found {
				if f["id"] == id {
					f["imported"] = true
				}
			}
		}
		b, err := json.Marshal(map[string]any{"found": found, "variables": []string{}})
		if err != nil {
			t.Error(err)
		}
		return `"result":` + string(b)
	})
}

// lastParams returns the parameters of the last request.
func lastParams(f *fakeDaemon) map[string]any {
	all := f.requests()
	return all[len(all)-1].Params
}

// --yes leaves out what would go to an unusual server if no person can be asked, and that is an error whose hint
// works.
func TestL55YesSendsNothingToAnUnusualServer(t *testing.T) {
	f := unusualDaemon(t)
	got := run(t, f.socket, "", "import", "--yes")
	if got.code != report.ExitUsage || !strings.HasSuffix(got.stderr,
		"groat: hint: groat import --yes --trust https://login.example.com\n") ||
		!strings.Contains(got.stderr,
			"groat: left out, since it would be sent to https://login.example.com, which is not Planet's usual "+
				"server: Planet machine account, client c") {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.stdout, "  for the server https://login.example.com, which is NOT Planet's usual one\n") ||
		!strings.Contains(got.stdout, "  for the server https://api.planet.com\n") {
		t.Errorf("the listing does not show where they go: %s", got.stdout)
	}
	if diff := cmp.Diff(map[string]any{"take": []any{"b2"}}, lastParams(f)); diff != "" {
		t.Error(diff)
	}
	got = run(t, f.socket, "", "import", "--yes", "--trust", "https://login.example.com")
	if got.code != 0 {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(map[string]any{"take": []any{"a1", "b2"}, "trust": []any{"https://login.example.com"}},
		lastParams(f)); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{"https://login.example.org", "http://login.example.com",
		"https://login.example.com:8443"} {
		got = run(t, f.socket, "", "import", "--yes", "--trust", other)
		if got.code != report.ExitUsage || !cmp.Equal(lastParams(f)["take"], any([]any{"b2"})) {
			t.Errorf("--trust %s: %+v, %v", other, got, lastParams(f))
		}
	}
}

// A --trust that nothing needs is refused, and so is a secret on stdin that is not asked for.
func TestL56WhatWasGivenAndNotUsed(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{"found":[],"variables":[]}` })
	got := run(t, f.socket, "", "import", "--yes", "--trust", "https://login.example.com")
	if got.code != report.ExitUsage || !strings.Contains(got.stderr, "--trust names a server") {
		t.Errorf("%+v", got)
	}
	f = newFakeDaemon(t, func(request) string {
		return `"result":{"profile":"work","outcome":"already_signed_in","client_id":"c","issuer":"https://i",` +
			`"expires_in":60}`
	})
	got = run(t, f.socket, "hunter2\n", "login", "work", "--secret-stdin", "--replace")
	if got.code != report.ExitUsage || !strings.HasSuffix(got.stderr,
		"groat: error: what is on stdin was not asked for, so it was neither used nor stored\ngroat: hint: groat "+
			"login work\n") {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.stdout+got.stderr, "hunter") {
		t.Errorf("the secret is shown: %+v", got)
	}
	if diff := cmp.Diff(map[string]any{"profile": "work", "secret": true, "replace": true}, lastParams(f)); diff != "" {
		t.Error(diff)
	}
}

// If there is nothing to choose, a provider that is named is refused, and nothing is taken.
func TestJ63AProviderThatIsNotUsable(t *testing.T) {
	f := unusualDaemon(t)
	got := run(t, f.socket, "", "import", "--yes", "--trust", "https://login.example.com", "--provider", "spatiafi")
	if got.code != report.ExitUsage || !strings.Contains(got.stderr, "--provider") || lastParams(f)["take"] != nil {
		t.Errorf("%+v, last %v", got, lastParams(f))
	}
}
