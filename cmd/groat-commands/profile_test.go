package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfileKeys(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		if r.Params["profile"] == nil {
			return `"result":{"keys":[{"key":"basic","about":"How ` + "`raw`" + ` is.","login":""},` +
				`{"key":"grant","about":"A way.","login":"--grant WAY"}]}`
		}
		return `"result":{"profile":"work","from":"/x/work.toml:1","keys":[{"key":"scope","value":"a b","about":"x"}]}`
	})
	const one = "profile work (/x/work.toml:1)\nKEY    VALUE\nscope  a b\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"profile", "show", "work"}, one},
		{[]string{"profile", "set", "work", "scope", "a b"}, one},
		{[]string{"profile", "unset", "work", "audience"}, one},
		{[]string{"profile", "show"}, "basic\n    How \"raw\" is.\ngrant\n    A way.\n    (groat login NAME --grant WAY)\n"},
	} {
		if got := run(t, f.socket, "", c.args...); got != (outcome{0, c.want, ""}) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
	var sent []map[string]any
	for _, r := range f.requests() {
		sent = append(sent, r.Params)
	}
	want := []map[string]any{{"profile": "work"}, {"profile": "work", "key": "scope", "value": "a b"},
		{"profile": "work", "key": "audience"}, {}}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
	if got := run(t, f.socket, "", "profile", "set", "work", "scope"); got.code == 0 ||
		!strings.Contains(got.stderr, "groat profile set") {
		t.Errorf("%+v", got)
	}
}

// A shell is offered the keys that may be set: by a login those without a flag of their own.
func TestKeysAreOffered(t *testing.T) {
	f := newFakeDaemon(t, func(r request) string {
		return `"result":{"keys":[{"key":"basic","about":"How it is."},{"key":"session_idle","about":"Idle."},` +
			`{"key":"grant","about":"A way.","login":"--grant WAY"}]}`
	})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"login", "work", "--set", ""}, "session_idle=\tIdle.\n:6\n"},
		{[]string{"profile", "set", "work", ""}, "basic\tHow it is.\nsession_idle\tIdle.\n:4\n"},
		{[]string{"profile", "unset", "work", ""}, "basic\tHow it is.\nsession_idle\tIdle.\n:4\n"},
	} {
		if got := run(t, f.socket, "", append([]string{"__complete"}, c.args...)...); !strings.HasPrefix(got.stdout,
			c.want) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}
