package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// runPiped is run with a pipe as stdin that does not end. person is what is typed, if there is a terminal.
func runPiped(t *testing.T, socket, piped string, args ...string) outcome {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.WriteString(piped); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	a := &app{stdin: r, stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" },
		tty:    func() (*os.File, error) { return nil, os.ErrNotExist },
		route:  func() (*frame.Route, error) { return &frame.Route{Sockets: frame.Sockets{Explicit: socket}}, nil },
	}
	return outcome{a.main("groat", args), out.String(), errs.String()}
}

// A secret on stdin that no flag names is refused where one is needed, and noted where none is. Nothing waits for a
// stdin on which nothing comes.
func TestAPipedSecretIsNotDropped(t *testing.T) {
	f := loginDaemon(t)
	for piped, want := range map[string]string{
		"hunter2\n": "something is on stdin", "": "there is no terminal to ask on",
	} {
		got := runPiped(t, f.socket, piped, "login", "work")
		if got.code != report.ExitUsage || !strings.Contains(got.stderr, want) || !twoLines(got.stderr) ||
			!strings.Contains(got.stderr, "--secret-stdin") || strings.Contains(got.stderr, "hunter") {
			t.Errorf("%q: %+v", piped, got)
		}
	}
	signedIn := newFakeDaemon(t, func(request) string {
		return `"result":{"profile":"work","outcome":"already_signed_in","client_id":"c","issuer":"https://i",` +
			`"expires_in":60}`
	})
	for piped, want := range map[string]string{"hunter2\n": textStdinUnread, "": ""} {
		if got := runPiped(t, signedIn.socket, piped, "login", "work"); got.code != 0 || got.stderr != want {
			t.Errorf("%q: %+v", piped, got)
		}
	}
}
