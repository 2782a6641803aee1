package keychain_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

func TestStoreAndReadInNewProcess(t *testing.T) {
	svc := startService(t)
	var s keychain.Store
	ctx := t.Context()
	if _, err := s.Get(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("empty keychain: %v", err)
	}
	if err := errors.Join(s.Ready(ctx), s.Probe(ctx), s.Delete(ctx, "work"), s.Set(ctx, "work", item("old")),
		s.Set(ctx, "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	if got := child(t, env(svc), "get"); got != "ok" {
		t.Errorf("a new process reads %q", got)
	}
	// An independent client finds exactly one item, and in it what the format promises.
	out, err := exec.Command("secret-tool", "search", "--all", "service", "groat").CombinedOutput()
	if err != nil {
		t.Fatalf("secret-tool: %v: %s", err, out)
	}
	if n := bytes.Count(out, []byte("secret = ")); n != 1 ||
		!bytes.Contains(out, []byte(`"token_endpoint":"https://auth.example/token"`)) {
		t.Errorf("the keychain holds %d items of groat, want the profile's alone", n)
	}
	if got := child(t, env(svc), "delete"); got != "ok" {
		t.Errorf("a new process deletes: %q", got)
	}
	if _, err := s.Get(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("deleted by another process: %v", err)
	}
}

func TestLocked(t *testing.T) {
	// A prompter that a bus would start: it must not be.
	mark := t.TempDir() + "/prompted"
	prompter := t.TempDir() + "/prompter"
	parts.WriteProgram(t, prompter, "#!/bin/sh\n: >"+mark+"\n")
	svc := startService(t, "PROMPTER="+prompter)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	svc.Lock(t)
	for name, err := range map[string]error{
		"get": second(s.Get(t.Context(), "work")), "set": s.Set(t.Context(), "work", item("x")),
		"delete": s.Delete(t.Context(), "work"),
		"probe":  s.Probe(t.Context()), "ready": s.Ready(t.Context()), "key": second(s.Key(t.Context(), true)),
	} {
		if !errors.Is(err, keystore.ErrLocked) {
			t.Errorf("%s on a locked collection: %v, want ErrLocked", name, err)
		}
	}
	for _, op := range []string{"get", "set"} {
		if got := child(t, env(svc), op); got != "locked" {
			t.Errorf("%s in a new process on a locked collection: %s", op, got)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a call opened a prompt")
	}
	// Unlock may: this prompter never asks, so the collection stays locked, and the call says so in its time.
	brief, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := s.Unlock(brief); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("no password was typed: %v, want ErrLocked", err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Error("Unlock opened no prompt")
	}
	// While one waits for the person, the others are not held up; then the person types the password.
	unlocked := make(chan error, 1)
	go func() { unlocked <- s.Unlock(t.Context()) }()
	if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("while a prompt is open: %v, want ErrLocked", err)
	}
	svc.Unlock(t)
	if err := <-unlocked; err != nil {
		t.Errorf("unlocked by the person: %v", err)
	}
	if i, err := s.Get(t.Context(), "work"); err != nil || !i.Equal(item("work")) {
		t.Errorf("after the unlock: %v", err)
	}
}

// A keychain without a password is locked after each of its starts, and needs no person: groat unlocks it.
func TestACollectionWithoutAPasswordIsUnlocked(t *testing.T) {
	mark := t.TempDir() + "/prompted"
	prompter := t.TempDir() + "/prompter"
	parts.WriteProgram(t, prompter, "#!/bin/sh\n: >"+mark+"\n")
	svc := startService(t, "BLANK=1", "PROMPTER="+prompter)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		svc.Kill(t)
		svc.Restart(t)
		if i, err := s.Get(t.Context(), "work"); err != nil || !i.Equal(item("work")) {
			t.Fatalf("after a new start of the keychain: %v", err)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a person was asked")
	}
}

func TestDaemonKilledAndBack(t *testing.T) {
	svc := startService(t)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	svc.Kill(t)
	for name, err := range map[string]error{
		"get": second(s.Get(t.Context(), "work")), "set": s.Set(t.Context(), "work", item("x")),
		"probe": s.Probe(t.Context()),
	} {
		if !errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("%s without a keyring: %v, want ErrUnavailable", name, err)
		}
		if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: the cause is more than a line: %q", name, err)
		}
	}
	svc.Restart(t)
	if i, err := s.Get(t.Context(), "work"); err != nil || !i.Equal(item("work")) {
		t.Errorf("after the keyring came back: %v", err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("probe after the keyring came back: %v", err)
	}
}

func TestDaemonStopped(t *testing.T) {
	svc := startService(t)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	svc.Pause(t)
	// Ten profiles ask at the same time: all are answered, and not one after the other, which would take ten limits.
	start := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("from a stopped keyring: %v, want ErrUnavailable", err)
			}
		})
	}
	wg.Wait()
	if d := time.Since(start); d > 5*keychain.Limit {
		t.Errorf("ten calls to a stopped keyring took %v", d)
	}
	// From now on no call waits: if each did, a hundred would take a hundred limits.
	eventually(t, func() error {
		_, err := s.Get(t.Context(), "work")
		if err == nil || !strings.Contains(err.Error(), "still unanswered") {
			return errors.New("not yet known to hang")
		}
		return nil
	})
	start = time.Now()
	goroutines := runtime.NumGoroutine()
	for range 100 {
		if err := s.Set(t.Context(), "work", item("never")); !errors.Is(err, keystore.ErrUnavailable) {
			t.Fatalf("while a call hangs: %v", err)
		}
	}
	if d := time.Since(start); d > 20*keychain.Limit {
		t.Errorf("a hundred calls behind one that hangs took %v: they waited", d)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 10 {
		t.Errorf("a hundred calls behind one that hangs left %d goroutines", n)
	}
	svc.Resume(t)
	eventually(t, func() error { return s.Ready(t.Context()) })
	if i, err := s.Get(t.Context(), "work"); err != nil || !i.Equal(item("work")) {
		t.Errorf("healed, but the item is not what was stored: %v", err)
	}
}

// A write whose caller has left is not carried out after the keychain wakes up.
func TestAbandonedSetChangesNothing(t *testing.T) {
	svc := startService(t)
	var s keychain.Store
	if err := s.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	svc.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Set(ctx, "work", item("late")); !errors.Is(err, keystore.ErrUnavailable) {
		t.Fatalf("a call with a deadline of its own: %v", err)
	}
	canceled, cancel2 := context.WithCancel(t.Context())
	cancel2()
	if err := s.Set(canceled, "work", item("late")); !errors.Is(err, context.Canceled) {
		t.Fatalf("a call that nobody waits for: %v", err)
	}
	svc.Resume(t)
	eventually(t, func() error {
		i, err := s.Get(t.Context(), "work")
		if err == nil && !i.Equal(item("work")) {
			t.Fatal("the abandoned write was carried out")
		}
		return err
	})
}

func TestTooBig(t *testing.T) {
	startService(t)
	var s keychain.Store
	i := item("work")
	b, err := keystore.EncodeItem(i)
	if err != nil {
		t.Fatal(err)
	}
	room := keychain.MaxItem - b.Len()
	i.ClientID += strings.Repeat("x", room)
	if err := s.Set(t.Context(), "work", i); err != nil {
		t.Errorf("an item of MaxItem bytes: %v", err)
	}
	large := i
	large.ClientID += "x"
	if err := s.Set(t.Context(), "work", large); !errors.Is(err, keystore.ErrTooBig) {
		t.Errorf("an item of one byte more: %v, want ErrTooBig", err)
	}
	if got, err := s.Get(t.Context(), "work"); err != nil || !got.Equal(i) {
		t.Errorf("a refused item changed the stored one: %v", err)
	}
}

func TestForeignContents(t *testing.T) {
	startService(t)
	var s keychain.Store
	store := func(user, value string) {
		cmd := exec.Command("secret-tool", "store", "--label=x", "service", "groat", "username", user)
		cmd.Stdin = strings.NewReader(value)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("secret-tool: %v: %s", err, out)
		}
	}
	store("work", "hunter2 is no JSON")
	if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrCorrupt) ||
		strings.Contains(err.Error(), "hunter2") {
		t.Errorf("somebody else's text under our name: %v, want ErrCorrupt without the text", err)
	}
	store("sealed:key", "AAAA")
	if _, err := s.Key(t.Context(), true); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("a short data key: %v, want ErrCorrupt", err)
	}
}

func TestKey(t *testing.T) {
	svc := startService(t)
	var s keychain.Store
	if _, err := s.Key(t.Context(), false); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("no key yet, and none to be made: %v", err)
	}
	made, err := s.Key(t.Context(), true)
	if err != nil || made.Len() != 32 {
		t.Fatalf("made a key of %d bytes: %v", made.Len(), err)
	}
	for _, create := range []bool{false, true} {
		if again, err := s.Key(t.Context(), create); err != nil || !again.Equal(made) {
			t.Errorf("create=%v: another key: %v", create, err)
		}
	}
	svc.Kill(t)
	if _, err := s.Key(t.Context(), true); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("no keyring: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// eventually polls another process's state until check passes.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(waitLimit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", waitLimit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
