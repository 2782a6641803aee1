package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// A hundred programs ask for a token of somebody who is signed out. Each is told the command, the server is asked once,
// and no browser is opened: that takes a person's own command.
func TestHundredCallersSignedOut(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	h.signedIn()
	h.s.EndSessions(person)
	h.restart()
	asked := h.s.Count(h.s.TokenPath())
	desktop := filepath.Join(h.home, "desktop")
	if err := os.Mkdir(desktop, 0o700); err != nil {
		t.Fatal(err)
	}
	opened := filepath.Join(desktop, "opened")
	parts.WriteProgram(t, filepath.Join(desktop, "xdg-open"), "#!/bin/sh\n>"+opened+"\n")
	env := append(h.environ(), "PATH="+desktop+":"+bin+":/usr/bin:/bin", "DISPLAY=:0")
	outputs, err := runCrowd(100, env, os.DevNull, "/bin/sh", "-c", "groat get work 2>&1; test $? = 4")
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range outputs {
		if !strings.Contains(out, "has ended the session") ||
			!strings.HasSuffix(out, "groat: hint: groat login work\n") {
			t.Fatalf("one was told %q", out)
		}
	}
	if n := h.s.Count(h.s.TokenPath()) - asked; n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
	if _, err := os.Stat(opened); err == nil {
		t.Error("a browser was opened")
	}
}

// While a person takes their time, everybody else is served, the same profile too. A second groat login joins the
// first, and goes on alone when that is given up.
func TestLoginBlocksNobody(t *testing.T) {
	t.Parallel()
	h := newPerson(t)
	h.signedIn()
	h.s.SetConsent(sandbox.ConsentForm)
	first := h.startLogin("", h.toDevice("new")...)
	code := first.code()
	again := h.startLogin("", h.toDevice("work")...) // a sign-in of a profile that has a session
	again.code()

	token := h.groat("", "get", "work")
	s := h.run(token, "groat", "get", "work", "--refused") // a renewal
	if s.code != 0 || s.stdout == token {
		t.Errorf("a renewal during the logins ended with %d: %s", s.code, s.stderr)
	}
	second := h.startLogin("", "new", "--issuer", h.s.Issuer(), "--client-auth", "none", "--client-id", ownClient,
		"--grant", "device_code")
	if joined := second.code(); joined != code {
		t.Errorf("the second login shows the code %s, the first %s", joined, code)
	}
	first.interrupt()
	if got := first.result(); got.code != 130 {
		t.Errorf("Ctrl-C ended it with %d: %s", got.code, got.stderr)
	}
	if err := h.s.ApproveDevice(code); err != nil {
		t.Fatal(err)
	}
	second.succeeds()
	h.groat("", "get", "new")
	if n := h.s.Count(h.s.DevicePath()); n != 2 {
		t.Errorf("%d devices were announced, want one a profile", n)
	}

	// Nobody is left in front of the other: it is over, and the next one starts anew.
	again.interrupt()
	again.result()
	third := h.startLogin("", h.toDevice("work")...)
	if third.code() == again.code() {
		t.Error("a login that was given up goes on")
	}
	h.nothingLost()
}

// The browser is on another machine: its person pastes what it ended at. What is no answer to this sign-in costs
// nothing.
func TestPastedAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		vars []string
		flag []string
		part func(address string) string // what is pasted
	}{
		{"no browser wanted", nil, []string{"--no-browser"}, func(a string) string { return a }},
		{"over ssh", []string{"SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22", "DISPLAY="}, nil,
			func(a string) string { return a[strings.Index(a, "?"):] }},
		{"in a build", []string{"CI=true"}, nil, func(a string) string {
			_, code, _ := strings.Cut(a, "code=")
			code, _, _ = strings.Cut(code, "&")
			return code
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newPerson(t)
			h.vars = test.vars
			s := h.startLogin("", append(h.toBrowser(), test.flag...)...)
			address := s.address()
			s.asks("paste the address")
			s.types("http://127.0.0.1:1/callback?code=x&state=y")
			s.shown("(That was .*)")
			s.types(test.part(redirect(t, address)))
			s.succeeds()
			if text, _ := s.err.snapshot(); !strings.Contains(text, "open this address in a browser") {
				t.Errorf("it says %s", text)
			}
			h.nothingLost()
		})
	}
}

// redirect returns where a browser is sent, as it stands in its address bar on a machine where nobody answers.
func redirect(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	to := resp.Header.Get("Location")
	if to == "" {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("the server sends the browser nowhere: %s", text)
	}
	return to
}
