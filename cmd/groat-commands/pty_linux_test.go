package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/cmd/groat/report"
)

// terminal is a pseudo-terminal with groat on it, and a person at the other end.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	ptmx   *os.File
	slave  *os.File
	before unix.Termios
	mu     sync.Mutex
	screen bytes.Buffer
	change chan struct{}
	closed chan struct{} // closed when all that was written to the terminal is on the screen
}

// startOnTerminal runs groat with its controlling terminal on a new pseudo-terminal, and stdin, stdout and stderr there
// too.
func startOnTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	return startOnWidth(t, 100, env, args...)
}

func startOnWidth(t *testing.T, columns uint16, env []string, args ...string) *terminal {
	t.Helper()
	return startProgram(t, filepath.Join(bin, "groat"), columns, env, args...)
}

func startProgram(t *testing.T, program string, columns uint16, env []string, args ...string) *terminal {
	t.Helper()
	x := newTerminal(t, columns)
	x.cmd = exec.CommandContext(t.Context(), program, args...)
	x.cmd.Env = append(env, runtimeEnv...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.slave, x.slave, x.slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go x.read()
	return x
}

// newTerminal opens a pseudo-terminal with nothing on it.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ptmx.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns}); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, ptmx: ptmx, slave: slave, change: make(chan struct{}, 1), closed: make(chan struct{})}
	x.before = x.termios()
	t.Cleanup(func() {
		ptmx.Close()
		slave.Close()
	})
	return x
}

func (x *terminal) read() {
	defer close(x.closed)
	b := make([]byte, 4096)
	for {
		n, err := x.ptmx.Read(b)
		x.mu.Lock()
		x.screen.Write(b[:n])
		x.mu.Unlock()
		select {
		case x.change <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// shown returns everything that appeared on the screen.
func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.ReplaceAll(x.screen.String(), "\r\n", "\n")
}

// expect waits until text is on the screen.
func (x *terminal) expect(text string) {
	x.t.Helper()
	x.expectTimes(text, 1)
}

// expectTimes waits until text is on the screen n times.
func (x *terminal) expectTimes(text string, n int) {
	x.t.Helper()
	deadline := time.After(patience)
	for strings.Count(x.shown(), text) < n {
		select {
		case <-x.change:
		case <-deadline:
			x.t.Fatalf("%q did not appear on\n%s", text, x.shown())
		}
	}
}

// hidden waits until the terminal does not echo: the prompt is written a moment before.
func (x *terminal) hidden() {
	x.t.Helper()
	for deadline := time.Now().Add(patience); x.termios().Lflag&unix.ECHO != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatal("the terminal goes on echoing")
		}
	}
}

// echoing waits until the terminal echoes again.
func (x *terminal) echoing() {
	x.t.Helper()
	for deadline := time.Now().Add(patience); x.termios().Lflag&unix.ECHO == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatal("the terminal goes on hiding")
		}
	}
}

func (x *terminal) write(text string) {
	x.t.Helper()
	if _, err := x.ptmx.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) termios() unix.Termios {
	x.t.Helper()
	tio, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *tio
}

// end waits for groat and compares its exit code and the state of the terminal. Then the screen shows all that groat
// wrote: the last of it may come after groat's exit, and the reader meets the terminal's end behind it.
func (x *terminal) end(code int) {
	x.t.Helper()
	stuck := time.AfterFunc(30*time.Second, func() { x.cmd.Process.Signal(syscall.SIGABRT) }) // it shows where
	defer stuck.Stop()
	err := x.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		x.t.Fatal(err)
	}
	if after := x.termios(); after != x.before {
		x.t.Errorf("the terminal was %+v and is %+v", x.before, after)
	}
	x.slave.Close()
	select {
	case <-x.closed:
	case <-time.After(patience):
		x.t.Fatalf("a process keeps the terminal open, which shows\n%s", x.shown())
	}
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Errorf("exit code %d, want %d:\n%s", got, code, x.shown())
	}
}

func TestPasswordAtTerminal(t *testing.T) {
	f := loginDaemon(t)
	x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "login", "work", "--username", "ann")
	x.expect("Password of ann\ufffd[2J: ")
	x.hidden()
	x.write("hunter2\n")
	x.expect("next: groat get work\n")
	x.end(0)
	if want := "Password of ann\ufffd[2J: \ngroat: creating App Credentials\n" + signedIn; x.shown() != want {
		t.Errorf("got  %q\nwant %q", x.shown(), want)
	}
}

func TestPromptIsInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*terminal)
		code int
	}{
		{"Ctrl-C", func(x *terminal) { x.write("hunt\x03") }, 130},
		{"Ctrl-backslash", func(x *terminal) { x.write("\x1c") }, 131},
		{"SIGTERM", func(x *terminal) { x.cmd.Process.Signal(syscall.SIGTERM) }, 143},
		{"SIGHUP", func(x *terminal) { x.cmd.Process.Signal(syscall.SIGHUP) }, 129},
		{"only Return", func(x *terminal) { x.write("\n") }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := loginDaemon(t)
			x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "login", "work")
			x.expect("[2J: ")
			x.hidden()
			tt.do(x)
			x.end(tt.code)
			if strings.Contains(x.shown(), "hunt") {
				t.Errorf("the screen shows %q", x.shown())
			}
			for _, r := range f.requests() {
				if r.Method == "login_input" {
					t.Errorf("%v was sent", r.Params)
				}
			}
		})
	}
}

// A shell gives the terminal back with the echo on. What is typed after fg is not shown.
func TestPromptIsHiddenAfterAStop(t *testing.T) {
	f := loginDaemon(t)
	env := []string{"GROAT_SOCKET=" + f.socket, "PS1=$ "}
	x := startProgram(t, "/bin/bash", 200, env, "--norc", "--noediting", "-i")
	x.expect("$ ")
	x.write(filepath.Join(bin, "groat") + " login work\n")
	for n := 1; n <= 3; n++ {
		x.expectTimes("[2J: ", n)
		x.hidden()
		if n < 3 {
			x.write("hunt\x1a")
			x.expectTimes("Stopped", n)
			x.echoing()
			x.write("fg\n")
		}
	}
	x.write("hunter2\n")
	x.expect("next: groat get work\n")
	x.echoing()
	x.write("exit\n")
	x.end(0)
	if strings.Contains(x.shown(), "hunt") {
		t.Errorf("the screen shows %q", x.shown())
	}
	all := f.requests()
	if last := all[len(all)-1]; last.Params["value"] != "hunter2" {
		t.Errorf("%+v", last)
	}
}

// The daemon that goes away while a person types does not leave them with a terminal that is silent.
func TestPromptWithSlowPerson(t *testing.T) {
	f := newScriptedDaemon(t, func(r request, say func(string), hear func() request) {
		say(secretPrompt)
		hear()
		say(`{"jsonrpc":"2.0","id":` + string(r.ID) +
			`,"error":{"code":-32002,"message":"too late","data":{"kind":"temporary"}}}`)
	})
	x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "login", "work")
	x.expect("[2J: ")
	x.hidden()
	x.write("hunter2\n")
	x.expect("groat: error: too late\ngroat: hint: groat status\n")
	x.end(report.ExitTemporary)
}

func TestNewPassphraseAtTerminal(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{"use":"sealed","key":"passphrase","state":"ok"}` })
	for _, tt := range []struct {
		typed []string // behind the first
		says  string
		code  int
	}{
		{[]string{"correct horse"}, "keystore: sealed (key: passphrase), ok\n", 0},
		{[]string{"correct house", "correct horse", "correct horse"}, "keystore: sealed (key: passphrase), ok\n", 0},
		{[]string{"a", "b", "c", "d", "e"},
			"differ, so nothing was changed\ngroat: hint: groat keystore use sealed --passphrase\n", report.ExitUsage},
	} {
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "keystore", "use", "sealed", "--passphrase")
		x.expect("New passphrase: ")
		x.hidden()
		x.write("correct horse\n")
		for i, typed := range tt.typed {
			if times := i/2 + 1; i%2 == 1 { // what was there before is not what is waited for
				x.expectTimes("the two passphrases differ\n", times)
				x.expectTimes("New passphrase: ", times+1)
			} else {
				x.expectTimes("The same again: ", times)
			}
			x.hidden()
			x.write(typed + "\n")
		}
		x.expect(tt.says)
		x.end(tt.code)
		if strings.Contains(x.shown(), "horse") {
			t.Errorf("the screen shows %q", x.shown())
		}
	}
	all := f.requests()
	for _, r := range all {
		if r.Params["passphrase"] != "correct horse" {
			t.Errorf("%+v", r)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d requests, want 2", len(all))
	}
}

func TestLogoutAtTerminal(t *testing.T) {
	for _, tt := range []struct {
		answer, says string
		code         int
	}{
		{"y\n", "signed out: profile work is forgotten on this machine\n", 0},
		{"YES\n", "signed out: profile work is forgotten on this machine\n", 0},
		{"n\n", "groat: error: not confirmed, so nothing was forgotten\n", report.ExitConfig},
		{"\n", "groat: error: not confirmed, so nothing was forgotten\n", report.ExitConfig},
		{"\x04", "groat: error: not confirmed, so nothing was forgotten\n", report.ExitConfig},
		{"\x03", "", 130},
	} {
		f := newFakeDaemon(t, func(r request) string {
			if r.Params["yes"] == true {
				return `"result":{"profile":"work","forgotten":true}`
			}
			return `"result":{"profile":"work","forgotten":false,"client_id":"c-1","issuer":"https://i",` +
				`"permanent":true}`
		})
		x := startOnTerminal(t, []string{"GROAT_SOCKET=" + f.socket}, "logout", "work")
		x.expect(questionLogout)
		x.write(tt.answer)
		x.expect(tt.says)
		x.end(tt.code)
		if n := len(f.requests()); (n > 1) != (tt.code == 0) {
			t.Errorf("%q led to %d requests", tt.answer, n)
		}
	}
}
