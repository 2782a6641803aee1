package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/protocol/frame"
)

// logHome is a state directory with a log.
func logHome(t *testing.T, newer, older string) (state, path string) {
	t.Helper()
	state = filepath.Join(t.TempDir(), "state")
	path = filepath.Join(state, frame.LogFile)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{path: newer, path + frame.OlderLog: older} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return state, path
}

func TestLogs(t *testing.T) {
	long := strings.Repeat("a", 100<<10)
	for name, c := range map[string]struct {
		newer, older string
		lines        uint32
		want         string
	}{
		"both":               {"c\nd\n", "a\nb\n", 100, "a\nb\nc\nd\n"},
		"the last of both":   {"c\nd\n", "a\nb\n", 3, "b\nc\nd\n"},
		"the last line":      {"c\nd\n", "", 1, "d\n"},
		"all":                {strings.Repeat("x\n", 500), "", 0, strings.Repeat("x\n", 500)},
		"a line under way":   {"c\nd", "", 9, "c\n"},
		"only the older one": {"", "a\n", 9, "a\n"},
		"foreign text": {"a\x1b[2Jb\tc\r\ngroat: hint: rm -r ~\n", "", 9,
			"a\ufffd[2Jb c\n" + textLogLine("groat: hint: rm -r ~") + "\n"},
		"an endless line": {long + "\nb\n", "", 9, textLogLine(long) + "\nb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := logHome(t, c.newer, c.older)
			var out, errs bytes.Buffer
			a := &app{stdout: &out, stderr: &errs}
			if err := a.showLog(t.Context(), state, &logFlags{lines: c.lines}); err != nil || out.String() != c.want ||
				errs.Len() > 0 {
				t.Errorf("%v\n%s%s", err, out.String(), errs.String())
			}
		})
	}
	if strings.HasPrefix(textLogLine("groat: hint: rm -r ~"), "groat:") {
		t.Error("a line of the log looks like one of groat's own")
	}
}

// Nothing to show is no error; what cannot be read is one.
func TestLogsOfNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(state, path string) error
		says   string
		fails  bool
	}{
		"no log":       {func(_, path string) error { return os.Remove(path) }, "There is no ", false},
		"no directory": {func(state, _ string) error { return os.RemoveAll(state) }, "There is no ", false},
		"a directory that others may enter": {func(state, _ string) error { return os.Chmod(state, 0o755) },
			"is open to others", true},
		"a link": {func(_, path string) error {
			os.Remove(path)
			return os.Symlink("/etc/passwd", path)
		}, "is a symbolic link", true},
	} {
		t.Run(name, func(t *testing.T) {
			state, path := logHome(t, "a\n", "")
			if err := c.change(state, path); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			a := &app{stdout: &out, stderr: &errs}
			err := a.showLog(t.Context(), state, &logFlags{lines: 9})
			if said := errs.String() + fmt.Sprint(err); (err != nil) != c.fails || !strings.Contains(said, c.says) ||
				out.Len() > 0 {
				t.Errorf("%s%s", said, out.String())
			}
		})
	}
}

// What is added is shown, also by the next file after this one was renamed, or where there was none at first, and ends
// with the context.
func TestLogsFollow(t *testing.T) {
	add := func(path, text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
			f.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	for name, first := range map[string]string{"a log": "a\n", "no log yet": ""} {
		t.Run(name, func(t *testing.T) {
			state, path := logHome(t, first, "")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				a := &app{stdout: &out}
				done := make(chan error)
				go func() { done <- a.showLog(ctx, state, &logFlags{lines: 9, follow: true}) }()
				for _, step := range []struct {
					do   func()
					want string
				}{
					{func() {}, first},
					{func() { add(path, "b\nc") }, "b\n"},
					{func() { add(path, "d\n") }, "cd\n"},
					{func() {
						add(path, "e\n")
						os.Rename(path, path+frame.OlderLog)
						add(path, "f\n")
					}, "e\nf\n"},
					{func() { os.Rename(path, path+frame.OlderLog) }, ""},
					{func() { add(path, "g\n") }, "g\n"},
					{func() { os.Truncate(path, 0) }, ""},
					{func() { add(path, "h\n") }, "h\n"},
				} {
					step.do()
					time.Sleep(2 * followPause)
					synctest.Wait()
					if got := out.String(); got != step.want {
						t.Errorf("got %q, want %q", got, step.want)
					}
					out.Reset()
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A directory that others may use is closed by the hint.
func TestLogsOfOpenDirectory(t *testing.T) {
	state, _ := logHome(t, "a\n", "")
	if err := os.Chmod(state, 0o777); err != nil {
		t.Fatal(err)
	}
	err := (&app{}).showLog(t.Context(), state, &logFlags{})
	if f, ok := errors.AsType[*report.Failure](err); !ok || f.Hint != "chmod 700 "+state {
		t.Errorf("%+v", err)
	}
}
