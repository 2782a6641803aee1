package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/visible"
)

func TestEveryKindHasAnExitCode(t *testing.T) {
	for _, k := range []frame.Kind{frame.LoginRequired, frame.Temporary, frame.Denied, frame.Locked,
		frame.UnknownProfile, frame.Config, frame.KeystoreUnavailable} {
		if exitOf(k) == ExitInternal {
			t.Errorf("%s has no exit code of its own", k)
		}
	}
	if exitOf(frame.Internal) != ExitInternal || exitOf("of the future") != ExitInternal {
		t.Error("what is not known is not a fault of groatd's")
	}
}

func TestTwoLines(t *testing.T) {
	for _, tt := range []struct{ err, two, one string }{
		{"plain", "groat: error: plain\ngroat: hint: groat status\n", "groat: plain (groat status)\n"},
		{"a\nb\x1b[2J", "groat: error: a b\ufffd[2J\ngroat: hint: groat status\n", "groat: a b\ufffd[2J (groat status)\n"},
	} {
		f := Describe(fmt.Errorf("%s", tt.err))
		var two, one strings.Builder
		f.Print(&two)
		f.PrintLine(&one)
		if two.String() != tt.two || one.String() != tt.one {
			t.Errorf("%q %q", &two, &one)
		}
	}
	var nothing strings.Builder
	(&Failure{Code: ExitSignal + 2}).Print(&nothing)
	(&Failure{Code: ExitSignal + 2}).PrintLine(&nothing)
	(&Failure{Message: "m"}).PrintLine(&nothing)
	if nothing.String() != "groat: m\n" {
		t.Errorf("%q", &nothing)
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		f    *Failure
		want string
	}{
		{Refused(&frame.Error{Code: -32002, Kind: frame.Temporary, Message: "wait\x1b[2J", Hint: `groat status "x"`,
			RetryAfter: 7}), `{"error":{"message":"wait\ufffd[2J","hint":"groat status \"x\"","kind":"temporary",` +
			`"retry_after":7,"exit_code":75}}` + "\n"},
		{&Failure{Code: ExitUsage, Message: "no"}, `{"error":{"message":"no","exit_code":2}}` + "\n"},
		{&Failure{Code: 130}, ""},
	} {
		var b strings.Builder
		if c.f.PrintJSON(&b); b.String() != c.want {
			t.Errorf("got  %q\nwant %q", b.String(), c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	made := &Failure{Code: 7, Message: "made"}
	for _, tt := range []struct {
		err  error
		code int
		says string
	}{
		{fmt.Errorf("in: %w", made), 7, "made"},
		{os.ErrDeadlineExceeded, ExitUnavailable, "does not answer"},
		{fmt.Errorf("%w: %w", frame.ErrClosed, syscall.ECONNRESET), ExitUnavailable, "before it answered"},
		{&frame.DialError{Socket: "/s", Err: frame.ErrForeignServer}, ExitDenied, "nothing was sent to /s"},
		{&frame.DialError{Socket: "/s", Err: syscall.EACCES}, ExitUnavailable, "permission denied"},
		{NoCommands("/bin/groat-commands"), ExitInternal, "/bin/groat-commands is missing"},
		{CannotHandOver(syscall.EACCES), ExitInternal, "permission denied"},
		{UnsafeCommands("/bin/x"), ExitDenied, "/bin/x could be changed"},
		{errors.New("else"), ExitInternal, "else"},
	} {
		if f := Describe(tt.err); f.Code != tt.code || !strings.Contains(f.Message, tt.says) {
			t.Errorf("%v: %d %q", tt.err, f.Code, f.Message)
		}
	}
}

// A hint can be typed where PATH does not lead to groatd.
func TestHintsNameTheDaemonBesideThisProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), "groatd")
	if err := os.WriteFile(beside, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(beside) })
	for hint, want := range map[string]string{
		"groatd --check": visible.Word(beside) + " --check", "groatd": visible.Word(beside),
		"groat status": "groat status", "chmod 700 x": "chmod 700 x", "": "",
	} {
		f := &Failure{Hint: hint}
		if f.NameDaemon("/nonexistent"); f.Hint != want {
			t.Errorf("%q: %q, want %q", hint, f.Hint, want)
		}
	}
	f := &Failure{Hint: "groatd --check"}
	if f.NameDaemon("/nonexistent:" + filepath.Dir(self)); f.Hint != "groatd --check" {
		t.Errorf("on PATH: %q", f.Hint)
	}
}

func TestDurationWords(t *testing.T) {
	for seconds, want := range map[int64]string{
		-5: "0s", 0: "0s", 59: "59s", 839: "13m59s", 3600: "1h0m", 90061: "25h1m", 400000: "4d15h", 1 << 62: "36500d",
	} {
		if got := DurationWords(seconds); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}
