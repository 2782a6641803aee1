package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/autostart"
	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
	"github.com/groat-dev/groat/protocol/ownpath"
)

func TestAnswersOfTheDaemon(t *testing.T) {
	for _, tt := range []struct {
		answer string
		code   int
		stderr string
	}{
		{
			`{"code":-32001,"message":"profile \"work\" is not signed in","data":{"kind":"login_required",` +
				`"hint":"groat login work"}}`,
			4, "groat: error: profile \"work\" is not signed in\ngroat: hint: groat login work\n",
		},
		{`{"code":-32001,"message":"m","data":{"kind":"login_required"}}`, 4,
			"groat: error: m\ngroat: hint: groat login\n"},
		{`{"code":-32002,"message":"m","data":{"kind":"temporary","retry_after":90}}`, 75,
			"groat: error: m\ngroat: hint: groat status\n"},
		{`{"code":-32003,"message":"m","data":{"kind":"denied"}}`, 77, "groat: error: m\ngroat: hint: groat status\n"},
		{`{"code":-32004,"message":"m","data":{"kind":"locked"}}`, 77, "groat: error: m\ngroat: hint: groat unlock\n"},
		{`{"code":-32005,"message":"m","data":{"kind":"unknown_profile"}}`, 78,
			"groat: error: m\ngroat: hint: groat list\n"},
		{`{"code":-32006,"message":"m","data":{"kind":"config"}}`, 78,
			"groat: error: m\ngroat: hint: groatd --check\n"},
		{`{"code":-32007,"message":"m","data":{"kind":"keystore_unavailable"}}`, 75,
			"groat: error: m\ngroat: hint: groat keystore\n"},
		{`{"code":-32008,"message":"m","data":{"kind":"internal"}}`, 1, "groat: error: m\ngroat: hint: groat status\n"},
		{`{"code":-32099,"message":"m","data":{"kind":"of_the_future","hint":"h"}}`, 1,
			"groat: error: m\ngroat: hint: h\n"},
		{`{"code":-32602,"message":"m"}`, 2, "groat: error: m\ngroat: hint: groat COMMAND --help\n"},
		{`{"code":-32602,"message":"m","data":{"max_min_ttl":840}}`, 2,
			"groat: error: m\ngroat: hint: groat get --min-ttl 840\n"},
		{`{"code":-32601,"message":"m"}`, 1,
			"groat: error: the groatd that runs is of another version and does not know this command\ngroat: hint: " +
				"groat restart\n"},
		{
			`{"code":-32002,"message":"a\nb\u001b[2J\u202ec\u0007","data":{"kind":"temporary","hint":"x\r\ny"}}`,
			75, "groat: error: a b\ufffd[2J\ufffdc\ufffd\ngroat: hint: x  y\n",
		},
		{`{"code":-32008,"message":"` + strings.Repeat("é", 5000) + `"}`, 1, "groat: error: " +
			strings.Repeat("é", maxShown) + "…\ngroat: hint: groat status\n"},
	} {
		f := newFakeDaemon(t, func(request) string { return `"error":` + tt.answer })
		for _, args := range [][]string{{"get"}, {"whoami", "work"}} {
			got := run(t, f.socket, "", args...)
			if got != (outcome{tt.code, "", strings.ReplaceAll(tt.stderr, "COMMAND", args[0])}) {
				t.Errorf("%s\n%v got %d %q", tt.answer, args, got.code, got.stderr)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		says string
	}{
		{context.DeadlineExceeded, 69, "does not answer"},
		{os.ErrDeadlineExceeded, 69, "does not answer"},
		{fmt.Errorf("%w: %w", protocol.ErrClosed, syscall.ECONNRESET), 69, "before it answered"},
		{&frame.DialError{Socket: "/s", Err: frame.ErrForeignServer}, 77, "another user"},
		{&frame.DialError{Socket: "/s", Err: syscall.EACCES}, 69, "permission denied"},
		{errSignal(syscall.SIGINT), 130, ""},
		{errors.New("else"), 1, "else"},
	} {
		if f := describe(tt.err); f.Code != tt.code || !strings.Contains(f.Message, tt.says) || tt.says == "" &&
			f.Message != "" {
			t.Errorf("%v: %d %q", tt.err, f.Code, f.Message)
		}
	}
}

// Every reason for which groatd cannot be started has a sentence, a hint and an exit code.
func TestEveryStartErrorHasASentence(t *testing.T) {
	for r := autostart.Forbidden; r <= autostart.LockHeld; r++ {
		e := &autostart.Error{Reason: r, Place: &frame.Place{Home: "/h", Configuration: "/c", State: "/s"},
			Socket: "/run/s", Program: "/bin/groatd",
			Typed: "groatd", Status: "exit status 1", Dir: "/run", Lock: "/s/lock", Holder: frame.Holder{PID: 1,
				Host: "x"}, Err: syscall.EACCES}
		if r == autostart.ForeignHome {
			e.Err = &ownpath.Error{Path: "HOME=/h", Message: "belongs to root (uid 0)", Hint: "HOME=/x groat status"}
		}
		f := describe(fmt.Errorf("as a cause: %w", e))
		if f.Message == "" || f.Hint == "" || f.Code != report.ExitUnavailable && f.Code != report.ExitConfig {
			t.Errorf("reason %d: %+v", r, f)
		}
	}
	f := describe(&autostart.Error{Reason: autostart.UnitInstalled})
	if f.Code != report.ExitUnavailable ||
		f.Hint != "groat service start" {
		t.Errorf("%+v", f)
	}
}

// A daemon that is killed, stuck or talks nonsense gets a sentence and an exit code too.
func TestBrokenDaemon(t *testing.T) {
	for _, tt := range []struct {
		answer string
		code   int
	}{
		{"", 69}, // it ends, each time that it is asked
		{`{"jsonrpc"`, 1},
		{`[]`, 1},
		{`{"jsonrpc":"2.0","id":7,"result":{}}`, 1}, // another request's answer
		{`{"jsonrpc":"2.0","id":1,"result":"text"}`, 1},
		{`{"jsonrpc":"2.0","id":1}`, 1},
		{strings.Repeat("x", protocol.MaxLine+1), 1},
	} {
		f := newScriptedDaemon(t, func(_ request, say func(string), _ func() request) { say(tt.answer) })
		if tt.answer == "" {
			f.hangUps = 3
		}
		got := run(t, f.socket, "", "get")
		if got.code != tt.code || got.stdout != "" || !twoLines(got.stderr) {
			t.Errorf("%.40q: %+v", tt.answer, got)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"stauts"}, "groat: error: there is no command \"stauts\"\ngroat: hint: groat status\n"},
		{[]string{"frobnicate"}, "groat: error: there is no command \"frobnicate\"\ngroat: hint: groat --help\n"},
		{[]string{"login", "--provider", "spatiafi"},
			"groat: error: name the profile to sign in\ngroat: hint: groat login --help\n"},
		{[]string{"login", "a", "b"},
			"groat: error: groat login takes at most 1 argument, and was given 2 arguments\n" +
				"groat: hint: groat login --help\n"},
		{[]string{"backup"},
			"groat: error: groat backup takes 1 argument, and was given none\ngroat: hint: groat backup --help\n"},
		{[]string{"logs", "-n", "-1"},
			"groat: error: --lines is a whole number, 0 or more, not \"-1\"\ngroat: hint: groat logs --help\n"},
		{[]string{"logs", "-n", "99999999999"},
			"groat: error: --lines is a smaller number than 99999999999\ngroat: hint: groat logs --help\n"},
		{[]string{"export", "--while", "x"},
			"groat: error: --while is a whole number, not \"x\"\ngroat: hint: groat export --help\n"},
		{[]string{"get", "--json=maybe"},
			"groat: error: --json is true or false, not \"maybe\"\ngroat: hint: groat get --help\n"},
		{[]string{"list", "x"}, "groat: error: groat list takes no argument, and was given \"x\"\ngroat: hint: groat " +
			"list --help\n"},
		{[]string{"keystore", "x"}, "groat: error: there is no command groat keystore x\ngroat: hint: groat keystore " +
			"--help\n"},
		{[]string{"get", "--scope"}, "groat: error: --scope needs a value\ngroat: hint: groat get --help\n"},
		{[]string{"logs", "-n"}, "groat: error: --lines needs a value\ngroat: hint: groat logs --help\n"},
		{[]string{"get", "--min-ttl", "x"}, "groat: error: --min-ttl cannot be \"x\": it must be a number of seconds " +
			"or like \"5m\", and at most 366d\ngroat: hint: groat get --help\n"},
		{[]string{"--nope"}, "groat: error: groat has no flag --nope\ngroat: hint: groat --help\n"},
		{[]string{"completion", "csh"}, "groat: error: groat completion takes bash, zsh or fish, not \"csh\"\ngroat: " +
			"hint: groat completion --help\n"},
		{[]string{"login", "a", "--client-secret", "x"},
			"groat: error: groat login has no flag --client-secret\ngroat: hint: groat login --help\n"},
		{[]string{"login", "a", "--keystore", "vault"}, "groat: error: there is no keystore \"vault\": it is keychain, " +
			"passphrase, key-file or memory\ngroat: hint: groat login --help\n"},
		{[]string{"login", "a", "--keystore", "passphrase", "--secret-stdin"}, "groat: error: there is no terminal to ask " +
			"on for a new passphrase\ngroat: hint: groat keystore use sealed --passphrase-stdin < FILE\n"},
		{[]string{"keystore", "use", "sealed", "--passphrase"}, "groat: error: there is no terminal to ask on: New " +
			"passphrase\ngroat: hint: groat keystore use sealed --passphrase --passphrase-stdin < FILE\n"},
		{[]string{"keystore", "use", "passphrase"}, "groat: error: passphrase protects the sealed keystore, and is none " +
			"itself\ngroat: hint: groat keystore use sealed --passphrase\n"},
		{[]string{"keystore", "move", "key-file"}, "groat: error: key-file protects the sealed keystore, and is none " +
			"itself\ngroat: hint: groat keystore move sealed --key-file\n"},
		{[]string{"export", "a", "--as", "plnet", "--file", "f"}, "groat: error: there is no form \"plnet\": --as is " +
			"planet, earthscope or earthscope-0.2\ngroat: hint: groat export --help\n"},
		{[]string{"run", "a", "sh", "-c", "true"}, "groat: error: groat run has no flag -c; the command goes " +
			"behind --: groat run PROFILE -- COMMAND\ngroat: hint: groat run --help\n"},
		{[]string{"help", "lst"}, "groat: error: there is no command \"lst\"\ngroat: hint: groat list\n"},
		{[]string{"help", "service", "begin"},
			"groat: error: there is no command \"service begin\"\ngroat: hint: groat service --help\n"},
		{[]string{"keystore", "use", "vault"},
			"groat: error: groat keystore use takes keychain, sealed or memory, not \"vault\"\ngroat: hint: groat " +
				"keystore use --help\n"},
	} {
		if got := run(t, "/nonexistent/s", "", tt.args...); got != (outcome{report.ExitUsage, "", tt.stderr}) {
			t.Errorf("%v: %+v", tt.args, got)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"help", "get"}, {"help", "service", "logs"},
		{"get", "--help"}, {"login", "-h"}, {"helper", "git", "--help"}, {"completion", "bash"}} {
		if got := run(t, "/nonexistent/s", "", args...); got.code != 0 || got.stderr != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// Sentences stand in the tui files, and in the words of the people who read them.
func TestSentencesStandTogether(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no sources", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(lit.Value)
			if !strings.HasPrefix(name, "tui") && len(strings.Fields(text)) > 3 {
				t.Errorf("%s holds the sentence %q", name, text)
			}
			for word := range strings.FieldsFuncSeq(strings.ToLower(text),
				func(r rune) bool { return r < 'a' || r > 'z' }) {
				switch word {
				case "slot", "mint", "minted", "park", "parked", "broker":
					t.Errorf("%s says %q in %q", name, word, text)
				}
			}
			return true
		})
	}
}

func TestSocketPathIsChecked(t *testing.T) {
	cmd := process(t.Context(), "groat", []string{"GROAT_SOCKET=relative/s", "HOME=" + os.TempDir()}, "get")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != report.ExitConfig || !twoLines(string(out)) {
		t.Errorf("%d %q", cmd.ProcessState.ExitCode(), out)
	}
}

// What was asked for JSON is refused in JSON, by groatd or by the command itself; stdout has nothing then.
func TestErrorsAreJSONWhereThatWasAskedFor(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32005,"message":"there is none","data":{"kind":"unknown_profile","hint":"groat list"}}`
	})
	refused := `{"error":{"message":"there is none","hint":"groat list","kind":"unknown_profile","exit_code":78}}` + "\n"
	for _, c := range []struct{ args, want string }{
		{"status x --json", refused}, {"list --json", refused}, {"get x --json", refused}, {"get x --output json", refused},
		{"login x --json", refused},
		{"list --json --nope", `{"error":{"message":"groat list has no flag --nope","hint":"groat list --help",` +
			`"exit_code":2}}` + "\n"},
	} {
		got := run(t, f.socket, "", strings.Fields(c.args)...)
		if got.stdout != "" || got.stderr != c.want {
			t.Errorf("groat %s: %+v, want %s", c.args, got, c.want)
		}
	}
}
