package backend_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
)

// doneOnce is a context that calls do when it is first asked for its deadline: the keychain asks, the open
// sealed file does not. So it happens between the read of the file and the read of the keychain.
type doneOnce struct {
	context.Context
	once *sync.Once
	do   func()
}

func (m doneOnce) Deadline() (time.Time, bool) {
	m.once.Do(m.do)
	return m.Context.Deadline()
}

// A reader that finds nothing in either place, because the item moved during the read, reads again.
func TestGetWhileItMoves(t *testing.T) {
	withKeychain(t)
	for name, both := range map[string]bool{"on the keychain's list": false, "on both lists": true} {
		dir := stateDir(t)
		k := open(t, dir, "")
		ctx := t.Context()
		if err := errors.Join(k.Set(ctx, "other", session("other", 1)), k.Set(ctx, "work", item("work"))); err != nil {
			t.Fatal(err)
		}
		if file := filepath.Join(dir, "keystore.json"); both {
			// The lists of a process that ended in a move; then a directory in their file's place, and no name leaves a
			// list.
			content := `{"v":1,"use":"keychain","profiles":["work"],"sealed":["other","work"]}`
			if err := errors.Join(k.Close(), os.WriteFile(file, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
			k = open(t, dir, "")
			if _, err := k.Get(ctx, "other"); err != nil { // opens the sealed file
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700)); err != nil {
				t.Fatal(err)
			}
		}
		moved := false
		got, err := k.Get(doneOnce{ctx, new(sync.Once), func() {
			moved = true
			if err := k.Set(ctx, "work", session("work", 1)); err != nil {
				t.Error(err)
			}
		}}, "work")
		if err != nil || !moved || !got.Equal(session("work", 1)) {
			t.Errorf("%s: moved %v: %v", name, moved, err)
		}
		wantUsers(t, name, "sealed:key")
		k.Close()
	}
}

// Two moves in opposite directions would each delete what the other has written: one waits.
func TestOneMoveAtATime(t *testing.T) {
	withKeychain(t)
	k := &keystore.PendingStore{Store: open(t, stateDir(t), "")}
	ctx := t.Context()
	if err := errors.Join(k.Set(ctx, "other", session("other", 1)), k.Set(ctx, "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	// The first call of Deadline is before the lock is held, the last ones belong to the deletion of the old copy.
	asked := 0
	err := k.Set(callOnDeadline{ctx, func() {
		asked++
		brief, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := k.Get(ctx, "work"); err != nil {
			t.Errorf("a reader while it moves: %v", err)
		}
		if asked > 1 {
			wantError(t, "a second writer", k.Set(brief, "work", item("work")), keystore.ErrUnavailable,
				"earlier write")
		}
	}}, "work", session("work", 1))
	if err != nil || asked < 3 {
		t.Fatalf("%d moments: %v", asked, err)
	}
	wantSession(t, k, "moved", 1)
}

// callOnDeadline is a context that calls do each time it is asked for its deadline.
type callOnDeadline struct {
	context.Context
	do func()
}

func (e callOnDeadline) Deadline() (time.Time, bool) {
	e.do()
	return e.Context.Deadline()
}

func TestConcurrentMoves(t *testing.T) {
	withKeychain(t)
	k := &keystore.PendingStore{Store: open(t, stateDir(t), "")}
	ctx := t.Context()
	if err := k.Set(ctx, "work", item("work")); err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	over := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if i, err := k.Get(ctx, "work"); err != nil || (!i.Equal(item("work")) && !i.Equal(session("work", 1))) {
				t.Errorf("while it moves: %v", err)
				return
			}
		}
	})
	for range 2 {
		writers.Go(func() {
			for range 5 {
				if err := errors.Join(k.Set(ctx, "work", session("work", 1)),
					k.Set(ctx, "work", item("work"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(over)
	readers.Wait()
	wantItem(t, k, "work")
	wantUsers(t, "moved for the last time", "sealed:key", "work")
}
