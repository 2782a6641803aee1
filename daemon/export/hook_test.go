package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol"
)

// hooksIn makes a directory of hooks with one of this text in it, and returns the hook's path.
func hooksIn(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks", "reload")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700),
		os.Chmod(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	return path
}

// hooked has a file kept with a hook.
func hooked(t *testing.T, x *Exports, hook string) (path string) {
	t.Helper()
	x.Hooks = filepath.Dir(hook)
	w := Wanted{Variant: Variant{Profile: "p"}, Path: filepath.Join(t.TempDir(), "f"), Form: protocol.FormToken,
		Hook: filepath.Base(hook)}
	if _, err := x.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w.Path
}

// A hook is run after each replacement, also by the next daemon, and gets neither the token nor groatd's environment.
func TestAHookRunsAfterEachReplacement(t *testing.T) {
	t.Setenv("GROAT_KEYSTORE", "memory") // stands for what is groatd's own
	state, out := t.TempDir(), t.TempDir()
	fifo := filepath.Join(out, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	hook := hooksIn(t, `cd `+out+`; env >env; echo "$# $PWD" >args; cp "$GROAT_EXPORT_FILE" seen; echo ran >fifo`)
	var held atomic.Int64
	x := exportsIn(t, state, &held)
	path := hooked(t, x, hook)
	for range 2 {
		if text, err := os.ReadFile(fifo); err != nil || string(text) != "ran\n" { // waits for the hook
			t.Fatalf("%q, %v", text, err)
		}
		x.Close()
		env, err := os.ReadFile(filepath.Join(out, "env"))
		seen, also := os.ReadFile(filepath.Join(out, "seen"))
		if err != nil || also != nil || string(seen) != "dummy.token\n" || strings.Contains(string(env), "dummy.token") ||
			strings.Contains(string(env), "GROAT_KEYSTORE") {
			t.Errorf("%s%s%v, %v", env, seen, err, also)
		}
		for _, line := range []string{"GROAT_PROFILE=p", "GROAT_EXPORT_FILE=" + path} {
			if !slices.Contains(strings.Split(string(env), "\n"), line) {
				t.Errorf("%s is not in %s", line, env)
			}
		}
		if args, err := os.ReadFile(filepath.Join(out, "args")); err != nil || string(args) != "0 "+out+"\n" {
			t.Errorf("%s, %v", args, err)
		}
		x = exportsIn(t, state, &held)
		x.Hooks = filepath.Dir(hook)
		x.Resume()
	}
	if text, err := os.ReadFile(fifo); err != nil || string(text) != "ran\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// How a hook failed is shown beside its file, which is current all the same; what it printed is not.
func TestAHookThatFails(t *testing.T) {
	for text, says := range map[string]string{
		`cat "$GROAT_EXPORT_FILE" >&2; exit 3`: "the hook reload failed after the last change: exit status 3",
		`kill -9 $$`:                           "the hook reload failed after the last change: signal: killed",
		`rm "$0"; exit 1`:                      "the hook reload failed after the last change: exit status 1",
		`exit 0`:                               "",
	} {
		var held atomic.Int64
		x := exportsIn(t, t.TempDir(), &held)
		hook := hooksIn(t, text)
		hooked(t, x, hook)
		x.ending.Wait()
		e := x.List()[0]
		if e.State != protocol.ExportCurrent || e.OnChange != "reload" || e.Message != says ||
			(e.Hint != "") != (says != "") || says != "" && e.Hint != hook {
			t.Errorf("%q: %+v", text, e)
		}
	}
}

// A hook that does not end is killed with what it has started, at its deadline and where groatd ends.
func TestAHookThatDoesNotEnd(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The shell's child holds the fifo open too: a reader is told of the end when both have ended.
	path := hooksIn(t, `exec >`+fifo+`; echo began; cat /dev/zero >/dev/null; echo ended`)
	for name, run := range map[string]func(x *Exports, began <-chan struct{}) error{
		"the deadline": func(x *Exports, began <-chan struct{}) error {
			ctx, end := context.WithCancel(t.Context())
			go func() {
				<-began
				end()
			}()
			return (&hook{x: x, name: "reload"}).once(late{ctx})
		},
		"the end of groatd": func(x *Exports, began <-chan struct{}) error {
			h := &hook{x: x, name: "reload"}
			h.fire()
			<-began
			x.Close()
			return nil
		},
	} {
		var held atomic.Int64
		x := exportsIn(t, t.TempDir(), &held)
		x.Hooks = filepath.Dir(path)
		began, rest := make(chan struct{}), make(chan string, 1)
		go func() {
			f, err := os.Open(fifo)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			r := bufio.NewReader(f)
			r.ReadString('\n')
			close(began)
			text, err := io.ReadAll(r)
			rest <- fmt.Sprint(string(text), err)
		}()
		err := run(x, began)
		if name == "the deadline" && (err == nil || err.Error() != "it took too long and was killed") {
			t.Error(err)
		}
		if text := <-rest; text != "<nil>" {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// late is a context whose end is its deadline.
type late struct{ context.Context }

func (l late) Err() error {
	if l.Context.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// A file that is exported again as it is has the hook neither run again nor beside itself: one that exports its own
// file ends.
func TestAHookOfAFileThatIsExportedAgain(t *testing.T) {
	dir := t.TempDir()
	fifo, log := filepath.Join(dir, "fifo"), filepath.Join(dir, "log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var held atomic.Int64
	x := exportsIn(t, t.TempDir(), &held)
	hook := hooksIn(t, `echo ran >>`+log+`; read -r go <`+fifo)
	path := hooked(t, x, hook)
	for range 3 {
		if _, err := x.Start(t.Context(), Wanted{Variant: Variant{Profile: "p"}, Path: path, Form: protocol.FormToken,
			Hook: "reload"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil { // waits for the hook
		t.Fatal(err)
	}
	x.ending.Wait()
	if b, err := os.ReadFile(log); err != nil || string(b) != "ran\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// What is not there, could be changed by another user, or cannot be run, is no hook.
func TestWhatIsNoHook(t *testing.T) {
	tier.NeedsRoot(t)
	for name, tt := range map[string]struct {
		plant func(path string) error
		hook  string
		says  string
	}{
		"missing":           {os.Remove, "reload", "there is no hook reload in"},
		"another name":      {func(string) error { return nil }, "../hooks/reload", "must be the name of a hook"},
		"written by others": {func(p string) error { return os.Chmod(p, 0o722) }, "reload", "may be written by others"},
		"not executable":    {func(p string) error { return os.Chmod(p, 0o600) }, "reload", "cannot be run"},
		"another user's":    {func(p string) error { return os.Chown(p, 4242, 4242) }, "reload", "belongs to another user"},
		"a directory":       {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "reload", "is not"},
		"an open directory": {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "reload", "hooks"},
		"a link over an open directory": {func(p string) error {
			open := filepath.Join(filepath.Dir(p), "open")
			return errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Rename(p, filepath.Join(open, "x")),
				os.Symlink("open/x", p))
		}, "reload", "open may be written by"},
		"no hooks at all": {func(p string) error { return os.RemoveAll(filepath.Dir(p)) }, "reload", "there is no hook"},
		"switched off":    {nil, "reload", "switched off"},
	} {
		path := hooksIn(t, "exit 0")
		var held atomic.Int64
		x := exportsIn(t, t.TempDir(), &held)
		if x.Hooks = filepath.Dir(path); tt.plant == nil {
			x.Hooks = ""
		} else if err := tt.plant(path); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "f")
		_, err := x.Start(t.Context(), Wanted{Variant: Variant{Profile: "p"}, Path: file, Form: protocol.FormToken,
			Hook: tt.hook})
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || !strings.Contains(e.Message, tt.says) || e.Code != protocol.CodeInvalidParams && e.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
		if there(t, file) || len(x.List()) != 0 {
			t.Errorf("%s: the file is kept all the same", name)
		}
	}
}

// A list of files that another user could have written has nothing kept, and nothing run.
func TestAListThatOthersCouldChange(t *testing.T) {
	tier.NeedsRoot(t)
	for name, change := range map[string]func(list string) error{
		"written by others": func(l string) error { return os.Chmod(l, 0o622) },
		"read by others":    func(l string) error { return os.Chmod(l, 0o644) },
		"another user's":    func(l string) error { return os.Chown(l, 4242, 4242) },
		"a link": func(l string) error {
			return errors.Join(os.Rename(l, l+".real"), os.Symlink(l+".real", l))
		},
	} {
		state := t.TempDir()
		hook := hooksIn(t, "exit 0")
		e := entry{Path: filepath.Join(t.TempDir(), "f"), Profile: "p", Form: protocol.FormToken, Hook: "reload"}
		l := list{state}
		if err := errors.Join(l.write([]entry{e}), change(l.path())); err != nil {
			t.Fatal(err)
		}
		var held atomic.Int64
		x := exportsIn(t, state, &held)
		x.Hooks = filepath.Dir(hook)
		x.Resume()
		if len(x.List()) != 0 || held.Load() != 0 {
			t.Errorf("%s: %+v", name, x.List())
		}
	}
}
