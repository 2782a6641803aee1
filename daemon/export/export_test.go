package export

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
		Token: func(context.Context, Variant, time.Duration) (grant.Token, error) {
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
	w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormToken, PID: pid}
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
	for name, gone := range map[string]int{"ended": pid, "another": os.Getpid(), "none": -1} {
		e := entry{Path: path, Profile: "p", Form: protocol.FormToken,
			Processes: []entryProcess{{PID: gone, Began: "1"}}}
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

// A file that is kept for several processes is kept until the last of them ends, also by the next daemon.
func TestAFileIsKeptForSeveralProcesses(t *testing.T) {
	state, path := t.TempDir(), filepath.Join(t.TempDir(), "f")
	var held atomic.Int64
	first := exportsIn(t, state, &held)
	var ends []func()
	var last protocol.Export
	for range 3 {
		pid, end := sleeper(t)
		defer end()
		ends = append(ends, end)
		for range 2 { // the second time changes nothing
			w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormHeader, PID: pid}
			var err error
			if last, err = first.Start(t.Context(), w); err != nil || last.WhilePID != pid {
				t.Fatalf("%+v, %v", last, err)
			}
		}
	}
	if last.WhileOthers != 2 || held.Load() != 1 {
		t.Errorf("%+v, %d held", last, held.Load())
	}
	ends[2]()
	first.Close()
	second := exportsIn(t, state, &held)
	second.Resume()
	all := second.List()
	if len(all) != 1 || all[0].WhileOthers != 1 {
		t.Fatalf("the next daemon keeps %+v", all)
	}
	k := second.keeper(path)
	ends[0]()
	<-k.processes.all[1].ended()
	if again := second.keeper(path); again != k || !there(t, path) {
		t.Error("the file is gone before the last process")
	}
	ends[1]()
	<-k.done
	second.ending.Wait()
	if there(t, path) || len(second.List()) != 0 || held.Load() != 0 {
		t.Errorf("after the last: %v, %d held", second.List(), held.Load())
	}
}

// Whatever else is wanted of a file that is kept for processes replaces that: it does not go with them.
func TestAFileIsKeptForProcessesNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var held atomic.Int64
	x := exportsIn(t, "", &held)
	pid, end := sleeper(t)
	w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormHeader, PID: pid}
	if _, err := x.Start(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	w.PID = 0
	e, err := x.Start(t.Context(), w)
	end()
	if k := x.keeper(path); err != nil || e.WhilePID != 0 || k.processes != nil {
		t.Errorf("%+v, %v", e, err)
	}
	if !there(t, path) || len(x.List()) != 1 || held.Load() != 1 {
		t.Errorf("%v, %d held", x.List(), held.Load())
	}
}

// So many processes and no more are followed, for all files together.
func TestForHowManyProcessesFilesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var held atomic.Int64
	x := exportsIn(t, "", &held)
	self, err := follow(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer self.close()
	k := &keeper{Wanted: Wanted{Path: "/another"},
		processes: &processes{all: slices.Repeat([]*process{self}, protocol.MaxExportProcesses)}}
	x.all[k.Path] = k
	w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormHeader, PID: os.Getpid()}
	_, err = x.Start(t.Context(), w)
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok || !strings.Contains(e.Message, "256 processes") || there(t, path) {
		t.Errorf("one too many: %v", err)
	}
	k.processes.all = k.processes.all[1:]
	if _, err := x.Start(t.Context(), w); err != nil || !there(t, path) {
		t.Errorf("as many as may be: %v", err)
	}
	delete(x.all, k.Path)
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
		w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormHeader}
		if _, err := x.Start(t.Context(), w); err != nil {
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
		_, err := bare("p", token)
		if e, ok := errors.AsType[*protocol.Error](err); !ok || e.Kind() != protocol.Config ||
			!strings.HasPrefix(e.Hint(), "groat export p --header-file") {
			t.Error(err)
		}
		if content, err := header("p", token); err != nil || content.IsZero() {
			t.Error(err)
		}
	}
}

// The longest listing is one line of the protocol, and names every file.
func TestTheLongestListingIsOneLine(t *testing.T) {
	all := make([]protocol.Export, protocol.MaxExports)
	for i := range all {
		all[i] = protocol.Export{Path: "/" + strings.Repeat(`"`, protocol.MaxExportPath-2), Profile: strings.Repeat("p", 64),
			Form: protocol.FormEarthScope02, Scope: strings.Repeat("s", 2048), Audience: strings.Repeat("a", 1024),
			OnChange: strings.Repeat("h", 64), State: protocol.ExportMissing, Message: strings.Repeat("<", maxMessage),
			Hint: strings.Repeat("'", 2048), ExpiresAt: 1 << 40, EndsAt: 1 << 40}
	}
	if err := checkPath(all[0].Path); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fitting(all))
	if err != nil || len(text) > maxListing || strings.Count(string(text), `"path"`) != protocol.MaxExports {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	few := fitting([]protocol.Export{{Path: "/f", Message: "m", Hint: "h"}})
	if few[0].Message != "m" || few[0].Hint != "h" {
		t.Errorf("%+v", few)
	}
	if err := checkPath("/" + strings.Repeat("<", protocol.MaxExportPath-2)); err == nil {
		t.Error("a path that is too long as JSON is kept")
	}
}
