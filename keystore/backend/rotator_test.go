package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
)

func wantInDoubt(t *testing.T, k *backend.Keystore, when string, want ...string) {
	t.Helper()
	if got, err := k.InDoubt(t.Context()); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%s: unsettled %q, %v; want %q", when, got, err, want)
	}
}

func wantDoubt(t *testing.T, k *backend.Keystore, when string, want error) {
	t.Helper()
	if doubt, err := k.MarkSent(t.Context(), "work"); err != nil || !errors.Is(doubt, want) {
		t.Errorf("%s: doubt %v, %v; want %v", when, doubt, err, want)
	}
}

// Whichever store is chosen, that a token was sent is known until it is answered or replaced, and in a file also to the
// next process.
func TestPresent(t *testing.T) {
	withKeychain(t)
	for _, use := range [][2]string{{backend.Keychain, ""}, {backend.Sealed, backend.KeyFile}, {backend.Memory, ""}} {
		t.Run(use[0], func(t *testing.T) {
			dir := stateDir(t)
			k := open(t, dir, "")
			ctx := t.Context()
			if _, err := k.MarkSent(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("nothing is chosen: %v", err)
			}
			wantInDoubt(t, k, "nothing is chosen")
			if err := errors.Join(k.MarkAnswered(ctx, "work"), k.Use(ctx, use[0], use[1], none)); err != nil {
				t.Fatal(err)
			}
			wantInDoubt(t, k, "nothing is stored")
			if err := errors.Join(k.MarkAnswered(ctx, "work"), k.Set(ctx, "work", session("work", 1))); err != nil {
				t.Fatal(err)
			}
			wantDoubt(t, k, "first", nil)
			wantInDoubt(t, k, "presented", "work")
			if use[0] != backend.Memory {
				k.Close()
				k = open(t, dir, "")
				wantInDoubt(t, k, "in a new process", "work")
			}
			wantDoubt(t, k, "again", keystore.ErrUnanswered)
			if err := k.MarkAnswered(ctx, "work"); err != nil {
				t.Error(err)
			}
			wantInDoubt(t, k, "settled")
			wantDoubt(t, k, "settled", nil)
			if err := k.Set(ctx, "work", session("work", 2)); err != nil {
				t.Fatal(err)
			}
			wantInDoubt(t, k, "replaced")
			if err := k.Delete(ctx, "work"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Of what is in the keychain nothing is used up and nothing is recorded; nor is a sealed file made for a record.
func TestPresentWhatIsNoSession(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantDoubt(t, k, "a client's secret", nil)
	wantDoubt(t, k, "again", nil)
	wantInDoubt(t, k, "a client's secret")
	if _, err := os.Lstat(filepath.Join(dir, "sealed")); err == nil {
		t.Error("a sealed file was made")
	}
}

// A locked sealed file cannot say which tokens were sent, and its error says that.
func TestUnsettledWhileLocked(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	pass := keystore.SecretString("correct horse")
	if err := errors.Join(k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, pass),
		k.Set(t.Context(), "work", session("work", 1))); err != nil {
		t.Fatal(err)
	}
	wantDoubt(t, k, "first", nil)
	k.Close()
	k = open(t, dir, "")
	if _, err := k.InDoubt(t.Context()); !errors.Is(err, keystore.ErrLocked) {
		t.Errorf("locked: %v", err)
	}
	if err := k.Unlock(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	wantInDoubt(t, k, "unlocked", "work")
}

// The choice's other files: a state directory that came back from a backup is known for one, and a rotation that its
// disk does not take outlives the process. Both go with the store.
func TestSpareAndSeen(t *testing.T) {
	withoutKeychain(t)
	o := backend.Options{StateDir: stateDir(t), FallbackDir: stateDir(t), RollbackDir: stateDir(t)}
	file := filepath.Join(o.StateDir, "sealed")
	var k *backend.Keystore
	reopen := func() {
		t.Helper()
		if k != nil {
			k.Close()
		}
		var err error
		if k, err = backend.Open(o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	reopen()
	if err := errors.Join(k.Use(t.Context(), backend.Sealed, backend.KeyFile, none),
		k.Set(t.Context(), "work", session("work", 1))); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), "work", session("work", 2)); err != nil {
		t.Fatal(err)
	}
	k.Close()
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	reopen()
	wantSession(t, k, "restored", 1)
	wantDoubt(t, k, "restored", keystore.ErrRolledBack)

	// Another file in the sealed file's place is one way for a write to fail that root's rights do not mend.
	if err := errors.Join(os.Rename(file, file+".away"), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "set", k.Set(t.Context(), "work", session("work", 3)), keystore.ErrUnavailable, o.FallbackDir)
	wantSession(t, k, "not stored", 1)
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	reopen()
	wantSession(t, k, "in a new process", 3)
	wantDoubt(t, k, "in a new process", nil)

	if err := errors.Join(k.Delete(t.Context(), "work"), k.Use(t.Context(), backend.Memory, "", none)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{o.StateDir, o.FallbackDir, o.RollbackDir} {
		if left, err := filepath.Glob(filepath.Join(dir, "s*")); err != nil || len(left) > 0 && dir != o.StateDir ||
			exists(file) {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
