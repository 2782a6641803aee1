package export

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// bench is Exports in a bubble, with what a test changes: the token, or why there is none.
type bench struct {
	*Exports
	token  string
	denied error
	kind   protocol.Kind // of denied
	set    time.Duration // by how much a person has set the clock
	said   *observer.ObservedLogs
}

func benchIn(t *testing.T, state string) *bench {
	t.Helper()
	b := &bench{Exports: exportsIn(t, state, new(atomic.Int64)), token: "dummy.1", kind: protocol.LoginRequired}
	began := time.Now()
	b.Now = func() clock.Instant { return clock.Instant{Wall: time.Now().Add(b.set), Boot: time.Since(began)} }
	b.Token = func(context.Context, Variant, time.Duration) (grant.Token, error) {
		return grant.Token{Access: keystore.SecretString(b.token), Type: "Bearer", Sent: b.Now(),
			Lifetime: time.Hour}, b.denied
	}
	b.Wire = func(err error, _ string) *protocol.Error {
		return protocol.NewError(b.kind, err.Error(), "")
	}
	core, said := observer.New(zap.WarnLevel)
	b.Log, b.said = zap.New(core), said
	return b
}

// keep has a file kept for an hour.
func (b *bench) keep(t *testing.T, path string) *keeper {
	t.Helper()
	if _, err := b.Start(t.Context(), Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormToken,
		EndsAt: time.Now().Add(time.Hour).Unix()}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return b.keeper(path)
}

// renew makes another token current.
func (b *bench) renew(path string) {
	b.token += "1"
	b.keeper(path).wake()
	synctest.Wait()
}

// in reads a directory :: name → content, or the type of what is no file.
func in(t *testing.T, directory string) map[string]string {
	t.Helper()
	all, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range all {
		found[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(directory, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			found[e.Name()] = strings.TrimSpace(string(text))
		}
	}
	return found
}

// Whatever has come into the file's place is neither replaced nor removed, unless groat has written it or it is empty:
// by a renewal, by the end of the sign-in or of the time, when the file is stopped, and by the next daemon.
func TestOnlyWhatGroatHasWrittenIsReplacedOrRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(path string) error
		ours bool
	}{
		"nothing":       {os.Remove, true},
		"an empty file": {func(path string) error { return os.Truncate(path, 0) }, true},
		"another mode":  {func(path string) error { return os.Chmod(path, 0o644) }, true},
		"another file":  {func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) }, false},
		"one line more": {func(path string) error { return os.WriteFile(path, []byte("dummy.1\n#\n"), 0o600) }, false},
		"a large file":  {func(path string) error { return os.WriteFile(path, make([]byte, 2<<20), 0o600) }, false},
		"a directory":   {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, false},
		"a FIFO": {func(path string) error {
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}, false},
		"a link to ours": {func(path string) error {
			return errors.Join(os.Rename(path, path+".a"), os.Symlink("f.a", path))
		}, false},
	} {
		for event, happen := range map[string]func(t *testing.T, b *bench, path string){
			"a renewal": func(_ *testing.T, b *bench, path string) { b.renew(path) },
			"a logout":  func(_ *testing.T, b *bench, path string) { b.denied = errors.New("denied"); b.renew(path) },
			"a stop": func(t *testing.T, b *bench, path string) {
				if r, err := b.Stop(path); err != nil || (r[0].Message == "") != c.ours {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
			},
			"the end":      func(_ *testing.T, b *bench, _ string) { time.Sleep(2 * time.Hour) },
			"a new daemon": func(t *testing.T, b *bench, path string) { b.Close(); b.next(t).renew(path) },
			"a new daemon after a logout": func(t *testing.T, b *bench, path string) {
				b.Close()
				next := b.next(t)
				next.denied = errors.New("denied")
				next.renew(path)
			},
			"a new daemon, and a stop": func(t *testing.T, b *bench, path string) { b.Close(); b.next(t).Stop(path) },
		} {
			synctest.Test(t, func(t *testing.T) {
				b, dir := benchIn(t, t.TempDir()), t.TempDir()
				path := filepath.Join(dir, "f")
				b.keep(t, path)
				if err := c.put(path); err != nil {
					t.Fatal(err)
				}
				before := in(t, dir)
				happen(t, b, path)
				synctest.Wait()
				after := in(t, dir)
				if !c.ours && (len(after) != len(before) || after["f"] != before["f"]) {
					t.Errorf("%s, %s: there was %.99q, and is %.99q", name, event, before, after)
				}
				kept := event == "a renewal" || event == "a new daemon"
				if c.ours && (kept && after["f"] != "dummy.11" || !kept && len(after) != 0) {
					t.Errorf("%s, %s: there is %q", name, event, after)
				}
			})
		}
	}
}

// next is the daemon after this one.
func (b *bench) next(t *testing.T) *bench {
	t.Helper()
	next := benchIn(t, b.StateDir)
	next.token = b.token
	next.Resume()
	synctest.Wait()
	return next
}

// What a daemon leaves that is killed while it writes is what the next one goes on with, or removes.
func TestKilledWhileAFileIsWritten(t *testing.T) {
	for name, left := range map[string]map[string]string{
		"before the new version":   {"f": "dummy.1"},
		"in the new version":       {"f": "dummy.1", ".groat-x": "dum"},
		"before the name":          {"f": "dummy.1", ".groat-x": "dummy.11"},
		"after the name":           {"f": "dummy.11"},
		"in the first new version": {".groat-x": "dum"},
	} {
		for _, denied := range []error{nil, errors.New("denied")} {
			synctest.Test(t, func(t *testing.T) {
				state, dir := t.TempDir(), t.TempDir()
				for name, text := range left {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				l := list{state}
				if err := l.write([]entry{{Path: filepath.Join(dir, "f"), Profile: "p", Form: protocol.FormToken,
					Draft: ".groat-x", Marks: []string{markOf([]byte("dummy.1\n")), markOf([]byte("dummy.11\n"))},
				}}); err != nil {
					t.Fatal(err)
				}
				b := benchIn(t, state)
				b.token, b.denied = "dummy.111", denied
				b.Resume()
				synctest.Wait()
				if now := in(t, dir); len(now) > 1 || (len(now) == 1) != (denied == nil) ||
					len(now) == 1 && now["f"] != "dummy.111" {
					t.Errorf("%s, %v: %q, %+v", name, denied, now, b.List())
				}
			})
		}
	}
}

// The next daemon can know of a new version before it is there.
func TestAFileIsRecordedBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, path := benchIn(t, t.TempDir()), filepath.Join(t.TempDir(), "f")
		k := b.keep(t, path)
		k.disk <- struct{}{} // the file system is busy
		b.renew(path)
		all, err := b.list.read()
		if err != nil || len(all) != 1 || all[0].Draft == "" || !slices.Equal(all[0].Marks,
			[]string{markOf([]byte("dummy.1\n")), markOf([]byte("dummy.11\n"))}) {
			t.Errorf("%+v, %v", all, err)
		}
		<-k.disk
	})
}

// A file whose time has come and that cannot be removed is tried again, not at once; what it is kept for is over.
func TestAnEndThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := benchIn(t, t.TempDir()), filepath.Join(t.TempDir(), "d")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "f")
		w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormToken,
			EndsAt: time.Now().Add(time.Minute).Unix()}
		if _, err := b.Start(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Rename(dir, dir+".a"), os.Symlink(dir, dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if kept := b.List(); len(kept) != 1 || kept[0].Message == "" || b.said.Len() != 1 {
			t.Errorf("%+v, %d lines of log", kept, b.said.Len())
		}
		if _, err := b.Stop(""); err == nil {
			t.Error("a file that cannot be removed is stopped")
		}
		synctest.Wait() // a directory that is away is as if it were gone
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".a", dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if there(t, path) || len(b.List()) != 0 {
			t.Errorf("it is still there: %+v", b.List())
		}
	})
}

// All files that can be stopped are, whichever cannot.
func TestAllIsStoppedThatCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := benchIn(t, t.TempDir()), t.TempDir()
		for _, name := range []string{"a", "b", "c"} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			b.keep(t, filepath.Join(dir, name, "f"))
		}
		a := filepath.Join(dir, "a")
		if err := errors.Join(os.Rename(a, a+".a"), os.Symlink(a, a)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stop(""); err == nil || len(b.List()) != 1 || there(t, filepath.Join(dir, "c", "f")) {
			t.Errorf("%v, %+v", err, b.List())
		}
	})
}

// One file is not kept twice under two names of its directory.
func TestOneFileUnderTwoPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := benchIn(t, t.TempDir()), t.TempDir()
		err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o700), os.Symlink("d", filepath.Join(dir, "l")))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "d", "f")
		b.keep(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w := Wanted{Path: filepath.Join(dir, "l", "f"), Variant: Variant{Profile: "p"}, Form: protocol.FormToken}
		if _, err := b.Start(t.Context(), w); err == nil || !strings.Contains(err.Error(), "is kept already, as "+path) {
			t.Error(err)
		}
		w.Path = filepath.Join(dir, "l", "g")
		if _, err := b.Start(t.Context(), w); err != nil {
			t.Error(err)
		}
	})
}

// A profile that is logged out while its file is being written has no file, although nothing tells of it any more.
func TestALogoutWhileAFileIsBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := benchIn(t, t.TempDir()), t.TempDir()
		first := b.Token
		b.Token = func(ctx context.Context, of Variant, minTTL time.Duration) (grant.Token, error) {
			token, err := first(ctx, of, minTTL)
			b.denied = errors.New("denied")
			return token, err
		}
		b.keep(t, filepath.Join(dir, "f"))
		if now := in(t, dir); len(now) != 0 {
			t.Errorf("%q", now)
		}
	})
}

// A token's end is judged by boot time: setting the clock neither keeps a file nor removes it.
func TestTheClockIsSetWhileTheServerIsDown(t *testing.T) {
	for _, set := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b, path := benchIn(t, t.TempDir()), filepath.Join(t.TempDir(), "f")
			w := Wanted{Path: path, Variant: Variant{Profile: "p"}, Form: protocol.FormToken}
			if _, err := b.Start(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			b.denied, b.kind, b.set = errors.New("down"), protocol.Temporary, set
			b.renew(path)
			time.Sleep(58 * time.Minute)
			if !there(t, path) {
				t.Errorf("%s: a file with a good token is gone", set)
			}
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if there(t, path) {
				t.Errorf("%s: a token that has ended is in the file", set)
			}
		})
	}
}

// A file system that does not answer holds up no listing, no other file and no end, and a stop for a bounded time.
func TestAFileSystemThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dir := benchIn(t, t.TempDir()), t.TempDir()
		k := b.keep(t, filepath.Join(dir, "f"))
		k.disk <- struct{}{}
		b.renew(k.Path)
		began := time.Now()
		if len(b.List()) != 1 {
			t.Error(b.List())
		}
		b.keep(t, filepath.Join(dir, "g"))
		if took := time.Since(began); took != 0 {
			t.Errorf("others wait %s", took)
		}
		if _, err := b.Stop(k.Path); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*diskTime {
			t.Errorf("a stop takes %s", took)
		}
		late := new(atomic.Bool)
		late.Store(true)
		path := filepath.Join(t.TempDir(), "f")
		err := replace(path, trace{draft: ".groat-x"}, []byte("dummy\n"), late)
		if now := in(t, filepath.Dir(path)); !errors.Is(err, errDisk) || len(now) != 0 {
			t.Errorf("a write that comes too late: %v, %q", err, now)
		}
		began = time.Now()
		b.Close()
		if took := time.Since(began); took > diskTime {
			t.Errorf("the end takes %s", took)
		}
		<-k.disk
	})
}
