package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
)

func TestUse(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	for _, bad := range [][2]string{{"", ""}, {"auto", ""}, {"kwallet", ""}, {backend.Memory, backend.KeyFile},
		{backend.Sealed, "usb"}} {
		wantError(t, strings.Join(bad[:], " "), k.Use(ctx, bad[0], bad[1], none), keystore.ErrConflict)
	}
	steps := [][2]string{{backend.Keychain, ""}, {backend.Sealed, backend.KeyFile},
		{backend.Sealed, backend.KeyPassphrase}, {backend.Memory, ""}, {backend.Keychain, ""}}
	for n, step := range steps {
		if err := k.Use(ctx, step[0], step[1], keystore.SecretString("correct horse")); err != nil {
			t.Fatalf("use %v: %v", step, err)
		}
		if err := errors.Join(k.Set(ctx, "work", item("work")), k.Set(ctx, "home", item("home")),
			k.Delete(ctx, "home")); err != nil {
			t.Fatalf("%v: %v", step, err)
		}
		// With a credential in it, no other store is chosen, and nothing is lost by trying.
		for m, other := range steps {
			if m != n && other != step {
				wantError(t, strings.Join(append(step[:], other[:]...), " "),
					k.Use(ctx, other[0], other[1], keystore.SecretString("correct horse")),
					keystore.ErrConflict, moveHint(other[0], other[1]), `"work"`, step[0])
			}
		}
		wantItem(t, k, "work")
		if step[0] == backend.Keychain { // the names of what is in the keychain outlive the process
			k.Close()
			k = open(t, dir, "")
			wantError(t, "after a restart", k.Use(ctx, backend.Memory, "", none), keystore.ErrConflict, `"work"`)
		}
		if err := k.Delete(ctx, "work"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sealed")); err == nil {
		t.Error("an empty sealed file was left behind")
	}
	wantStatus(t, open(t, dir, ""), "keychain ok")
}

// A new keystore that does not work leaves the choice as it was.
func TestUseFails(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Use(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	wantError(t, "no keychain", k.Use(t.Context(), backend.Keychain, "", none), keystore.ErrUnavailable)
	wantError(t, "no passphrase", k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, none), keystore.ErrLocked)
	wantStatus(t, k, "sealed file ok")
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "work")
	k.Close()
	if got := child(t, dir, "get work"); got != "ok" {
		t.Errorf("in a new process: %s", got)
	}
}

// The file may be given up by removing it: then nothing is there to lose.
func TestForgottenPassphrase(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := errors.Join(k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, keystore.SecretString("forgotten")),
		k.Set(t.Context(), "work", item("work")), k.Close()); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir, "")
	if err := os.Remove(filepath.Join(dir, "sealed")); err != nil {
		t.Fatal(err)
	}
	if err := k.Use(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	_, err := k.Get(t.Context(), "work")
	wantError(t, "given up", err, keystore.ErrNotFound)
}

// moveHint returns the command in the refusal to leave a store for this one.
func moveHint(use, key string) string {
	switch {
	case use == backend.Memory:
		return "ends with groatd"
	case key == backend.KeyPassphrase:
		return "groat keystore move sealed --passphrase carries"
	case key == backend.KeyFile:
		return "groat keystore move sealed --key-file carries"
	}
	return "groat keystore move " + use + " carries"
}
