package main

import (
	"os"
	"path/filepath"
	"testing"
)

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
