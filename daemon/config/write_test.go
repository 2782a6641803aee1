package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

const (
	spatiafi = "provider = \"spatiafi\"\n"
	lab      = "https://login.example.org"
)

// refused wants an *Error of this place, with these words and a hint.
func refused(t *testing.T, err error, place, says string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Errorf("got %v, want an *Error of %s", err, place)
		return
	}
	if text := e.Error(); !strings.Contains(text, place+": ") || !strings.Contains(text, says) || e.Hint == "" {
		t.Errorf("%s\nhint: %s\nwant %s: … %s", text, e.Hint, place, says)
	}
}

// texts returns every file below the directory.
func texts(t *testing.T, d Dir) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*", "*/*", "*/.*"} {
		files, err := filepath.Glob(filepath.Join(d.path, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				all[strings.TrimPrefix(file, d.path+"/")] = string(text)
			}
		}
	}
	return all
}

// Whatever a caller puts into a profile: either it is refused and nothing has changed, or it is loaded again.
func TestSaveKeepsTheConfigurationLoadable(t *testing.T) {
	for name, change := range map[string]func(*Profile){
		"header":            func(p *Profile) { p.Header = "X Y" },
		"DEL":               func(p *Profile) { p.Scope = "a\x7fb" },
		"a control":         func(p *Profile) { p.Scope = "a\x01b" },
		"NUL and quote":     func(p *Profile) { s := "a\nb'\x00"; p.Prefix = &s },
		"line separators":   func(p *Profile) { p.Audience = "x\u2028\r\ny" },
		"no UTF-8":          func(p *Profile) { p.Audience = "x\xff\xfey" },
		"half a surrogate":  func(p *Profile) { p.Scope = "\xed\xa0\x80" },
		"quotes":            func(p *Profile) { p.Audience = `'''"""\` },
		"grant":             func(p *Profile) { p.Grant = "magic" },
		"client_auth":       func(p *Profile) { p.ClientAuth = "magic" },
		"endpoint":          func(p *Profile) { p.TokenEndpoint = "http://login.example.org/token" },
		"endpoint, control": func(p *Profile) { p.TokenEndpoint = lab + "/\x7f" },
		"auth_server":       func(p *Profile) { p.AuthServer = lab },
		"resource":          func(p *Profile) { p.Resources = []string{"nonsense"} },
		"provider":          func(p *Profile) { p.Provider = "nowhere" },
		"too big":           func(p *Profile) { p.Scope = strings.Repeat("x", maxFile) },
	} {
		t.Run(name, func(t *testing.T) {
			d := place(t, map[string]string{"profiles.d/work.toml": spatiafi})
			before := texts(t, d)
			p := Profile{Name: "lab", Issuer: lab, TokenEndpoint: lab + "/token", ClientAuth: "client_secret_basic"}
			change(&p)
			able := d.Savable(p)
			if diff := cmp.Diff(before, texts(t, d)); diff != "" {
				t.Errorf("asking whether it could be saved has changed something:\n%s", diff)
			}
			_, err := d.Save(p)
			if (able == nil) != (err == nil) {
				t.Errorf("savable: %v; saved: %v", able, err)
			}
			c, broken := d.Load()
			if broken != nil {
				t.Fatalf("Save said %v, and the configuration cannot be read: %v", err, broken)
			}
			if err != nil {
				if diff := cmp.Diff(before, texts(t, d)); diff != "" {
					t.Error(diff)
				}
				refused(t, err, "lab.toml", "was not written")
			} else if got := c.Profiles["lab"]; got.Scope != p.Scope || got.Audience != p.Audience {
				t.Errorf("kept as %+v", got)
			}
		})
	}
}

func TestSaveRefusesWhatLoadWouldRefuseElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		files       map[string]string
		place, says string
	}{
		"config.toml has it": {map[string]string{"config.toml": "\n[profiles.work]\n" + spatiafi}, "config.toml:2",
			"never writes"},
		"config.toml is broken":   {map[string]string{"config.toml": "oops"}, "config.toml:1", ""},
		"its own is broken":       {map[string]string{"profiles.d/work.toml": "colour = 1\n"}, "work.toml:1", "colour"},
		"its own cannot be read":  {map[string]string{"profiles.d/work.toml/x": ""}, "work.toml", "not a regular file"},
		"the directory is a file": {map[string]string{"profiles.d": ""}, "profiles.d", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := place(t, c.files)
			before := texts(t, d)
			refused(t, d.Savable(Profile{Name: "work", Provider: "spatiafi"}), c.place, c.says)
			refused(t, save(d, Profile{Name: "work", Provider: "spatiafi"}), c.place, c.says)
			if diff := cmp.Diff(before, texts(t, d)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// But another one may be any text.
	d := place(t, map[string]string{"profiles.d/lab.toml": "oops"})
	if _, err := d.Save(Profile{Name: "work", Provider: "spatiafi"}); err != nil {
		t.Error(err)
	}
	if c, err := d.Load(); err != nil || c.Profiles["work"].Provider == "" {
		t.Error(err)
	}
}

func TestASaveCanBeTakenBack(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"there was none": {"config.toml": ""},
		"there was one":  {"config.toml": "", "profiles.d/work.toml": "# by hand\n" + spatiafi},
	} {
		t.Run(name, func(t *testing.T) {
			d := place(t, files)
			undo, err := d.Save(Profile{Name: "work", Provider: "climateengine"})
			if err != nil {
				t.Fatal(err)
			}
			if c, err := d.Load(); err != nil || c.Profiles["work"].Provider != "climateengine" {
				t.Errorf("replaced: %v", err)
			}
			if err := undo(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(files, texts(t, d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the system refuses is told like any mistake in the configuration: with the place and the next command.
func TestWritingFailsWithAPlaceAndAHint(t *testing.T) {
	good := Profile{Name: "work", Provider: "spatiafi"}
	t.Run("a directory where the file would be removed", func(t *testing.T) {
		d := place(t, map[string]string{"profiles.d/work.toml/x": ""})
		was, err := d.Remove("work")
		refused(t, err, "work.toml", "cannot be removed")
		if was {
			t.Error("removed all the same")
		}
	})
	t.Run("a name", func(t *testing.T) {
		refused(t, save(place(t, nil), Profile{Name: "../x"}), "profiles.d", "cannot be a profile's name")
	})
	t.Run("nothing can be made", func(t *testing.T) {
		tier.NeedsRoot(t) // to any other user /proc is another's
		d, err := At("/proc/groat/")
		if err != nil {
			t.Fatal(err)
		}
		refused(t, save(d, good), "/proc/groat", "cannot be made")
		refused(t, d.Writable(), "/proc/groat", "cannot be made")
	})
	t.Run("the rename", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "work.toml", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		refused(t, replace(filepath.Join(dir, "work.toml"), []byte("x")), "work.toml", "cannot be written")
		if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

func TestSwitchedOff(t *testing.T) {
	d, err := At(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := d.Load(); err != nil || len(c.Profiles) > 0 {
		t.Errorf("%v, %v", c, err)
	}
	refused(t, save(d, Profile{Name: "work", Provider: "spatiafi"}), os.DevNull, "keeps no profile")
	refused(t, d.Savable(Profile{Name: "work", Provider: "spatiafi"}), os.DevNull, "keeps no profile")
	refused(t, d.Writable(), os.DevNull, "keeps no profile")
	if was, err := d.Remove("work"); was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if d.Wrote(Profile{Name: "work"}) {
		t.Error("it wrote a profile")
	}
}

// save is Save for tests that do not take it back.
func save(d Dir, p Profile) error {
	_, err := d.Save(p)
	return err
}
