package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// On a terminal a person is asked about an unusual server, also with --yes; its origin goes with the request.
func TestL57APersonIsAskedAboutAnUnusualServer(t *testing.T) {
	const question = "which is not Planet's usual server. Send it there, as profile robot? [y/N] "
	for answer, want := range map[string]map[string]any{
		"y\n": {"take": []any{"a1", "b2"}, "trust": []any{"https://login.example.com"}},
		"n\n": {"take": []any{"b2"}},
		"a\n": {"take": []any{"b2"}},
		"\n":  {"take": []any{"b2"}},
	} {
		f := oddDaemon(t)
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "import", "--yes")
		x.expect(question)
		x.write(answer)
		x.end(0)
		if diff := cmp.Diff(want, last(f)); diff != "" {
			t.Errorf("%q: %s", answer, diff)
		}
	}
}
