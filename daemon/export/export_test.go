package export

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/watch"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// exportsIn keep files with the token of every profile, which lives an hour; held counts what is held.
func exportsIn(t *testing.T, state string, held *atomic.Int64) *Exports {
	t.Helper()
	x := New(Options{
		StateDir: state,
		Token: func(context.Context, string) (grant.Token, error) {
			return grant.Token{Access: keystore.SecretString("dummy.token"), Type: "Bearer", Sent: clock.Now(),
				Lifetime: time.Hour}, nil
		},
		Hold: func(_ string, on bool) {
			if on {
				held.Add(1)
			} else {
				held.Add(-1)
			}
		},
		Wire: func(err error, _ string) *protocol.Error {
			return protocol.NewError(protocol.Internal, err.Error(), "")
		},
		Watches: watch.New(func(string) watch.State { return watch.State{} }),
		Now:     clock.Now, Log: zaptest.NewLogger(t),
	})
	t.Cleanup(x.Close)
	return x
}

// sleeper is a process that ends when its stdin does.
func sleeper(t *testing.T) (pid int, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, func() {
		in.Close()
		cmd.Wait()
	}
}

func there(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// A file is kept as long as a process runs, also by the next daemon, and not for another process of its number.
func TestAFileIsKeptWhileAProcessRuns(t *testing.T) {
	state, path := t.TempDir(), filepath.Join(t.TempDir(), "f")
	var held atomic.Int64
	first := exportsIn(t, state, &held)
	pid, end := sleeper(t)
	defer end()
	w := Wanted{Path: path, Profile: "p", Form: protocol.FormToken, PID: pid}
	if _, err := first.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if !there(t, path) || held.Load() != 0 {
		t.Fatalf("the file went with the daemon, or %d profiles are held", held.Load())
	}
	second := exportsIn(t, state, &held)
	second.Resume()
	k := second.keeper(path)
	if k == nil || held.Load() != 1 {
		t.Fatalf("the next daemon keeps %v and holds %d", second.List(), held.Load())
	}
	end()
	<-k.done
	second.ending.Wait()
	if there(t, path) || len(second.List()) != 0 || held.Load() != 0 {
		t.Errorf("after the process: %v, %d held", second.List(), held.Load())
	}
	second.Close()

	// The list of a daemon that was killed names a process that has ended since, and one that is not the same.
	for name, e := range map[string]entry{
		"ended":   {PID: pid, Began: "1"},
		"another": {PID: os.Getpid(), Began: "1"},
	} {
		e.Path, e.Profile, e.Form = path, "p", protocol.FormToken
		e.Marks = []string{markOf([]byte("dummy\n"))}
		l := list{state}
		if err := errors.Join(l.write([]entry{e}), os.WriteFile(path, []byte("dummy\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		x := exportsIn(t, state, &held)
		x.Resume()
		if k := x.keeper(path); k != nil {
			<-k.done
		}
		x.ending.Wait()
		if there(t, path) || len(x.List()) != 0 {
			t.Errorf("%s: %v", name, x.List())
		}
	}
}

// A list that cannot be read is as if there were none; the next file that is kept replaces it.
func TestAListThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "another version": `{"version":2,"exports":[]}`,
		"a member of the future": `{"version":1,"x":1}`,
		"a relative path":        `{"version":1,"exports":[{"path":"x","profile":"p","form":"token"}]}`,
		"no profile":             `{"version":1,"exports":[{"path":"/x","profile":"../p","form":"token"}]}`,
		"a draft elsewhere": `{"version":1,"exports":[{"path":"/x","profile":"p","form":"token",` +
			`"draft":".groat-/../y"}]}`,
		"no form": `{"version":1,"exports":[{"path":"/x","profile":"p","form":"x"}]}`,
	} {
		state := t.TempDir()
		var held atomic.Int64
		if err := os.WriteFile(filepath.Join(state, "exports.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x := exportsIn(t, state, &held)
		x.Resume()
		if len(x.List()) != 0 {
			t.Errorf("%s: %v", name, x.List())
		}
		path := filepath.Join(t.TempDir(), "f")
		if _, err := x.Start(t.Context(), Wanted{Path: path, Profile: "p", Form: protocol.FormHeader}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := x.list.read(); err != nil || len(all) != 1 || all[0].Path != path {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// What may be sent as a header only is in no file of tokens.
func TestWhatIsSentAsAHeaderOnly(t *testing.T) {
	for _, token := range []grant.Token{
		{Access: keystore.SecretString("dummy-key"), Static: true},
		{Access: keystore.SecretString("dummy!"), Visible: true},
	} {
		_, err := render(protocol.FormToken, "p", token)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Kind() != protocol.Config ||
			!strings.HasPrefix(e.Hint(), "groat export p --header-file") {
			t.Error(err)
		}
		if content, err := render(protocol.FormHeader, "p", token); err != nil || content.IsZero() {
			t.Error(err)
		}
	}
}
