package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// On a terminal a person is asked about an unusual server, also with --yes; its origin goes with the request for that
// one credential, which the others are not in.
func TestL57APersonIsAskedAboutAnUnusualServer(t *testing.T) {
	const question = "which is not Planet's usual server. Send it there, as profile robot? [y/N] "
	usual := map[string]any{"take": []any{"b2"}}
	for answer, want := range map[string][]map[string]any{
		"y\n": {usual, {"take": []any{"a1"}, "trust": []any{"https://login.example.com"}}},
		"n\n": {usual},
		"a\n": {usual},
		"\n":  {usual},
	} {
		f := unusualDaemon(t)
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "import", "--yes")
		x.expect(question)
		x.write(answer)
		x.end(0)
		var got []map[string]any
		for _, r := range f.requests() {
			if r.Params["take"] != nil {
				got = append(got, r.Params)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", answer, diff)
		}
	}
}

// A yes is about one credential: another that would go to the same server is asked about too.
func TestL71AYesIsAboutOneCredential(t *testing.T) {
	const two = `[
	{"id":"a1","system":"Planet","what":"machine account","profile":"robot","grant":"client_credentials",
	  "client_id":"c","copies":[],
	 "destination":"https://login.example.com","unusual":true},
	{"id":"b2","system":"SpatiaFi","what":"App Credentials","profile":"spatiafi","provider":"spatiafi",
	  "grant":"client_credentials","copies":[],
	 "destination":"https://login.example.com","unusual":true}]`
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"variables":[],"found":` + strings.NewReplacer("\n", "", "\t", "").Replace(two) + `}`
	})
	x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "import", "--yes")
	x.expect("Send it there, as profile robot? [y/N] ")
	x.write("y\n")
	x.expect("Send it there, as profile spatiafi? [y/N] ")
	x.write("n\n")
	x.end(0)
	if diff := cmp.Diff([]any{"a1"}, lastParams(f)["take"]); diff != "" {
		t.Error(diff)
	}
}
