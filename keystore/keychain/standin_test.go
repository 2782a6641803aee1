//go:build linux

package keychain_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// startStandIn starts a Secret Service that can misbehave, and points this process's library at it.
func startStandIn(t *testing.T) *parts.StandIn {
	t.Helper()
	s := parts.StartStandIn(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
	return s
}

// shortContext is a context that ends long before the store's own limit.
func shortContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func set(t *testing.T, profile string, i keystore.Item) {
	t.Helper()
	if err := new(keychain.Store).Set(t.Context(), profile, i); err != nil {
		t.Fatal(err)
	}
}

// wantStored makes sure of what is kept, and that it can be read.
func wantStored(t *testing.T, s *parts.StandIn, profile string, want keystore.Item) {
	t.Helper()
	i, err := new(keychain.Store).Get(t.Context(), profile)
	if err != nil || !i.Equal(want) {
		t.Errorf("what is stored cannot be read, or is something else: %v", err)
	}
	if n := len(s.Stored(profile)); n != 1 {
		t.Errorf("%d items are stored, want 1", n)
	}
}

func wantDeclined(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, keystore.ErrDeclined) || !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("got %v, want ErrDeclined", err)
	}
}

// A keychain may ask a person before it changes something. A change that the person declines is not made, and the
// error says so.
func TestChangesThatAreAskedFor(t *testing.T) {
	svc := startStandIn(t)
	var s keychain.Store
	other := item("work")
	other.ClientID = "another"

	t.Run("D5 the dialog of a new item is dismissed", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Create: parts.Dismissed})
		wantDeclined(t, s.Set(t.Context(), "work", item("work")))
		if n := len(svc.Stored("work")); n != 0 {
			t.Errorf("%d items are there all the same", n)
		}
	})
	t.Run("the dialog is agreed to", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Create: parts.Agreed})
		set(t, "work", item("work"))
		wantStored(t, svc, "work", item("work"))
	})
	t.Run("what is there already is not written again", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Overwrite: parts.Dismissed})
		written := svc.Written()
		set(t, "work", item("work"))
		if svc.Written() != written {
			t.Error("it was written")
		}
	})
	// From here on by another connection than the one that has written it.
	svc.Leave(t)
	svc.Return(t)
	reconnect(t)
	t.Run("D5 the dialog of an overwrite is dismissed", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Overwrite: parts.Dismissed})
		wantDeclined(t, s.Set(t.Context(), "work", other))
		wantStored(t, svc, "work", item("work"))
	})
	t.Run("D5 the dialog of a deletion is dismissed", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Delete: parts.Dismissed})
		wantDeclined(t, s.Delete(t.Context(), "work"))
		wantStored(t, svc, "work", item("work"))
	})
	t.Run("the dialog of an overwrite stands", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Overwrite: parts.Unanswered})
		err := s.Set(shortContext(t), "work", other)
		wantDeclined(t, err)
		if err != nil && !strings.Contains(err.Error(), "if the keychain shows a dialog, answer it") {
			t.Errorf("it says %q", err)
		}
		if svc.Standing() != 1 {
			t.Errorf("%d dialogs stand, want 1", svc.Standing())
		}
		svc.Behave(parts.Behaviour{})
		svc.Reply(t, true)
		eventually(t, func() error { return s.Ready(t.Context()) })
		wantStored(t, svc, "work", other) // the person agreed, late
		written := svc.Written()
		set(t, "work", other) // the next try finds it there
		if svc.Written() != written {
			t.Error("it was written again")
		}
	})
	t.Run("D20 the write is acknowledged and not kept", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Forget: true})
		wantDeclined(t, s.Set(t.Context(), "new", item("new")))
		wantDeclined(t, s.Delete(t.Context(), "work"))
		if err := s.Probe(t.Context()); !errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("the probe says %v", err)
		}
	})
	t.Run("D20 the write is acknowledged and something else kept", func(t *testing.T) {
		svc.Behave(parts.Behaviour{Alter: true})
		wantDeclined(t, s.Set(t.Context(), "new", item("new")))
		if _, err := s.Get(t.Context(), "new"); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("what was kept is read as %v", err)
		}
	})
	t.Run("no room: quota", func(t *testing.T) {
		// The error of gnome-keyring for every fault of its disk.
		svc.Behave(parts.Behaviour{Refuse: dbus.NewError("org.freedesktop.DBus.Error.Failed",
			[]any{"Couldn't create item: An error occurred on the device"})})
		for name, err := range map[string]error{
			"set": s.Set(t.Context(), "work", item("work")), "probe": s.Probe(t.Context()),
			"delete": s.Delete(t.Context(), "work"),
		} {
			if !errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrDeclined) ||
				!strings.Contains(err.Error(), "An error occurred on the device") {
				t.Errorf("%s: %v, want ErrUnavailable with the cause", name, err)
			}
		}
		wantStored(t, svc, "work", other)
	})
}

// reconnect ends the connection to the bus, as a restart of groatd does.
func reconnect(t *testing.T) {
	t.Helper()
	if !keychain.HangUp(t.Context()) {
		t.Fatal("there is no connection to end")
	}
}

// Nothing in the background may open a dialog, also not the one by which a keychain asks whether groat may read its
// items.
func TestItemsLockedByThemselves(t *testing.T) {
	svc := startStandIn(t)
	var s keychain.Store
	set(t, "work", item("work"))
	svc.Behave(parts.Behaviour{ItemsLocked: true, Unlock: parts.Unanswered})
	for name, err := range map[string]error{
		"get": second(s.Get(t.Context(), "work")), "set": s.Set(t.Context(), "work", item("x")),
		"delete": s.Delete(t.Context(), "work"),
		"ready":  s.Ready(t.Context()),
	} {
		if !errors.Is(err, keystore.ErrLocked) {
			t.Errorf("%s: %v, want ErrLocked", name, err)
		}
	}
	if n := svc.Asked(); n != 0 {
		t.Errorf("%d dialogs were opened", n)
	}
	unlocked := make(chan error, 1)
	go func() { unlocked <- s.Unlock(t.Context()) }()
	eventually(t, func() error {
		if svc.Standing() == 0 {
			return errors.New("no dialog stands")
		}
		return nil
	})
	svc.Reply(t, true)
	if err := <-unlocked; err != nil {
		t.Errorf("the person agreed: %v", err)
	}
	wantStored(t, svc, "work", item("work"))
}

// A person who closes the dialog has answered.
func TestD5TheUnlockDialogIsDismissed(t *testing.T) {
	svc := startStandIn(t)
	var s keychain.Store
	set(t, "work", item("work"))
	before := runtime.NumGoroutine()
	svc.Behave(parts.Behaviour{Locked: true, Unlock: parts.Dismissed})
	begin := time.Now()
	if err := s.Unlock(t.Context()); !errors.Is(err, keystore.ErrLocked) ||
		!strings.Contains(err.Error(), "its dialog was closed") {
		t.Errorf("the dialog was dismissed: %v, want ErrLocked that says so", err)
	}
	if d := time.Since(begin); d >= keychain.UnlockLimit {
		t.Errorf("it took %v to believe it", d)
	}
	svc.Behave(parts.Behaviour{Locked: true, Unlock: parts.Agreed})
	if err := s.Unlock(t.Context()); err != nil {
		t.Errorf("the next one was agreed to: %v", err)
	}
	wantStored(t, svc, "work", item("work"))
	eventually(t, func() error {
		if n := runtime.NumGoroutine() - before; n > 2 {
			return fmt.Errorf("%d goroutines more than before", n)
		}
		return nil
	})
}

// Other programs can make items of the same name.
func TestD6DuplicateItems(t *testing.T) {
	svc := startStandIn(t)
	var s keychain.Store
	set(t, "work", item("work"))
	svc.Plant("work", svc.Stored("work")[0])
	if i, err := s.Get(t.Context(), "work"); err != nil || !i.Equal(item("work")) {
		t.Errorf("two items that say the same: %v", err)
	}
	svc.Plant("work", "hunter2")
	if _, err := s.Get(t.Context(), "work"); !errors.Is(err, keystore.ErrCorrupt) ||
		!strings.Contains(err.Error(), "3 items") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("two items that differ: %v, want ErrCorrupt with their number", err)
	}
	next := item("work")
	next.ClientID = "next"
	set(t, "work", next)
	wantStored(t, svc, "work", next)

	svc.Plant("work", "hunter2")
	if err := s.Delete(t.Context(), "work"); err != nil || len(svc.Stored("work")) != 0 {
		t.Errorf("after a deletion %d items are left: %v", len(svc.Stored("work")), err)
	}
	if _, err := s.Key(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	svc.Plant("sealed:key", "AAAA")
	if _, err := s.Key(t.Context(), true); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("two data keys: %v, want ErrCorrupt", err)
	}
	if n := len(svc.Stored("sealed:key")); n != 2 {
		t.Errorf("there are %d data keys now: one was made or lost", n)
	}
}

// The data key is short enough for every keychain there is.
func TestD7D8KeyFitsEverywhere(t *testing.T) {
	svc := startStandIn(t)
	if _, err := new(keychain.Store).Key(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if n := len(svc.Stored("sealed:key")[0]); n > 512 {
		t.Errorf("the data key takes %d bytes, want at most 512", n)
	}
}

// The library leaves a listener behind for each dialog; that must not add up.
func TestPromptsLeaveNothingBehind(t *testing.T) {
	svc := startStandIn(t)
	svc.Behave(parts.Behaviour{Create: parts.Agreed, Overwrite: parts.Agreed, Delete: parts.Agreed})
	before := runtime.NumGoroutine()
	for range 40 {
		i := item("work")
		i.ClientID = rand.Text()
		set(t, "work", i)
		if n := runtime.NumGoroutine() - before; n > 200 {
			t.Fatalf("%d goroutines more than before", n)
		}
	}
}

// A dialog whose keychain has crashed is never answered. The call that waits for it is ended after HungLimit.
func TestDialogThatIsNeverAnswered(t *testing.T) {
	svc := startStandIn(t)
	t.Cleanup(keychain.SetHungLimit(time.Second))
	var s keychain.Store
	svc.Behave(parts.Behaviour{Create: parts.Unanswered})
	before := runtime.NumGoroutine()
	wantDeclined(t, s.Set(shortContext(t), "work", item("work")))
	svc.Behave(parts.Behaviour{})
	svc.Leave(t)
	svc.Return(t)
	eventually(t, func() error { return s.Ready(t.Context()) })
	set(t, "work", item("work"))
	wantStored(t, svc, "work", item("work"))
	if n := runtime.NumGoroutine() - before; n > 20 {
		t.Errorf("%d goroutines more than before", n)
	}
}
