package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/groat-dev/groat/protocol"
)

// maxInput bounds what is read from stdin or a terminal: no token, client secret or passphrase is longer.
const maxInput = 16 << 10

// inputTime bounds how long stdin may take to end.
const inputTime = 5 * time.Minute

var (
	errInputSlow    = errors.New(causeSlow)
	errInputTooLong = errors.New(causeTooLong)
	errInputEmpty   = errors.New(causeEmpty)
	errInputSpent   = errors.New(causeSpent)
)

// readInput is readBounded with a deadline, within which a password manager may ask its own questions.
func (a *app) readInput(ctx context.Context) ([]byte, error) {
	type input struct {
		b   []byte
		err error
	}
	done := make(chan input, 1)
	go func() {
		b, err := readBounded(a.stdin)
		done <- input{b, err}
	}()
	timeout := time.NewTimer(inputTime)
	defer timeout.Stop()
	select {
	case in := <-done:
		return in.b, in.err
	case <-timeout.C:
		return nil, errInputSlow
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// readBounded reads all of r, without the one newline at its end.
func readBounded(r io.Reader) ([]byte, error) {
	// One buffer of the full size: growing it would leave copies of a secret behind.
	buf := make([]byte, maxInput+1)
	n, err := io.ReadFull(r, buf)
	if err == nil {
		clear(buf)
		return nil, errInputTooLong
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	b := bytes.TrimSuffix(buf[:n], []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	if len(b) == 0 {
		return nil, errInputEmpty
	}
	return b, nil
}

// secretSource is where a command gets what must not be echoed: stdin, once, or the terminal.
type secretSource struct {
	app   *app
	stdin bool
	flag  string // the flag that chooses stdin, for the hint
	spent bool
}

func (a *app) secretSource(stdin bool, flag string) *secretSource {
	return &secretSource{app: a, stdin: stdin, flag: flag}
}

// read returns the next secret; the caller owns it. text says what is asked for.
func (s *secretSource) read(ctx context.Context, text string) (protocol.LoginSecret, error) {
	if !s.stdin {
		b, err := s.app.askHidden(ctx, text, s.flag)
		return protocol.NewLoginSecret(b), err
	}
	if s.spent {
		return protocol.LoginSecret{}, errStdin(errInputSpent)
	}
	s.spent = true
	b, err := s.app.readInput(ctx)
	if err != nil {
		return protocol.LoginSecret{}, errStdin(err)
	}
	return protocol.NewLoginSecret(b), nil
}

func openTTY() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) }

// askHidden asks on the terminal for something that is not echoed. Whatever ends the question, a signal too, the terminal is
// given back as it was.
func (a *app) askHidden(ctx context.Context, text, flag string) ([]byte, error) {
	tty, err := a.tty()
	if err != nil {
		return nil, errNoTerminal(flag)
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, errNoTerminal(flag)
	}
	defer term.Restore(fd, before)
	return onTerminal(ctx, tty, textPrompt(text), true, func() ([]byte, error) {
		b, err := term.ReadPassword(fd)
		switch {
		case err == nil && len(b) == 0:
			return nil, errNothingTyped()
		case len(b) > maxInput:
			clear(b)
			return nil, errStdin(errInputTooLong)
		}
		return b, err
	})
}

// confirm asks a question that a person answers with y; anything else is a no.
func (a *app) confirm(ctx context.Context, question, flag string) (bool, error) {
	tty, err := a.tty()
	if err != nil {
		return false, errNoTerminal(flag)
	}
	defer tty.Close()
	line, err := onTerminal(ctx, tty, question, false, func() ([]byte, error) {
		// A terminal hands over a line at a time.
		b := make([]byte, 256)
		n, err := tty.Read(b)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return b[:n], err
	})
	answer := strings.ToLower(strings.TrimSpace(string(line)))
	return answer == "y" || answer == "yes", err
}

// onTerminal prints a question and runs read, which blocks in the terminal where nothing can interrupt it: so a signal or
// the end of ctx leaves it behind, and the program is about to end.
func onTerminal(ctx context.Context, tty *os.File, question string, hidden bool, read func() ([]byte, error)) ([]byte, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if _, err := io.WriteString(tty, question); err != nil {
		return nil, err
	}
	type line struct {
		b   []byte
		err error
	}
	lines := make(chan line, 1)
	go func() {
		b, err := read()
		lines <- line{b, err}
	}()
	var got line
	select {
	case got = <-lines:
	case s := <-signals:
		got.err = errSignal(s.(syscall.Signal))
	case <-ctx.Done():
		got.err = context.Cause(ctx)
	}
	if hidden || got.err != nil {
		io.WriteString(tty, "\n") // the person's own newline was not echoed, or did not come
	}
	return got.b, got.err
}
