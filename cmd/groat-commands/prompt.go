package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/protocol"
)

const (
	// maxInput bounds what is read from stdin or a terminal: no token, client secret or passphrase is longer.
	maxInput = 16 << 10
	// maxContent bounds a file of another program's on stdin, so that a request can hold it.
	maxContent = 32 << 10
)

// inputTime bounds how long stdin may take to end.
const inputTime = 5 * time.Minute

var (
	errInputSlow  = errors.New(causeSlow)
	errInputEmpty = errors.New(causeEmpty)
	errInputNoFit = errors.New(causeNoFit)
)

// readInput is readBounded with a deadline, within which a password manager may ask its own questions.
func (a *app) readInput(ctx context.Context, limit int) ([]byte, error) {
	type input struct {
		b   []byte
		err error
	}
	done := make(chan input, 1)
	closeMemory()
	go func() {
		b, err := readBounded(a.stdin, limit)
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

// readBounded reads all of r, at most limit bytes, without the one newline at its end.
func readBounded(r io.Reader, limit int) ([]byte, error) {
	// One buffer of the full size: growing it would leave copies of a secret behind.
	buf := make([]byte, limit+1)
	n, err := io.ReadFull(r, buf)
	if err == nil {
		clear(buf)
		return nil, inputTooLong(limit)
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
	rest  []byte // the lines of stdin that further prompts are answered with
}

func (a *app) secretSource(stdin bool, flag string) *secretSource {
	return &secretSource{app: a, stdin: stdin, flag: flag}
}

// read returns the secret that a command asks for; the caller owns it. text says what it is.
func (s *secretSource) read(ctx context.Context, text string) (protocol.LoginSecret, error) {
	return s.answer(ctx, protocol.Prompt{Text: text})
}

// answer returns the secret that a prompt asks for; the caller owns it. It is empty only where the prompt is optional.
func (s *secretSource) answer(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
	if !s.stdin {
		b, err := s.app.askHidden(ctx, p.Text, s.flag, p.Optional)
		return protocol.NewLoginSecret(b), err
	}
	b, err := s.line(ctx, p)
	if err != nil {
		return protocol.LoginSecret{}, err
	}
	switch {
	case len(b) > 0:
		err = checkEnds(b)
	case !p.Optional:
		err = errInputEmpty
	}
	if err != nil {
		clear(b)
		return protocol.LoginSecret{}, s.app.errStdin(err)
	}
	return protocol.NewLoginSecret(b), nil
}

// line returns the part of stdin that answers a prompt: the first line where a further prompt follows, else all that is
// left.
func (s *secretSource) line(ctx context.Context, p protocol.Prompt) (b []byte, err error) {
	switch b = s.rest; {
	case !s.spent:
		s.spent = true
		if b, err = s.app.readInput(ctx, maxInput); err != nil {
			clear(b)
			return nil, s.app.errStdin(err)
		}
	case b == nil && !p.Optional:
		return nil, s.app.errStdinSpent()
	}
	s.rest = nil
	if p.Further {
		var found bool
		if b, s.rest, found = bytes.Cut(b, []byte("\n")); !found {
			s.rest = nil
		}
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	return b, nil
}

// stdinWaits reports whether something was given on stdin that nobody has read. It waits for nothing: an open stdin on
// which nothing comes (cron, a container) has given nothing. A terminal is not looked at, nor is /dev/null.
func (a *app) stdinWaits() bool {
	f, ok := a.stdin.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return false
	}
	n, err := unix.IoctlGetInt(int(f.Fd()), ioctlUnread)
	return err == nil && n > 0
}

// checkEnds refuses a secret that begins or ends with what nobody typed on purpose, and nobody would see: a byte order
// mark, a blank, another newline than the one that readBounded has taken away, a control character.
func checkEnds(b []byte) error {
	for _, mark := range []string{"\ufeff", "\xff\xfe", "\xfe\xff"} { // UTF-8, UTF-16
		if bytes.HasPrefix(b, []byte(mark)) {
			return errInputEnd(true, endByteOrderMark)
		}
	}
	first, _ := utf8.DecodeRune(b)
	last, _ := utf8.DecodeLastRune(b)
	for _, end := range []struct {
		r      rune
		begins bool
	}{{first, true}, {last, false}} {
		switch {
		case end.r == '\ufeff':
			return errInputEnd(end.begins, endByteOrderMark)
		case end.r == '\n', end.r == '\r':
			return errInputEnd(end.begins, endLineBreak)
		case end.r == '\t':
			return errInputEnd(end.begins, endTab)
		case unicode.IsSpace(end.r):
			return errInputEnd(end.begins, endBlank)
		case end.r != utf8.RuneError && !unicode.IsPrint(end.r):
			return errInputEnd(end.begins, endInvisible(end.r))
		}
	}
	return nil
}

// askHidden asks on the terminal for something that is not echoed.
func (a *app) askHidden(ctx context.Context, text, flag string, optional bool) ([]byte, error) {
	b, err := a.askLine(ctx, textPrompt(text), true)
	switch {
	case errors.Is(err, errNoTTY):
		return nil, a.errNoTerminal(text, flag)
	case err == nil && len(b) == 0 && !optional, errors.Is(err, io.EOF):
		return nil, a.errNothingTyped()
	}
	return b, err
}

// confirm asks a question that a person answers with y; anything else is a no.
func (a *app) confirm(ctx context.Context, question, flag string) (bool, error) {
	answer, err := a.askWord(ctx, question, flag)
	return answer == "y" || answer == "yes", err
}

// interactive reports whether there is a terminal on which a person can be asked now.
func (a *app) interactive() bool {
	tty, err := a.tty()
	if err != nil {
		return false
	}
	defer tty.Close()
	return foreground(tty)
}

// askWord asks a question and returns what was typed, in lower case.
func (a *app) askWord(ctx context.Context, question, flag string) (string, error) {
	line, err := a.askLine(ctx, question, false)
	switch {
	case errors.Is(err, errNoTTY):
		return "", a.errNoTerminal(question, flag)
	case errors.Is(err, io.EOF):
		return "", nil
	}
	return strings.ToLower(strings.TrimSpace(string(line))), err
}
