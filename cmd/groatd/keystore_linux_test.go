package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// A keystore that was refused takes nothing and gives nothing: each call says why, and what to type.
func TestARefusedKeystore(t *testing.T) {
	const why, hint = "the directory is another user's", "ls -ld /d"
	s, ctx := refusedStore{protocol.Config, why, hint}, t.Context()
	_, get := s.Get(ctx, "work")
	_, sent := s.MarkSent(ctx, "work")
	_, doubt := s.InDoubt(ctx)
	for name, err := range map[string]error{
		"Get": get, "Set": s.Set(ctx, "work", keystore.Item{}), "Delete": s.Delete(ctx, "work"),
		"Probe": s.Probe(ctx), "MarkSent": sent, "MarkAnswered": s.MarkAnswered(ctx, "work"), "InDoubt": doubt,
		"Use": s.Use(ctx, "sealed", "file", keystore.Secret{}), "Move": s.Move(ctx, "memory", "", keystore.Secret{}),
		"Passphrase": s.Passphrase(ctx, keystore.Secret{}, keystore.Secret{}), "Unlock": s.Unlock(ctx, keystore.Secret{}),
	} {
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || e.Kind() != protocol.Config || e.Hint() != hint || !strings.Contains(e.Message, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st := s.Status(ctx); st.State != "unavailable" || st.Message != why {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The directories beside the state directory are used only if they are safe; groatd works without them.
func TestOptionalDirectories(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, base string)
		made    bool
	}{
		"there":          {func(*testing.T, string) {}, true},
		"made before":    {func(t *testing.T, base string) { mkdir(t, filepath.Join(base, "groat"), 0o700) }, true},
		"open to others": {func(t *testing.T, base string) { mkdir(t, filepath.Join(base, "groat"), 0o755) }, false},
		"a file": {func(t *testing.T, base string) {
			if err := os.WriteFile(filepath.Join(base, "groat"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"a link": {func(t *testing.T, base string) {
			if err := os.Symlink(t.TempDir(), filepath.Join(base, "groat")); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, place := range []struct {
				variable string
				dir      func() string
			}{{"XDG_RUNTIME_DIR", fallbackDir}, {"XDG_CACHE_HOME", rollbackDir}} {
				base := filepath.Join(t.TempDir(), "base")
				mkdir(t, base, 0o700)
				test.prepare(t, base)
				t.Setenv(place.variable, base)
				want := ""
				if test.made {
					want = filepath.Join(base, "groat")
				}
				if got := place.dir(); got != want {
					t.Errorf("%s: %q, want %q", place.variable, got, want)
				}
				if info, err := os.Stat(want); test.made && (err != nil || info.Mode().Perm() != 0o700) {
					t.Errorf("%s: %v, %v", place.variable, info, err)
				}
			}
		})
	}
	// No directory is made where there was none to make it in.
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(t.TempDir(), "none"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(t.TempDir(), "none", "cache"))
	if spare, seen := fallbackDir(), rollbackDir(); spare != "" || seen != "" {
		t.Errorf("%q, %q", spare, seen)
	}
}

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, mode); err != nil {
		t.Fatal(err)
	}
}
