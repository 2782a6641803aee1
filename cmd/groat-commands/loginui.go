package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/groat-dev/groat/protocol"
)

// personTime is how long a person may take; groatd ends a login sooner, after 35 minutes.
const personTime = 36 * time.Minute

// loginUI shows the prompts of one login to the person. Notices may come while a question is open.
type loginUI struct {
	app       *app
	secrets   *secretSource
	noBrowser bool

	mu       sync.Mutex  // is also held while a line is printed
	patience *time.Timer // ends the login if nothing is heard
	person   bool        // the person is waited for, and not groatd
	page     string      // what the browser was sent to
}

// answer is a [protocol.AnswerFunc].
func (v *loginUI) answer(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
	switch p.Kind {
	case protocol.PromptSecret:
		v.wait(true)
		defer v.wait(false)
		if !v.secrets.stdin && v.app.stdinWaits() {
			return protocol.LoginSecret{}, v.app.failStdinWaits()
		}
		return v.secrets.answer(ctx, p)
	case protocol.PromptConfirm:
		v.wait(true)
		defer v.wait(false)
		return v.confirm(ctx, p.Text)
	case protocol.PromptDevice:
		v.wait(true)
		v.print(textDevice(p) + v.qr(p.QR))
	case protocol.PromptBrowser:
		v.wait(true)
		return v.browse(ctx, p)
	default:
		v.print(textNotice(p.Text))
		v.mu.Lock()
		defer v.mu.Unlock()
		if !v.person {
			v.patience.Reset(providerTime)
		}
	}
	return protocol.LoginSecret{}, nil
}

// wait says who is waited for: the person, or groatd, which has a minute for each of its own steps.
func (v *loginUI) wait(person bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.person = person
	if person {
		v.patience.Reset(personTime)
	} else {
		v.patience.Reset(providerTime)
	}
}

func (v *loginUI) print(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.app.printNote(text)
}

// confirm asks on the terminal, whatever stdin is.
func (v *loginUI) confirm(ctx context.Context, text string) (protocol.LoginSecret, error) {
	yes, err := v.app.confirm(ctx, textConfirm(text), "")
	if err != nil || !yes {
		return protocol.NewLoginSecret([]byte("no")), err
	}
	return protocol.NewLoginSecret([]byte("yes")), nil
}

// browse shows the address of a sign-in, opens it if that makes sense, and returns what the person pastes. The
// question may come again; the browser is opened once.
func (v *loginUI) browse(ctx context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
	v.mu.Lock()
	again := v.page != ""
	v.page = p.URL
	v.mu.Unlock()
	if again {
		return v.readPaste(ctx, "") // groatd has just said what to paste
	}
	var exited <-chan *os.ProcessState
	opened := false
	if !v.noBrowser {
		exited, opened = v.app.browse(p.URL)
	}
	v.print(textBrowser(p, opened))
	if opened {
		go v.awaitBrowser(ctx, exited)
	}
	return v.readPaste(ctx, questionPaste)
}

// awaitBrowser says so if the browser could not be opened after all.
func (v *loginUI) awaitBrowser(ctx context.Context, exited <-chan *os.ProcessState) {
	select {
	case state := <-exited:
		if !state.Success() {
			v.print(textNotOpened)
		}
	case <-ctx.Done():
	}
}

// readPaste returns what a person pastes, or nothing if there is no terminal to paste on.
func (v *loginUI) readPaste(ctx context.Context, question string) (protocol.LoginSecret, error) {
	tty, err := v.app.tty()
	if err != nil {
		return protocol.LoginSecret{}, nil
	}
	ours := foreground(tty)
	tty.Close()
	for ours {
		line, err := v.app.askLine(ctx, question, false)
		switch {
		case err == nil && len(line) == 0:
			question = ""
			continue
		case err == nil || ctx.Err() != nil:
			return protocol.NewLoginSecret(line), err
		}
		ours = false // the browser may still answer
	}
	return protocol.LoginSecret{}, nil
}

// qr returns a drawing for the terminal, or nothing if it would not be one: no terminal, too narrow, not a font that
// has the blocks, or not a drawing.
func (v *loginUI) qr(drawing string) string {
	out, ok := v.app.stderr.(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) || !v.app.utf8() || v.app.getenv("TERM") == "dumb" {
		return ""
	}
	columns, _, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(drawing) {
		line = strings.TrimSuffix(line, "\n")
		blocks := []rune(line)
		if len(blocks) > columns || strings.Trim(line, " █▀▄") != "" {
			return ""
		}
		// A scanner wants light on dark as it was drawn, whatever the terminal's colours are.
		b.WriteString("\x1b[97;40m" + line + "\x1b[0m\n")
	}
	return b.String()
}

// utf8 reports whether the person's terminal shows UTF-8, by POSIX's order of variables.
func (a *app) utf8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToUpper(a.getenv(name)); locale != "" {
			return strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
		}
	}
	return false
}
