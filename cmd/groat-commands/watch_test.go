package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
)

const (
	watched = `"result":{"profile":"work","at":1790000000,"state":"fresh","expires_at":1790000839,"expires_in":839}`
	renewed = `{"jsonrpc":"2.0","method":"change","params":{"profile":"work","event":"renewed","at":1790000600,` +
		`"state":"fresh","expires_at":1790001439,"expires_in":839,"later":1}}`
)

// lines are those that groat has printed.
func lines(t *testing.T, o outcome) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(o.stdout) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func events(t *testing.T, o outcome) string {
	t.Helper()
	var all []string
	for _, m := range lines(t, o) {
		all = append(all, m["event"].(string))
	}
	return strings.Join(all, " ")
}

func TestWatchPrintsTheStateAndTheChanges(t *testing.T) {
	d := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + watched + `}`)
		say(`{"jsonrpc":"2.0","method":"later","params":{}}`)
		say(renewed)
	})
	o := run(t, d.socket, "", "watch", "work", "--once")
	if o.code != 0 || o.stderr != "" || events(t, o) != "state renewed" {
		t.Errorf("%+v", o)
	}
	want := map[string]any{"profile": "work", "event": "renewed", "at": 1790000600.0, "state": "fresh",
		"expires_at": 1790001439.0, "expires_in": 839.0}
	got := lines(t, o)[1]
	if len(got) != len(want) {
		t.Errorf("%v", got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %v, want %v", k, got[k], v)
		}
	}
	if q := d.requests(); len(q) != 1 || q[0].Method != "watch" || q[0].Params["profile"] != "work" {
		t.Errorf("%+v", q)
	}
}

// A watch that was dropped goes on, and names the profile then, although nobody did before.
func TestWatchGoesOnAfterItWasDropped(t *testing.T) {
	d := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + watched + `}`)
		if r.Params["profile"] == nil {
			say(strings.ReplaceAll(renewed, "renewed", "dropped"))
		} else {
			say(renewed)
		}
	})
	o := run(t, d.socket, "", "watch", "--once")
	if o.code != 0 || events(t, o) != "state dropped state renewed" {
		t.Errorf("%+v", o)
	}
}

// An answer that cannot be used is no reason to ask again.
func TestWatchEndsWithAnAnswerThatCannotBeUsed(t *testing.T) {
	d := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + watched + `}`)
		say(`not JSON`)
	})
	if o := run(t, d.socket, "", "watch", "work"); o.code == 0 || o.stderr == "" || events(t, o) != "state" {
		t.Errorf("%+v", o)
	}
}

// While no groatd runs, or one that ends at once, the watch waits for the next one.
func TestWatchGoesOnWithTheNextDaemon(t *testing.T) {
	d := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + watched + `}`)
		say(renewed)
	})
	d.hangUps = 2
	o := run(t, d.socket, "", "watch", "work", "--once")
	if o.code != 0 || events(t, o) != "disconnected disconnected state renewed" {
		t.Errorf("%+v", o)
	}
}

func TestWatchOfNothing(t *testing.T) {
	d := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32005,"message":"there is no profile \"home\"",` +
			`"data":{"kind":"unknown_profile","hint":"groat list"}}`
	})
	if o := run(t, d.socket, "", "watch", "home"); o.code != report.ExitConfig || o.stdout != "" ||
		o.stderr != "groat: error: there is no profile \"home\"\ngroat: hint: groat list\n" {
		t.Errorf("%+v", o)
	}
	old := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32601,"message":"there is no such method"}`
	})
	if o := run(t, old.socket, "", "watch", "home"); o.code == 0 || !strings.Contains(o.stderr, "another version") {
		t.Errorf("%+v", o)
	}
	if o := run(t, old.socket, "", "watch", "a", "b"); o.code != report.ExitUsage {
		t.Errorf("%+v", o)
	}
}

// A pipe whose reader has gone ends the watch.
func TestWatchEndsWithItsReader(t *testing.T) {
	d := newFakeDaemon(t, func(request) string { return watched })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := process(t.Context(), "groat", []string{"GROAT_SOCKET=" + d.socket}, "watch", "work")
	cmd.Stdout = w
	if err := cmd.Run(); err == nil || cmd.ProcessState == nil {
		t.Errorf("it ended with %v", err)
	}
}
