package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groat-dev/groat/daemon/origin"
)

// FuzzLoad: whatever a person writes, reading it ends with profiles that can be used or with one line that says where
// the mistake is; and what was read can be saved, and is read again as the same.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("[profiles.work]\nprovider = \"spatiafi\"\n"))
	f.Add([]byte("[profiles.lab]\ntoken_endpoint = \"https://login.example.org/token\"\nclient_auth = " +
		"\"none\"\nresources = [\"https://api.example.org\"]\n"))
	f.Add([]byte("[profiles.\"x y\"]\nprovider = 1\n"))
	root := f.TempDir()
	mine, theirs := Dir{path: filepath.Join(root, "a"), file: filepath.Join(root, "a",
		"config.toml")}, Dir{path: filepath.Join(root, "b"), file: filepath.Join(root, "b", "config.toml")}
	if err := errors.Join(mine.makeDirs(), theirs.makeDirs()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(mine.file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := mine.Load()
		if err != nil {
			located(t, err, text)
			return
		}
		for _, e := range c.Broken {
			located(t, e, text)
		}
		for name, p := range c.Profiles {
			if !ValidName(name) || p.Line < 1 || p.Line > 1+strings.Count(string(text), "\n") {
				t.Errorf("%q stands in line %d", name, p.Line)
			}
			server, origins, err := p.Server()
			if err != nil || server.Check() != nil {
				t.Errorf("%s cannot be used: %v", name, err)
			}
			for _, o := range origins {
				if _, err := origin.WithPort(o); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			savedAlike(t, theirs, p)
		}
	})
}

// located holds an error to the one line that a person can act on.
func located(t *testing.T, err error, text []byte) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.File == "" || e.Message == "" || e.Hint == "" {
		t.Fatalf("%#v", err)
	}
	if e.Line < 1 || e.Line > 1+strings.Count(string(text), "\n") {
		t.Errorf("line %d of %q: %v", e.Line, text, err)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("more than one plain line: %q", err)
	}
}

// savedAlike saves a profile, if it can be written down, and reads it again.
func savedAlike(t *testing.T, d Dir, p Profile) {
	t.Helper()
	undo, err := d.Save(p)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); !ok || e.Hint == "" {
			t.Errorf("%#v", err)
		}
		return
	}
	c, err := d.Load()
	if err == nil && c.Broken[p.Name] != nil {
		err = c.Broken[p.Name]
	}
	if err != nil {
		t.Fatalf("%s was saved, but %v", p.Name, err)
	}
	if diff := cmp.Diff(p, c.Profiles[p.Name], cmpopts.IgnoreFields(Profile{}, "File", "Line"),
		cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if err := undo(); err != nil {
		t.Error(err)
	}
}
