// Package report says what went wrong: the one table from errors to what a person (two lines) and a script (the exit
// code) get. Its sentences are in tui.go and tui_network.go.
//
// The invariants: foreign text is made safe before it is shown, and nothing of it can be taken for a line of groat's
// own. What is not here: errors that only a command of groat-commands can meet.
package report

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/strictjson"
	"github.com/groat-dev/groat/protocol/visible"
)

// Exit codes. Those above 63 are sysexits.h's, 4 is for "a person must sign in".
const (
	ExitDone          = 0
	ExitInternal      = 1
	ExitUsage         = 2
	ExitLoginRequired = 4
	ExitUnavailable   = 69 // EX_UNAVAILABLE: groatd cannot be reached
	ExitTemporary     = 75 // EX_TEMPFAIL
	ExitDenied        = 77 // EX_NOPERM
	ExitConfig        = 78 // EX_CONFIG
	ExitSignal        = 128
)

// exitOf returns the exit code of a kind of error that groatd answers with.
func exitOf(kind frame.Kind) int {
	switch kind {
	case frame.LoginRequired:
		return ExitLoginRequired
	case frame.Temporary, frame.KeystoreUnavailable:
		return ExitTemporary
	case frame.Denied, frame.Locked:
		return ExitDenied
	case frame.UnknownProfile, frame.Config:
		return ExitConfig
	}
	return ExitInternal
}

// Failure is an error that has its sentence and its exit code. Without a message there is nothing to say.
type Failure struct {
	Code          int
	Message, Hint string
	Cause         error
}

func (f *Failure) Error() string { return f.Message }
func (f *Failure) Unwrap() error { return f.Cause }

// Describe returns the failure that an error is, or leads to.
func Describe(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*frame.Error](err); ok {
		return Refused(e)
	}
	if e, ok := errors.AsType[*frame.DialError](err); ok {
		return dialFailed(e)
	}
	switch {
	case errors.Is(err, frame.ErrUse):
		return oldDaemon(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return NoAnswer(err)
	case errors.Is(err, frame.ErrClosed):
		return hungUp(err)
	}
	return Unexpected(err)
}

// Explain is Describe. Beside a connection's error it says if groatd's way to servers is not this shell's.
func Explain(err error, getenv func(string) string) *Failure {
	f := Describe(err)
	if e, ok := errors.AsType[*frame.Error](err); ok {
		f.AddNetwork(e, getenv)
	}
	f.NameDaemon(getenv("PATH"))
	return f
}

// NameDaemon has a hint that begins with groatd name the one that is beside this program, where path leads to none:
// else it could not be typed. That groat is found, the person has shown.
func (f *Failure) NameDaemon(path string) {
	name, rest, _ := strings.Cut(f.Hint, " ")
	if name != "groatd" {
		return
	}
	for _, dir := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return
		}
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	program := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(program); err == nil {
		f.Hint = strings.TrimSuffix(visible.Word(program)+" "+rest, " ")
	}
}

// Refused describes an error that groatd answered with.
func Refused(e *frame.Error) *Failure {
	f := &Failure{Code: exitOf(e.Kind), Message: e.Message, Hint: e.Hint, Cause: e}
	switch e.Code {
	case frame.CodeInvalidParams:
		f.Code = ExitUsage
	case frame.CodeMethodNotFound:
		return oldDaemon(e)
	}
	if f.Hint == "" {
		f.Hint = defaultHint(e)
	}
	return f
}

// Print prints the two lines of a failure, or nothing if there is nothing to say.
func (f *Failure) Print(w io.Writer) {
	if f.Message == "" {
		return
	}
	lines := "groat: error: " + visible.Text(f.Message) + "\n"
	if f.Hint != "" {
		lines += "groat: hint: " + visible.Text(f.Hint) + "\n"
	}
	io.WriteString(w, lines)
}

// PrintJSON prints a failure as one line of JSON, for a program that asked for JSON, or nothing if there is nothing to
// say. "kind" and "retry_after" (seconds) are there where groatd said them.
func (f *Failure) PrintJSON(w io.Writer) {
	if f.Message == "" {
		return
	}
	b := appendString([]byte(`{"error":{"message":`), f.Message)
	if f.Hint != "" {
		b = appendString(append(b, `,"hint":`...), f.Hint)
	}
	if e, ok := errors.AsType[*frame.Error](f.Cause); ok {
		if e.Kind != "" {
			b = appendString(append(b, `,"kind":`...), string(e.Kind))
		}
		if e.RetryAfter > 0 {
			b = strconv.AppendInt(append(b, `,"retry_after":`...), e.RetryAfter, 10)
		}
	}
	b = strconv.AppendInt(append(b, `,"exit_code":`...), int64(f.Code), 10)
	w.Write(append(b, "}}\n"...))
}

// appendString appends text, made safe for a terminal, as a JSON string.
func appendString(b []byte, text string) []byte {
	return append(b, visible.JSON(strictjson.AppendString(nil, visible.Text(text)))...)
}

// PrintLine prints a failure as one line, for a program that shows groat's stderr among its own lines.
func (f *Failure) PrintLine(w io.Writer) {
	switch {
	case f.Message == "":
	case f.Hint == "":
		io.WriteString(w, "groat: "+visible.Text(f.Message)+"\n")
	default:
		io.WriteString(w, "groat: "+visible.Text(f.Message)+" ("+visible.Text(f.Hint)+")\n")
	}
}

// DurationWords writes a whole number of seconds as a person reads it: 42s, 13m59s, 5h0m, 3d4h.
func DurationWords(seconds int64) string {
	d := time.Duration(min(max(seconds, 0), int64(100*365*24*time.Hour/time.Second))) * time.Second
	switch {
	case d < time.Hour:
		return d.String()
	case d < 48*time.Hour:
		return number(d/time.Hour) + "h" + number(d/time.Minute%60) + "m"
	}
	days := number(d/(24*time.Hour)) + "d"
	if h := d / time.Hour % 24; h > 0 {
		return days + number(h) + "h"
	}
	return days
}
