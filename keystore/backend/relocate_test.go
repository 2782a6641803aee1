package backend_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/keystore/sealed"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// kind is a store to move from or to.
type kind struct{ use, key string }

func (k kind) String() string { return strings.TrimSpace(k.use + " " + k.key) }

// fillStore chooses a store and puts a client, a session that was sent, and a private key into it.
func fillStore(t *testing.T, dir string, in kind) *backend.Keystore {
	t.Helper()
	k := open(t, dir, "")
	key := item("key")
	key.PrivateKey = keystore.SecretString("not a real key")
	if err := errors.Join(k.Use(t.Context(), in.use, in.key, pass("old")), k.Set(t.Context(), "client", item("client")),
		k.Set(t.Context(), "key", key), k.Set(t.Context(), "work", session("work", 7))); err != nil {
		t.Fatal(err)
	}
	if _, err := k.MarkSent(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	return k
}

// wantEverything makes sure that everything is there.
func wantEverything(t *testing.T, when string, k *backend.Keystore) {
	t.Helper()
	wantItem(t, k, "client")
	wantSession(t, k, when, 7)
	key, err := k.Get(t.Context(), "key")
	if err != nil || key.PrivateKey.Reveal() != "not a real key" {
		t.Errorf("%s: the private key: %v", when, err)
	}
	names, err := k.InDoubt(t.Context())
	if err != nil || !slices.Equal(names, []string{"work"}) {
		t.Errorf("%s: unsettled are %q, %v", when, names, err)
	}
}

// wantNoLeftovers makes sure that nothing is left beside what is used.
func wantNoLeftovers(t *testing.T, when, dir string, in kind) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, strings.Replace(filepath.Base(p), "sealed-2", "sealed", 1))
	}
	want := map[string]string{backend.KeyFile: " sealed.key", backend.KeyPassphrase: " sealed.kdf"}[in.key]
	if got := strings.Join(names, " "); got != "keystore.json sealed"+want {
		t.Errorf("%s: the state directory holds %q", when, paths)
	}
	text, err := os.ReadFile(filepath.Join(dir, "keystore.json"))
	if err != nil || strings.Contains(string(text), `"left"`) || strings.Contains(string(text), `"next"`) {
		t.Errorf("%s: %v: %s", when, err, text)
	}
}

// runUntilStep runs op in a process that ends itself behind its step number n, and returns the step's name; empty where
// it came to its end.
func runUntilStep(t *testing.T, dir, op string, n int, rest string) string {
	t.Helper()
	cmd := parts.Self(t, fmt.Sprintf("%s=%s %d %s", childVariable, op, n, rest), "STATE="+dir)
	out, err := cmd.Output()
	text := strings.TrimSpace(string(out))
	if err == nil && text != "ok" {
		t.Fatalf("%s at %d: %s", op, n, text)
	}
	if err == nil {
		return ""
	}
	if text == "" {
		t.Fatalf("%s at %d: %v", op, n, err)
	}
	return text
}

// Each way from one store to another, ended at each of its steps: everything is readable in the store that is
// remembered, and the same again finishes it.
func TestL10AMoveEndedAtEveryStep(t *testing.T) {
	withKeychain(t)
	for _, way := range [][2]kind{
		{{backend.Keychain, ""}, {backend.Sealed, backend.KeyFile}},
		{{backend.Sealed, backend.KeyFile}, {backend.Keychain, ""}},
		{{backend.Sealed, backend.KeyFile}, {backend.Sealed, backend.KeyPassphrase}},
	} {
		steps := 0
		for n := 1; ; n++ {
			dir := stateDir(t)
			fillStore(t, dir, way[0]).Close()
			at := runUntilStep(t, dir, "move", n, way[1].use+" "+way[1].key)
			when := fmt.Sprintf("%v to %v, step %d (%s)", way[0], way[1], n, at)
			unlocked := func(k *backend.Keystore) {
				if k.Unlock(t.Context(), pass("old")) != nil {
					if err := k.Unlock(t.Context(), pass("new")); err != nil {
						t.Errorf("%s: neither passphrase: %v", when, err)
					}
				}
			}
			k := open(t, dir, "")
			unlocked(k)
			wantEverything(t, when, k)
			if err := k.Move(t.Context(), way[1].use, way[1].key, pass("new")); err != nil {
				t.Fatalf("%s: again: %v", when, err)
			}
			wantEverything(t, when+", again", k)
			k.Close()
			k = open(t, dir, "")
			unlocked(k)
			wantEverything(t, when+", and a new process", k)
			wantNoLeftovers(t, when, dir, way[1])
			wantStatus(t, k, way[1].String()+" ok")
			if way[1].use == backend.Keychain {
				wantUsers(t, when, "client", "sealed:key")
			} else {
				wantUsers(t, when, "sealed:key")
			}
			for _, name := range []string{"client", "key", "work"} {
				if err := k.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			k.Close()
			if at == "" {
				break
			}
			steps++
		}
		if steps < 6 {
			t.Errorf("%v: only %d steps", way, steps)
		}
	}
}

// A passphrase that is changed, ended at each step: the old one opens the file or the new one does.
func TestK11AChangeOfPassphraseEndedAtEveryStep(t *testing.T) {
	tier.Long(t, "each step derives keys from passphrases")
	withoutKeychain(t)
	in := kind{backend.Sealed, backend.KeyPassphrase}
	olds, news := 0, 0
	for n := 1; ; n++ {
		dir := stateDir(t)
		fillStore(t, dir, in).Close()
		at := runUntilStep(t, dir, "passphrase", n, "")
		k := open(t, dir, "")
		old, new := k.Unlock(t.Context(), pass("old")), error(nil)
		k.Close()
		k = open(t, dir, "")
		new = k.Unlock(t.Context(), pass("new"))
		switch {
		case old == nil && new != nil:
			olds++
			if err := errors.Join(k.Unlock(t.Context(), pass("old")),
				k.Passphrase(t.Context(), pass("old"), pass("new"))); err != nil {
				t.Fatal(err)
			}
		case old != nil && new == nil:
			news++
		default:
			t.Fatalf("step %d (%s): the old one: %v, the new one: %v", n, at, old, new)
		}
		wantEverything(t, at, k)
		wantNoLeftovers(t, at, dir, in)
		wantError(t, at, k.Unlock(t.Context(), pass("old")), keystore.ErrLocked)
		k.Close()
		if at == "" {
			break
		}
	}
	if olds < 3 || news < 2 {
		t.Errorf("%d steps before the new one counts, %d after", olds, news)
	}
}

func TestK12APassphraseThatIsNotTheOldOne(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	withoutKeychain(t)
	dir := stateDir(t)
	k := fillStore(t, dir, kind{backend.Sealed, backend.KeyPassphrase})
	wantError(t, "another", k.Passphrase(t.Context(), pass("wrong"), pass("new")), keystore.ErrLocked, "does not fit")
	wantError(t, "none", k.Passphrase(t.Context(), none, pass("new")), keystore.ErrLocked)
	wantError(t, "no new one", k.Passphrase(t.Context(), pass("old"), none), keystore.ErrLocked)
	wantEverything(t, "refused", k)
	for n := range 3 { // there and back
		if err := k.Passphrase(t.Context(), pass([]string{"old", "new"}[n%2]),
			pass([]string{"new", "old"}[n%2])); err != nil {
			t.Fatal(err)
		}
		wantEverything(t, "changed", k)
		wantNoLeftovers(t, "changed", dir, kind{backend.Sealed, backend.KeyPassphrase})
	}
	k = open(t, stateDir(t), "")
	if err := k.Use(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	wantError(t, "a key file", k.Passphrase(t.Context(), pass("old"), pass("new")), keystore.ErrConflict,
		"no passphrase")
}

// What cannot be copied ends a move before anything is erased, and is named.
func TestL13WhatCannotBeMoved(t *testing.T) {
	keyring := withKeychain(t)
	dir := stateDir(t)
	k := fillStore(t, dir, kind{backend.Keychain, ""})
	keyring.Lock(t)
	wantError(t, "locked", k.Move(t.Context(), backend.Sealed, backend.KeyFile, none), keystore.ErrLocked)
	wantStatus(t, k, "keychain locked")
	keyring.Unlock(t)
	wantEverything(t, "locked", k)
	big := item("big")
	big.Certificate = strings.Repeat("x", 60<<10)
	mem := open(t, stateDir(t), "")
	if err := errors.Join(mem.Use(t.Context(), backend.Memory, "", none),
		mem.Set(t.Context(), "small", item("small"))); err != nil {
		t.Fatal(err)
	}
	big.Certificate += big.Certificate
	if err := mem.Set(t.Context(), "big", big); err != nil {
		t.Fatal(err)
	}
	for _, to := range []kind{{backend.Sealed, backend.KeyFile}, {backend.Keychain, ""}} {
		wantError(t, to.String(), mem.Move(t.Context(), to.use, to.key, none), keystore.ErrTooBig, `"big"`,
			"nothing was moved")
		wantItem(t, mem, "small")
		wantStatus(t, mem, "memory ok")
	}
	wantUsers(t, "given up", "client", "sealed:key")
	if err := mem.Delete(t.Context(), "big"); err != nil {
		t.Fatal(err)
	}
	if err := mem.Move(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	wantItem(t, mem, "small")
	wantStatus(t, mem, "sealed file ok")
	wantError(t, "to memory", k.Move(t.Context(), backend.Memory, "", none), keystore.ErrConflict)
	wantError(t, "no passphrase", k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, none), keystore.ErrLocked)
	wantEverything(t, "at last", k)
}

// A damaged credential is named, with what to do.
func TestL14ADamagedCredentialIsNotMoved(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	if err := errors.Join(k.Use(t.Context(), backend.Sealed, backend.KeyFile, none),
		k.Set(t.Context(), "work", item("work")), k.Close()); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "sealed")
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir, "")
	wantError(t, "damaged", k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, pass("new")),
		keystore.ErrConflict, "groat login work", "groat logout work")
	if err := k.Delete(t.Context(), "work"); err != nil {
		t.Fatal(err)
	}
	if err := k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, pass("new")); err != nil {
		t.Fatal(err)
	}
}

// A session that is renewed while it is moved is stored in the new place, and never in the old one after it was copied.
func TestL15ARenewalWaitsForAMove(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := fillStore(t, dir, kind{backend.Sealed, backend.KeyFile})
	rotated := make(chan error, 1)
	backend.AfterStep(func(name string) {
		if name == "copied work" {
			short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			wantError(t, "meanwhile", k.Set(short, "work", session("work", 8)), keystore.ErrUnavailable)
			_, err := k.MarkSent(short, "work")
			wantError(t, "meanwhile", err, keystore.ErrUnavailable)
			wantError(t, "meanwhile", k.Delete(short, "work"), keystore.ErrUnavailable)
			go func() { rotated <- k.Set(context.Background(), "work", session("work", 8)) }()
		}
	})
	defer backend.AfterStep(func(string) {})
	if err := k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, pass("new")); err != nil {
		t.Fatal(err)
	}
	if err := <-rotated; err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "renewed meanwhile", 8)
	k.Close()
	k = open(t, dir, "")
	if err := k.Unlock(t.Context(), pass("new")); err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "and a new process", 8)
}

// A store that is left leaves no key behind, and the next one does not have it.
func TestK8ALeftStoreLeavesNoKey(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := open(t, dir, "")
	seen := map[string]bool{}
	for range 2 {
		for key, name := range map[string]string{backend.KeyFile: "sealed.key", backend.KeyPassphrase: "sealed.kdf"} {
			if err := k.Use(t.Context(), backend.Sealed, key, pass("old")); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || seen[string(text)] {
				t.Errorf("%s: %v, or it is one that was used before", name, err)
			}
			seen[string(text)] = true
			if err := k.Use(t.Context(), backend.Memory, "", none); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "sealed*")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		}
	}
	// Ended between the choice of memory and the removal.
	for _, name := range []string{"sealed", "sealed.key", "sealed.kdf"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("left by a crash"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "keystore.json"),
		[]byte(`{"v":2,"use":"memory","left":{"use":"sealed","key":"file"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, "")
	if left, _ := filepath.Glob(filepath.Join(dir, "sealed*")); len(left) > 0 {
		t.Errorf("left after a crash: %q", left)
	}
}

// A sealed file that is empty and should not be is damaged, whatever opens it, and the remedy in its error works.
func TestK9AnEmptiedFile(t *testing.T) {
	for _, key := range []string{backend.KeyFile, backend.KeyPassphrase} {
		withoutKeychain(t)
		dir := stateDir(t)
		p := filepath.Join(dir, "sealed")
		fillStore(t, dir, kind{backend.Sealed, key}).Close()
		whole, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(p, 0); err != nil {
			t.Fatal(err)
		}
		k := open(t, dir, "")
		for _, text := range []string{"old", "new"} {
			wantError(t, key, k.Unlock(t.Context(), pass(text)), keystore.ErrUnavailable, "is empty", "client", "rm "+p)
			wantError(t, key, k.Use(t.Context(), backend.Sealed, key, pass(text)), keystore.ErrUnavailable, "is empty")
			wantError(t, key, k.Use(t.Context(), backend.Memory, "", none), keystore.ErrConflict, "is empty")
			wantError(t, key, k.Move(t.Context(), backend.Sealed, backend.KeyCredential, none), keystore.ErrUnavailable)
		}
		_, err = k.Get(t.Context(), "client")
		if !errors.Is(err, keystore.ErrUnavailable) && !errors.Is(err, keystore.ErrLocked) {
			t.Errorf("%s: get: %v", key, err)
		}
		if info, err := os.Stat(p); err != nil || info.Size() != 0 {
			t.Errorf("%s: it was written: %v", key, err)
		}
		// Brought back, everything is there.
		if err := os.WriteFile(p, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.Unlock(t.Context(), pass("old")); err != nil {
			t.Fatal(err)
		}
		wantEverything(t, key, k)
		k.Close()
		// Given up, a new one is made.
		if err := errors.Join(os.Truncate(p, 0), os.Remove(p)); err != nil {
			t.Fatal(err)
		}
		k = open(t, dir, "")
		wantError(t, key, k.Unlock(t.Context(), pass("new")), keystore.ErrUnavailable, "is not there", "client")
		if err := errors.Join(k.Use(t.Context(), backend.Sealed, key, pass("new")),
			k.Set(t.Context(), "client", item("client")), k.Close()); err != nil {
			t.Fatal(err)
		}
		k = open(t, dir, "")
		if err := k.Unlock(t.Context(), pass("new")); err != nil {
			t.Fatal(err)
		}
		wantItem(t, k, "client")
	}
}

// A store with weak parameters that another program chose, as an earlier groat accepted them: it opens, and has others
// after that.
func TestK16WeakParametersAreReplaced(t *testing.T) {
	passes, memory := argonPasses, argonMemory
	t.Cleanup(func() { argonPasses, argonMemory = passes, memory })
	argonPasses, argonMemory = 3, 64<<10
	withoutKeychain(t)
	dir := stateDir(t)
	const planted = `{"v":1,"kdf":"argon2id","time":1,"memory_kib":8192,"threads":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}`
	makeWithWeakParameters(t, dir, planted)
	k := open(t, dir, "")
	wantError(t, "a wrong one", k.Unlock(t.Context(), pass("new")), keystore.ErrLocked)
	if text, err := os.ReadFile(filepath.Join(dir, "sealed.kdf")); err != nil || string(text) != planted {
		t.Errorf("after a wrong passphrase: %v: %s", err, text)
	}
	if err := k.Unlock(t.Context(), pass("old")); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "client")
	wantNoLeftovers(t, "after an unlock", dir, kind{backend.Sealed, backend.KeyPassphrase})
	params, err := os.ReadFile(filepath.Join(dir, "sealed-2.kdf"))
	if err != nil || !strings.Contains(string(params), `"time":3,"memory_kib":65536`) ||
		strings.Contains(string(params), "AAAAAAAAAA") {
		t.Errorf("the parameters are %v: %s", err, params)
	}
	k.Close()
	k = open(t, dir, "")
	if err := k.Unlock(t.Context(), pass("old")); err != nil {
		t.Fatal(err)
	}
	wantItem(t, k, "client")
}

// makeWithWeakParameters makes a store as an earlier groat did where these parameters stood in its place.
func makeWithWeakParameters(t *testing.T, dir, params string) {
	t.Helper()
	files := sealed.Files{Path: filepath.Join(dir, "sealed")}
	source := files.Passphrase(pass("old"))
	err := errors.Join(os.WriteFile(source.Params, []byte(params), 0o600),
		os.WriteFile(filepath.Join(dir, "keystore.json"),
			[]byte(`{"v":1,"use":"sealed","key":"passphrase","profiles":["client"]}`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	key, err := source.Key(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	s := sealed.New(sealed.Options{Files: files, Key: fixedKey{key}})
	if err := errors.Join(s.Set(t.Context(), "client", item("client")), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// fixedKey brings a key that was made before.
type fixedKey struct{ key keystore.Secret }

func (k fixedKey) Key(context.Context, bool) (keystore.Secret, error) { return k.key.Clone(), nil }

// A file that another program left, or planted, where the new one would be is neither used nor removed.
func TestK17APlantedFileIsNoPlaceToMoveTo(t *testing.T) {
	withoutKeychain(t)
	dir := stateDir(t)
	k := fillStore(t, dir, kind{backend.Sealed, backend.KeyFile})
	planted := stateDir(t)
	fillStore(t, planted, kind{backend.Sealed, backend.KeyFile}).Close()
	for from, to := range map[string]string{"sealed": "sealed-2", "sealed.key": "sealed-2.key"} {
		text, err := os.ReadFile(filepath.Join(planted, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "sealed-2")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "planted", k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, pass("new")),
		keystore.ErrConflict, path)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("it was changed: %v", err)
	}
	wantEverything(t, "planted", k)
	if err := os.Remove(path); err != nil { // its key stays, and is not taken
		t.Fatal(err)
	}
	key, err := os.ReadFile(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Move(t.Context(), backend.Sealed, backend.KeyPassphrase, pass("new")); err != nil {
		t.Fatal(err)
	}
	if err := k.Move(t.Context(), backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	wantEverything(t, "moved", k)
	for _, name := range []string{"sealed.key", "sealed-2.key"} {
		if now, err := os.ReadFile(filepath.Join(dir, name)); err == nil && string(now) == string(key) {
			t.Errorf("%s is the planted one", name)
		}
	}
}

// A keychain that has another credential under a name, as of another groatd of this person, keeps it.
func TestL18AMoveOverwritesNothingInTheKeychain(t *testing.T) {
	withKeychain(t)
	theirs := open(t, stateDir(t), "")
	other := item("client")
	other.ClientID = "theirs"
	if err := theirs.Set(t.Context(), "client", other); err != nil {
		t.Fatal(err)
	}
	k := fillStore(t, stateDir(t), kind{backend.Sealed, backend.KeyFile})
	for range 2 {
		wantError(t, "taken", k.Move(t.Context(), backend.Keychain, "", none), keystore.ErrConflict, `"client"`,
			"secret-tool clear service groat username client")
		if i, err := theirs.Get(t.Context(), "client"); err != nil || i.ClientID != "theirs" {
			t.Errorf("theirs is %q, %v", i.ClientID, err)
		}
		wantEverything(t, "refused", k)
		wantStatus(t, k, "sealed file ok")
	}
	if err := theirs.Delete(t.Context(), "client"); err != nil {
		t.Fatal(err)
	}
	if err := k.Move(t.Context(), backend.Keychain, "", none); err != nil {
		t.Fatal(err)
	}
	wantEverything(t, "moved", k)
}

// A session's file beside the keychain that was emptied is damaged too; what is in the keychain can be used.
func TestK19AnEmptiedFileBesideTheKeychain(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	p := filepath.Join(dir, "sealed")
	fillStore(t, dir, kind{backend.Keychain, ""}).Close()
	if err := os.Truncate(p, 0); err != nil {
		t.Fatal(err)
	}
	k := open(t, dir, "")
	_, err := k.Get(t.Context(), "work")
	wantError(t, "a session", err, keystore.ErrUnavailable, "is empty", "rm "+p)
	wantItem(t, k, "client")
	wantError(t, "a new session", k.Set(t.Context(), "work", session("work", 8)), keystore.ErrUnavailable, "is empty")
	if err := errors.Join(os.Remove(p), k.Set(t.Context(), "work", session("work", 8))); err != nil {
		t.Fatal(err)
	}
	wantSession(t, k, "given up, and signed in again", 8)
}

// A move to the keychain that was ended, and is not gone on with: the copies are known until they can be erased.
func TestL19CopiesInTheKeychainAreNotForgotten(t *testing.T) {
	withKeychain(t)
	dir := stateDir(t)
	fillStore(t, dir, kind{backend.Sealed, backend.KeyPassphrase}).Close()
	if at := runUntilStep(t, dir, "move", 3, "keychain"); at != "copied client" {
		t.Fatalf("step 3 is %q", at)
	}
	wantUsers(t, "ended", "client")
	k := open(t, dir, "")
	wantError(t, "locked", k.Move(t.Context(), backend.Keychain, "", none), keystore.ErrLocked)
	wantUsers(t, "locked", "client")
	if err := k.Unlock(t.Context(), pass("old")); err != nil {
		t.Fatal(err)
	}
	wantUsers(t, "unlocked")
	wantEverything(t, "unlocked", k)
	wantNoLeftovers(t, "unlocked", dir, kind{backend.Sealed, backend.KeyPassphrase})
}
