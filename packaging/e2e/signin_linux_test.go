package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loginRun is a groat login with a person in front of it, at a terminal: it opens a browser, or shows a code, and
// waits.
type loginRun struct {
	r        *userEnv
	cmd      *exec.Cmd
	out      bytes.Buffer // to be read once it has ended
	err      *logbook
	terminal *os.File // the person's side
	screen   *logbook // what it writes there, beside stderr
	fifo     *os.File // what it opens in a browser, a line each
	ended    chan struct{}
}

// in is the same environment in a subtest.
func (r *userEnv) in(t *testing.T) *userEnv {
	sub := *r
	sub.t = t
	return &sub
}

// sit starts groat login at a terminal of a desktop, whose browser is a script that says what it was given.
func (r *userEnv) startLogin(stdin string, args ...string) *loginRun {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.home, "desktop-")
	if err != nil {
		r.t.Fatal(err)
	}
	fifo := filepath.Join(dir, "opened")
	script := "#!/bin/sh\nprintf '%s\\n' \"$1\" >" + fifo + "\n"
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script),
		0o755)); err != nil {
		r.t.Fatal(err)
	}
	s := &loginRun{r: r, err: newLogbook(), screen: newLogbook(), ended: make(chan struct{})}
	if s.fifo, err = os.OpenFile(fifo, os.O_RDWR, 0); err != nil { // for writing too: nobody waits in opening it
		r.t.Fatal(err)
	}
	var terminal *os.File
	if s.terminal, terminal, err = openTerminal(); err != nil {
		r.t.Fatal(err)
	}
	defer terminal.Close()
	s.cmd = exec.Command(filepath.Join(bin, "groat"), append([]string{"login"}, args...)...)
	s.cmd.Dir, s.cmd.Env = "/", append(r.variables(), "PATH="+dir+":"+bin+":/usr/bin:/bin", "DISPLAY=:0")
	s.cmd.Env = append(s.cmd.Env, r.vars...)
	s.cmd.ExtraFiles, s.cmd.SysProcAttr = []*os.File{terminal}, &syscall.SysProcAttr{Setsid: true, Setctty: true,
		Ctty: 3}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = strings.NewReader(stdin), &s.out, s.err
	if err := s.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go io.Copy(s.screen, s.terminal)
	go func() {
		s.cmd.Wait()
		close(s.ended)
		s.err.wake()
		s.fifo.SetReadDeadline(time.Now()) // nothing more is opened
	}()
	r.t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.ended
		s.fifo.Close()
		s.terminal.Close()
	})
	return s
}

// openTerminal returns the two sides of a pseudo-terminal.
func openTerminal() (person, program *os.File, err error) {
	if person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	raw, err := person.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var n int
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return person, program, err
}

// types is what the person types, and the return key.
func (s *loginRun) types(line string) {
	s.r.t.Helper()
	if _, err := s.terminal.WriteString(line + "\n"); err != nil {
		s.r.t.Fatal(err)
	}
}

// opened waits for what it opens in the browser.
func (s *loginRun) opened() string {
	s.r.t.Helper()
	s.fifo.SetReadDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(s.fifo).ReadString('\n')
	if err != nil {
		text, _ := s.err.snapshot()
		s.r.t.Fatalf("no browser was opened: %v\n%s", err, text)
	}
	return strings.TrimSuffix(line, "\n")
}

// shown waits for something that it shows, and returns the pattern's last group.
func (s *loginRun) shown(pattern string) string { s.r.t.Helper(); return s.await(s.err, pattern) }

// asks waits for a question on the terminal.
func (s *loginRun) asks(pattern string) { s.r.t.Helper(); s.await(s.screen, pattern) }

func (s *loginRun) await(where *logbook, pattern string) string {
	s.r.t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(s.r.t.Context(), patience)
	defer cancel()
	for {
		text, changed := where.snapshot()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-changed:
			continue
		case <-s.ended:
			if text, _ = where.snapshot(); re.MatchString(text) {
				continue
			}
		case <-ctx.Done():
		}
		said, _ := s.err.snapshot()
		s.r.t.Fatalf("groat login did not show %s, but:\n%s\n%s", pattern, text, said)
	}
}

// address waits for the one that is shown.
func (s *loginRun) address() string { s.r.t.Helper(); return s.shown(`(?m)^  (https?://\S+)$`) }

// code waits for the code of a device sign-in.
func (s *loginRun) code() string {
	s.r.t.Helper()
	return s.shown(`\b([B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4})\b`)
}

// result waits for the end.
func (s *loginRun) result() result {
	s.r.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		text, _ := s.err.snapshot()
		s.r.t.Fatalf("groat login does not end; it shows:\n%s", text)
	}
	text, _ := s.err.snapshot()
	result := result{s.out.String(), text, s.cmd.ProcessState.ExitCode()}
	if what := s.r.find(result.stdout + result.stderr); what != "" {
		s.r.t.Errorf("groat login printed %s", what)
	}
	return result
}

// succeeds wants it to end well, and returns what it says.
func (s *loginRun) succeeds() string {
	s.r.t.Helper()
	got := s.result()
	if got.code != 0 || !strings.HasPrefix(got.stdout, "signed in: profile ") {
		s.r.t.Fatalf("%s ended with %d: %s%s", strings.Join(s.cmd.Args[1:], " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// interrupt is Ctrl-C.
func (s *loginRun) interrupt() { s.cmd.Process.Signal(syscall.SIGINT) }

// until asks again and again, of a process or server that is not ours to be told by, until there is an answer.
func until[T any](t *testing.T, what string, ask func() (T, bool)) T {
	t.Helper()
	for end := time.Now().Add(2 * patience); ; {
		if got, ok := ask(); ok {
			return got
		} else if time.Now().After(end) {
			t.Fatal(fmt.Errorf("it never came: %s", what))
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
