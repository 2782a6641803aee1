package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A stamp differs once a profile was added or removed, and is no stamp while that cannot be told.
func TestH79Stamp(t *testing.T) {
	home := t.TempDir()
	d, err := Find(home + "/")
	if err != nil {
		t.Fatal(err)
	}
	profiles, main := filepath.Join(home, "profiles.d"), filepath.Join(home, "config.toml")
	old := time.Now().Add(-time.Hour)
	age := func(path string) error { old = old.Add(time.Minute); return os.Chtimes(path, old, old) }
	seen := map[string]string{}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"the directory", func() error { return errors.Join(os.Mkdir(profiles, 0o700), age(profiles)) }},
		{"a profile", func() error { return errors.Join(os.WriteFile(profiles+"/a.toml", nil, 0o600), age(profiles)) }},
		{"none again", func() error { return errors.Join(os.Remove(profiles+"/a.toml"), age(profiles)) }},
		{"config.toml", func() error { return errors.Join(os.WriteFile(main, nil, 0o600), age(main)) }},
		{"more in it", func() error { return errors.Join(os.WriteFile(main, []byte("# x\n"), 0o600), age(main)) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		s := d.Stamp()
		if before, ok := seen[s]; ok || s == "" || s != d.Stamp() {
			t.Errorf("%s has the stamp %q, as %s had", step.name, s, before)
		}
		seen[s] = step.name
	}
	now := time.Now()
	if err := os.Chtimes(main, now, now); err != nil {
		t.Fatal(err)
	}
	if s := d.Stamp(); s != "" && time.Since(now) < youngest {
		t.Errorf("what was changed just now has the stamp %q", s)
	}
}
