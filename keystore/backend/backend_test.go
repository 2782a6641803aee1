package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/keystore/keychain"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

func TestAutoTakesTheKeychain(t *testing.T) {
	keyring := withKeychain(t)
	withCredential(t) // which auto does not want where the keychain works
	dir := stateDir(t)
	k := open(t, dir, "")
	ctx := t.Context()
	wantStatus(t, k, "auto undecided")
	_, err := k.Get(ctx, "work")
	wantError(t, "nothing is stored", err, keystore.ErrNotFound)
	if err := k.Delete(ctx, "work"); err != nil {
		t.Errorf("nothing to delete: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keystore.json")); err == nil {
		t.Error("a choice was made by reading")
	}
	if err := errors.Join(k.Probe(ctx), k.Set(ctx, "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, k, "keychain ok")
	if got := child(t, dir, "get work"); got != "ok" {
		t.Errorf("in a new process: %s", got)
	}
	// It never changes by itself, though a credential is there and would do.
	keyring.Lock(t)
	second := open(t, dir, "auto")
	wantStatus(t, second, "keychain locked")
	_, err = second.Get(ctx, "work")
	wantError(t, "locked", err, keystore.ErrLocked)
	wantError(t, "locked", second.Set(ctx, "new", item("new")), keystore.ErrLocked)
	wantError(t, "locked", second.Probe(ctx), keystore.ErrLocked)
	keyring.Kill(t)
	_, err = second.Get(ctx, "work")
	wantError(t, "killed", err, keystore.ErrUnavailable)
	wantStatus(t, open(t, dir, ""), "keychain unavailable")
	keyring.Restart(t)
	wantItem(t, second, "work")
	wantStatus(t, open(t, dir, ""), "keychain ok")
}

func TestAutoTakesTheCredential(t *testing.T) {
	withoutKeychain(t)
	withCredential(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, k, "sealed credential ok")
	wantItem(t, k, "work")
	k.Close()
	if got := child(t, dir, "get work"); got != "ok" {
		t.Errorf("in a new process: %s", got)
	}
	// Without its credential the file stays shut, and no other key is made.
	if got := child(t, dir, "get work", "CREDENTIALS_DIRECTORY="); !strings.HasPrefix(got,
		keystore.ErrUnavailable.Error()) {
		t.Errorf("without the credential: %s", got)
	}
}

func TestAutoUndecided(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	for what, err := range map[string]error{"set": k.Set(t.Context(), "work", item("work")),
		"probe": k.Probe(t.Context())} {
		wantError(t, what, err, keystore.ErrUndecided, "keychain")
		if errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("%s: two kinds at once: %v", what, err)
		}
	}
	wantStatus(t, k, "auto undecided")
	wantError(t, "unlock", k.Unlock(t.Context(), none), keystore.ErrUndecided)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	// The three commands that the person is told work here.
	for _, use := range [][2]string{{backend.Sealed, backend.KeyPassphrase}, {backend.Sealed, backend.KeyFile},
		{backend.Memory, ""}} {
		k := open(t, stateDir(t), "")
		if err := k.Use(t.Context(), use[0], use[1], keystore.SecretString("correct horse")); err != nil {
			t.Fatalf("use %v: %v", use, err)
		}
		if err := k.Set(t.Context(), "work", item("work")); err != nil {
			t.Errorf("use %v: %v", use, err)
		}
		wantItem(t, k, "work")
		wantStatus(t, k, strings.Join(strings.Fields(use[0]+" "+use[1]+" ok"), " "))
	}
}

func TestEnvironment(t *testing.T) {
	withoutKeychain(t)
	if _, err := backend.Open(backend.Options{StateDir: stateDir(t), Env: "kwallet"}); !errors.Is(err,
		keystore.ErrConflict) {
		t.Errorf("an unknown store: %v", err)
	}
	// keychain: no other one will do.
	wantError(t, "keychain", open(t, stateDir(t), "keychain").Probe(t.Context()), keystore.ErrUnavailable)
	// memory: works at once, and the next process knows nothing of it.
	dir := stateDir(t)
	k := open(t, dir, "memory")
	if err := errors.Join(k.Probe(t.Context()), k.Set(t.Context(), "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "work")
	wantStatus(t, k, "memory ok")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("memory was written down: %v %v", entries, err)
	}
	// sealed: with the credential that there is, and remembered, so that a process without the variable finds it.
	withCredential(t)
	k = open(t, dir, "sealed")
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, k, "sealed credential ok")
	k.Close()
	for env, want := range map[string]string{"GROAT_KEYSTORE=": "ok", "GROAT_KEYSTORE=auto": "ok",
		"GROAT_KEYSTORE=sealed": "ok"} {
		if got := child(t, dir, "get work", env); got != want {
			t.Errorf("%s: %s", env, got)
		}
	}
	// What disagrees with the choice names both and moves nothing.
	for _, env := range []string{"keychain", "memory"} {
		_, err := backend.Open(backend.Options{StateDir: dir, Env: env})
		wantError(t, env, err, keystore.ErrConflict, `"`+env+`"`, `"sealed"`, "keystore.json")
	}
	if got := child(t, dir, "get work"); got != "ok" {
		t.Errorf("after the refusals: %s", got)
	}
	wantError(t, "use against the environment",
		open(t, stateDir(t), "memory").Use(t.Context(), backend.Sealed, backend.KeyFile, none),
		keystore.ErrConflict, "GROAT_KEYSTORE", "memory", "sealed")
}

func TestKeychainHangs(t *testing.T) {
	keyring := withKeychain(t)
	k := open(t, stateDir(t), "")
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	keyring.Pause(t)
	start := time.Now()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if s := k.Status(t.Context()); s.State != "unavailable" || s.Use != backend.Keychain {
				t.Errorf("status of a hung keychain: %+v", s)
			}
			_, err := k.Get(t.Context(), "work")
			wantError(t, "get", err, keystore.ErrUnavailable)
		})
	}
	wg.Wait()
	wantError(t, "set", k.Set(t.Context(), "new", item("new")), keystore.ErrUnavailable)
	wantError(t, "probe", k.Probe(t.Context()), keystore.ErrUnavailable)
	// One after the other they would take twelve limits.
	if d := time.Since(start); d > 6*keychain.Limit {
		t.Errorf("twelve calls to a hung keychain took %v", d)
	}
	keyring.Resume(t)
	eventually(t, func() error { _, err := k.Get(t.Context(), "work"); return err })
	wantItem(t, k, "work")
}

func TestSealedWithKeychainKey(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := k.Use(t.Context(), backend.Sealed, "", none); err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), "work", item("work")); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, k, "sealed keychain ok")
	keyring.Lock(t)
	wantItem(t, k, "work") // its key was fetched before
	k.Close()
	k = open(t, dir, "")
	wantStatus(t, k, "sealed keychain locked")
	_, err := k.Get(t.Context(), "work")
	wantError(t, "locked", err, keystore.ErrLocked)
	keyring.Unlock(t)
	wantItem(t, k, "work")
}

func TestPassphrase(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	pass := keystore.SecretString("correct horse")
	wantError(t, "no passphrase", k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, none), keystore.ErrLocked)
	wantStatus(t, k, "auto undecided")
	if err := errors.Join(k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, pass),
		k.Set(t.Context(), "work", item("work"))); err != nil {
		t.Fatal(err)
	}
	k.Close()
	k = open(t, dir, "")
	wantStatus(t, k, "sealed passphrase locked")
	_, err := k.Get(t.Context(), "work")
	wantError(t, "before unlock", err, keystore.ErrLocked, "passphrase")
	wantError(t, "wrong passphrase", k.Unlock(t.Context(), keystore.SecretString("wrong")), keystore.ErrLocked,
		"does not fit")
	wantError(t, "another choice while it is locked", k.Use(t.Context(), backend.Memory, "", none),
		keystore.ErrConflict, "unlock", filepath.Join(dir, "sealed"))
	if err := k.Unlock(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "work")
	wantStatus(t, k, "sealed passphrase ok")
	// A person learns at once that a passphrase will not open it after the next start.
	other := keystore.SecretString("another horse")
	wantError(t, "wrong passphrase, though it is open", k.Unlock(t.Context(), other), keystore.ErrLocked,
		"does not fit")
	wantError(t, "chosen again with another", k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, other),
		keystore.ErrLocked, "does not fit")
	wantItem(t, k, "work")
	// To choose the chosen store again unlocks it.
	k.Close()
	k = open(t, dir, "")
	if err := k.Use(t.Context(), backend.Sealed, backend.KeyPassphrase, pass); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "work")
}

func TestConcurrentFirstLogins(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	var wg sync.WaitGroup
	names := []string{"a", "b", "c", "d", "e", "f"}
	for _, name := range names {
		wg.Go(func() {
			if err := errors.Join(k.Probe(t.Context()), k.Set(t.Context(), name, item(name))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			k.Status(t.Context())
		})
	}
	wg.Wait()
	k = open(t, dir, "")
	for _, name := range names {
		wantItem(t, k, name)
	}
}
