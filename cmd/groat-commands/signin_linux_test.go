package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// desktop is a place with a screen: a stand-in for xdg-open writes down how it was called.
type desktop struct {
	t   *testing.T
	dir string
}

func newDesktop(t *testing.T, exit int) *desktop {
	t.Helper()
	d := &desktop{t, shortDir(t)}
	script := fmt.Sprintf(`#!/bin/sh
stdio=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)
{ printf '%%s\n' $# "$@" "$stdio"; cut -d' ' -f6 /proc/$$/stat; echo $$; } >%[1]s/opened.$$
mv %[1]s/opened.$$ %[1]s/opened-$$
exit %[2]d
`, d.dir, exit)
	parts.WriteProgram(t, filepath.Join(d.dir, "xdg-open"), script)
	return d
}

func (d *desktop) env(socket string, more ...string) []string {
	return append([]string{"GROAT_SOCKET=" + socket, "PATH=" + d.dir + ":/usr/bin:/bin", "DISPLAY=:0", "LANG=C.UTF-8",
		"TERM=xterm"}, more...)
}

// opened returns what was written down, once there is something.
func (d *desktop) opened() []string {
	d.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if all := d.all(); len(all) > 0 {
			b, err := os.ReadFile(all[0])
			if err != nil {
				d.t.Fatal(err)
			}
			return strings.Split(strings.TrimSpace(string(b)), "\n")
		}
	}
	d.t.Fatal("no browser was opened")
	return nil
}

func (d *desktop) all() []string {
	all, err := filepath.Glob(filepath.Join(d.dir, "opened-*"))
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

const (
	inputTaken = `{"jsonrpc":"2.0","id":2,"result":{}}`
	wrongPaste = `{"jsonrpc":"2.0","method":"prompt","params":{"login_id":"L1","kind":"notice","text":"That was not ` +
		`it. Paste the whole address."}}`
)

// signedInBy is the end of a login whose request was r.
func signedInBy(r request) string {
	return `{"jsonrpc":"2.0","id":` + string(r.ID) + `,` + sessionResult + `}`
}

func TestBrowserIsOpened(t *testing.T) {
	d := newDesktop(t, 0)
	back := make(chan struct{})
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		say(browserPrompt)
		<-back
		say(noticePrompt)
		say(browserPrompt) // even if it is shown again, one login opens one browser
		say(signedInBy(r))
	})
	x := startOnTerminal(t, d.env(f.socket), "login", "work")
	x.expect(questionPaste)
	got := d.opened()
	close(back)
	x.expect("next: groat get work\n")
	x.end(0)
	want := "groat: Sign in at as.example\ngroat: your browser opens this address; this waits for you\n\n  " +
		authorizeURL + "\n\n" + questionPaste +
		"groat: creating App Credentials\n" + sessionIn
	if x.shown() != want {
		t.Errorf("got  %q\nwant %q", x.shown(), want)
	}
	if len(got) != 7 || got[0] != "1" || got[1] != authorizeURL {
		t.Fatalf("xdg-open was called with %q", got)
	}
	if got[2] != os.DevNull || got[3] != os.DevNull || got[4] != os.DevNull || got[5] != got[6] {
		t.Errorf("its stdio is %q, it is %s in the session %s", got[2:5], got[6], got[5])
	}
	if n := len(d.all()); n != 1 {
		t.Errorf("%d browsers were opened", n)
	}
}

func TestBrowserIsNotOpened(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		env, args []string
	}{
		{name: "in a build", env: []string{"CI=true"}},
		{name: "over ssh", env: []string{"SSH_CONNECTION=10.0.0.1 1 10.0.0.2 22", "DISPLAY="}},
		{name: "no screen", env: []string{"DISPLAY="}},
		{name: "not wanted", args: []string{"--no-browser"}},
		{name: "no program", env: []string{"PATH=/nonexistent:."}},
		{name: "another scheme", url: "file:///etc/passwd"},
		{name: "an option", url: "--help"},
		{name: "http elsewhere", url: "http://as.example/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesktop(t, 0)
			prompt, page := browserPrompt, authorizeURL
			if tt.url != "" {
				prompt, page = strings.Replace(browserPrompt, authorizeURL, tt.url, 1), tt.url
			}
			f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
				say(prompt)
				if in := hear(); in.Params["value"] == "the code" {
					say(inputTaken)
					say(signedInBy(r))
				}
			})
			x := startOnTerminal(t, d.env(f.socket, tt.env...), append([]string{"login", "work"}, tt.args...)...)
			x.expect("groat: open this address in a browser; this waits for you\n\n  " + page + "\n\n" + questionPaste)
			x.write("\nthe code\n")
			x.expect("next: groat get work\n")
			x.end(0)
			if n := len(d.all()); n != 0 {
				t.Errorf("%d browsers were opened", n)
			}
		})
	}
}

func TestBrowserCannotBeOpened(t *testing.T) {
	d := newDesktop(t, 3)
	failed := make(chan struct{})
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		say(browserPrompt)
		<-failed
		say(signedInBy(r))
	})
	x := startOnTerminal(t, d.env(f.socket), "login", "work")
	x.expect(textNotOpened)
	close(failed)
	x.end(0)
}

// What is pasted first is not it; the login goes on, and the second paste is.
func TestPasteTwice(t *testing.T) {
	d := newDesktop(t, 0)
	const right = "http://127.0.0.1:4711/callback?code=c&state=s"
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		say(browserPrompt)
		for in := hear(); in.Method == "login_input"; in = hear() {
			say(`{"jsonrpc":"2.0","id":` + string(in.ID) + `,"result":{}}`)
			if in.Params["value"] == right {
				say(signedInBy(r))
				return
			}
			say(wrongPaste)
		}
	})
	x := startOnTerminal(t, d.env(f.socket, "CI=1"), "login", "work")
	x.expect(questionPaste)
	x.write("http://elsewhere/\n")
	x.expect("groat: That was not it. Paste the whole address.\n")
	x.write(right + "\n")
	x.expect("next: groat get work\n")
	x.end(0)
	if n := strings.Count(x.shown(), questionPaste); n != 1 {
		t.Errorf("the question stands there %d times:\n%s", n, x.shown())
	}
}

// At the end of input nothing can be pasted; the browser may still come back.
func TestNothingToPaste(t *testing.T) {
	d := newDesktop(t, 0)
	closed := make(chan struct{})
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		say(browserPrompt)
		<-closed
		say(wrongPaste)
		say(signedInBy(r))
	})
	x := startOnTerminal(t, d.env(f.socket, "CI=1"), "login", "work")
	x.expect(questionPaste)
	x.write("\x04")
	close(closed)
	x.expect("next: groat get work\n")
	x.end(0)
	for _, r := range f.requests() {
		if r.Method == "login_input" {
			t.Errorf("%v was sent", r.Params)
		}
	}
}

func TestDeviceAtTerminal(t *testing.T) {
	const drawn = "\x1b[97;40m█▀█\x1b[0m\n\x1b[97;40m▄ █\x1b[0m\n"
	for _, tt := range []struct {
		name    string
		columns uint16
		env, qr string
		draws   bool
	}{
		{"wide", 3, "", "", true},
		{"narrow", 2, "", "", false},
		{"no UTF-8", 80, "LC_ALL=C", "", false},
		{"a terminal that obeys nothing", 80, "TERM=dumb", "", false},
		{"no drawing", 80, "", `█\u001b[2J`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prompt := devicePrompt
			if tt.qr != "" {
				prompt = strings.Replace(prompt, `█▀█\n▄ █\n`, tt.qr, 1)
			}
			f := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
				say(prompt)
				say(signedInBy(r))
			})
			x := startOnWidth(t, tt.columns, newDesktop(t, 0).env(f.socket, tt.env), "login", "work")
			x.expect("next: groat get work\n")
			x.end(0)
			want := "groat: Sign in at as.example with this code, on any device\n\n  https://as.example/activate\n\n " +
				" code: BCDF-GHJK\n\n" +
				"groat: the code is good for 15m0s; this waits for you\n"
			if tt.draws {
				want += drawn
			}
			if want += sessionIn; x.shown() != want {
				t.Errorf("got  %q\nwant %q", x.shown(), want)
			}
		})
	}
}

// A login that is left gives the terminal back as it was, and its connection ends, which is how groatd knows.
func TestLoginIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name, prompt, shows string
		leave               func(*terminal)
		code                int
	}{
		{"device, Ctrl-C", devicePrompt, "this waits for you\n", func(x *terminal) { x.write("\x03") }, 130},
		{"browser, Ctrl-C", browserPrompt, questionPaste, func(x *terminal) { x.write("half a\x03") }, 130},
		{"browser, SIGTERM", browserPrompt, questionPaste, func(x *terminal) { x.cmd.Process.Signal(syscall.SIGTERM) },
			143},
		{"password, Ctrl-C", secretPrompt, "[2J: ", func(x *terminal) { x.hidden(); x.write("\x03") }, 130},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left := make(chan request, 1)
			f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
				say(tt.prompt)
				left <- hear()
			})
			x := startOnTerminal(t, newDesktop(t, 0).env(f.socket, "CI=1"), "login", "work")
			x.expect(tt.shows)
			tt.leave(x)
			x.end(tt.code)
			if r := <-left; r.Method != "" {
				t.Errorf("groatd heard %+v", r)
			}
			if strings.Contains(x.shown(), "error") {
				t.Errorf("it complains:\n%s", x.shown())
			}
		})
	}
}

// A person at another terminal types the password: the question here ends with the login.
func TestPasswordIsTypedElsewhere(t *testing.T) {
	typed := make(chan struct{})
	f := newScriptedDaemon(t, func(r request, say func(string), _ func() request) {
		say(secretPrompt)
		<-typed
		say(noticePrompt)
		say(signedInBy(r))
	})
	x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "login", "work")
	x.expect("[2J: ")
	x.hidden()
	x.write("half of i")
	close(typed)
	x.expect("next: groat get work\n")
	x.end(0)
	if strings.Contains(x.shown(), "half") {
		t.Errorf("the screen shows %q", x.shown())
	}
}

func TestOnPath(t *testing.T) {
	d := newDesktop(t, 0)
	if got := autostart.OnPath("relative:/nonexistent::"+d.dir, "xdg-open"); got != filepath.Join(d.dir, "xdg-open") {
		t.Errorf("found %q", got)
	}
	if err := os.Chmod(filepath.Join(d.dir, "xdg-open"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := autostart.OnPath(d.dir, "xdg-open"); got != "" {
		t.Errorf("found %q, which has no permission to be executed", got)
	}
}
