package backend_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/keystore/backend"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A sealed file that is moved away, or has something else in its place, is opened again when it comes back: until then
// no call makes a new key for it.
func TestK30AFileThatComesBack(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	for _, key := range []string{backend.KeyFile, backend.KeyPassphrase} {
		for name, put := range map[string]func(path string) error{
			"nothing":   func(string) error { return nil },
			"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
			"directory": func(p string) error { return os.Mkdir(p, 0o700) },
			"link":      func(p string) error { return os.Symlink("away", p) },
			"dangling":  func(p string) error { return os.Symlink("nowhere", p) },
		} {
			t.Run(key+" "+name, func(t *testing.T) {
				withoutKeychain(t)
				dir := stateDir(t)
				ctx := t.Context()
				p := filepath.Join(dir, "sealed")
				fillStore(t, dir, kind{backend.Sealed, key}).Close()
				if err := errors.Join(os.Rename(p, filepath.Join(dir, "away")), put(p)); err != nil {
					t.Fatal(err)
				}
				k := open(t, dir, "")
				if st := k.Status(ctx); st.State == "ok" {
					t.Errorf("status: %+v", st)
				}
				item, err := k.Get(ctx, "client")
				item.Wipe()
				if err == nil {
					t.Error("a credential was read")
				}
				k.MarkSent(ctx, "work")
				k.MarkAnswered(ctx, "work")
				k.InDoubt(ctx)
				for what, err := range map[string]error{
					"unlock": k.Unlock(ctx, pass("new")), "move": k.Move(ctx, backend.Sealed, other(key), pass("new")),
					"move here": k.Move(ctx, backend.Sealed, key, pass("new")),
				} {
					if !errors.Is(err, keystore.ErrUnavailable) && !errors.Is(err, keystore.ErrLocked) {
						t.Errorf("%s: %v", what, err)
					}
				}
				if key == backend.KeyPassphrase {
					wantError(t, "passphrase", k.Passphrase(ctx, pass("old"), pass("new")), keystore.ErrUnavailable)
					if err := k.Probe(ctx); err == nil {
						t.Error("a login goes on without a passphrase")
					}
				}
				k.Close()
				if err := errors.Join(os.RemoveAll(p), os.Rename(filepath.Join(dir, "away"), p)); err != nil {
					t.Fatal(err)
				}
				k = open(t, dir, "")
				if err := k.Unlock(ctx, pass("old")); err != nil {
					t.Fatal(err)
				}
				wantEverything(t, name, k)
			})
		}
	}
}

func other(key string) string {
	if key == backend.KeyFile {
		return backend.KeyPassphrase
	}
	return backend.KeyFile
}

// Where a person goes on with a new file, the key of the one before is still there for the case that that one comes
// back; a store that is left leaves neither.
func TestK31TheKeyOfAFileThatWasReplaced(t *testing.T) {
	tier.Long(t, "it derives keys from passphrases")
	for _, key := range []string{backend.KeyFile, backend.KeyPassphrase} {
		withoutKeychain(t)
		dir := stateDir(t)
		ctx := t.Context()
		p, suffix := filepath.Join(dir, "sealed"),
			map[string]string{backend.KeyFile: ".key", backend.KeyPassphrase: ".kdf"}[key]
		fillStore(t, dir, kind{backend.Sealed, key}).Close()
		if err := os.Rename(p, filepath.Join(dir, "away")); err != nil {
			t.Fatal(err)
		}
		k := open(t, dir, "")
		if err := errors.Join(k.Use(ctx, backend.Sealed, key, pass("new")), k.Set(ctx, "later", item("later")),
			k.Close()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Rename(filepath.Join(dir, "away"), p),
			os.Rename(p+suffix+".old", p+suffix)); err != nil {
			t.Fatal(err)
		}
		k = open(t, dir, "")
		if err := k.Unlock(ctx, pass("old")); err != nil {
			t.Fatal(err)
		}
		wantEverything(t, key, k)
		if err := os.WriteFile(p+suffix+".old", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.Move(ctx, backend.Sealed, other(key), pass("new")); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(p + ".*"); len(left) > 0 {
			t.Errorf("%s: left behind: %q", key, left)
		}
	}
}

// A file that was cut behind a record, or that an older copy of took the place of, has lost what it held. The error
// says so, but not for a profile that was never stored or was deleted.
func TestK34ARecordThatIsGone(t *testing.T) {
	withoutKeychain(t)
	ctx := t.Context()
	o := backend.Options{StateDir: stateDir(t), RollbackDir: stateDir(t)}
	p := filepath.Join(o.StateDir, "sealed")
	var k *backend.Keystore
	reopen := func() {
		t.Helper()
		var err error
		if k != nil {
			err = k.Close()
		}
		if err == nil {
			k, err = backend.Open(o)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
	}
	reopen()
	if err := k.Use(ctx, backend.Sealed, backend.KeyFile, none); err != nil {
		t.Fatal(err)
	}
	var copies [][]byte // with none, one, two items
	for _, name := range []string{"", "one", "two"} {
		if name != "" {
			if err := k.Set(ctx, name, item(name)); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, data)
	}
	if err := errors.Join(k.Set(ctx, "forgotten", item("forgotten")), k.Delete(ctx, "forgotten")); err != nil {
		t.Fatal(err)
	}
	for n, data := range copies {
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		reopen()
		for at, name := range []string{"one", "two"} {
			if at < n {
				wantItem(t, k, name)
				continue
			}
			_, err := k.Get(ctx, name)
			wantError(t, name, err, keystore.ErrCorrupt, p, "bring")
		}
		for _, name := range []string{"forgotten", "nobody"} {
			if _, err := k.Get(ctx, name); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := os.WriteFile(p, copies[0], 0o600); err != nil {
		t.Fatal(err)
	}
	reopen()
	if err := errors.Join(k.Set(ctx, "one", item("one")), k.Delete(ctx, "two")); err != nil {
		t.Fatal(err)
	}
	reopen()
	wantItem(t, k, "one")
	if _, err := k.Get(ctx, "two"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("forgotten after it was lost: %v", err)
	}
}
