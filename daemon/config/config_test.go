package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/groat-dev/groat/packaging/testing/tier"
)

// place returns a configuration directory with these files.
func place(t *testing.T, files map[string]string) Dir {
	t.Helper()
	root := filepath.Join(t.TempDir(), "groat")
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := At(root + "/")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// one is Load for a test of one mistake, which is the error whether it is about one profile or the whole.
func (d Dir) one(t *testing.T) (*Config, error) {
	t.Helper()
	c, err := d.Load()
	if err != nil || len(c.Broken) == 0 {
		return c, err
	}
	if len(c.Broken) > 1 {
		t.Errorf("one mistake breaks %v", c.Broken)
	}
	for name, e := range c.Broken {
		if _, used := c.Profiles[name]; used {
			t.Errorf("%s is used all the same", name)
		}
		err = e
	}
	return c, err
}

func TestBothPlacesAreRead(t *testing.T) {
	d := place(t, map[string]string{
		"config.toml": "[profiles.lab]\ntoken_endpoint = \"https://login.example.org/token\"\nissuer = " +
			"\"https://login.example.org\"\nclient_auth = \"client_secret_basic\"\n",
		"profiles.d/work.toml":   "provider = \"spatiafi\"\n",
		"profiles.d/.new-1.toml": "half written",
		"profiles.d/notes.txt":   "not ours",
	})
	c, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lab", "work"}, slices.Sorted(maps.Keys(c.Profiles))); diff != "" {
		t.Error(diff)
	}
	if p := c.Profiles["lab"]; p.Line != 1 || !strings.HasSuffix(p.File, "config.toml") || d.Wrote(p) {
		t.Errorf("lab: %s:%d", p.File, p.Line)
	}
	if p := c.Profiles["work"]; !d.Wrote(p) {
		t.Errorf("work: %s", p.File)
	}
}

// Files of another system's editor: a byte order mark, and lines that end with CR and LF.
func TestFilesOfAnotherSystem(t *testing.T) {
	d := place(t, map[string]string{
		"config.toml":          "\ufeff[profiles.lab]\r\nprovider = \"spatiafi\"\r\n",
		"profiles.d/work.toml": "\ufeffprovider = \"spatiafi\"\r\n",
	})
	c, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Profiles) != 2 || c.Profiles["lab"].Line != 1 || c.Profiles["work"].Provider != "spatiafi" {
		t.Errorf("%+v", c.Profiles)
	}
}

func TestNothingThereIsNoError(t *testing.T) {
	c, err := place(t, nil).Load()
	if err != nil || len(c.Profiles) != 0 {
		t.Errorf("%v, %v", c, err)
	}
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	d := place(t, nil)
	want := Profile{
		Name: "lab", Issuer: "https://login.example.org", TokenEndpoint: "https://login.example.org/token",
		UserinfoEndpoint: "https://login.example.org/me",
		ClientAuth:       "client_secret_post", Scope: "read write", Audience: "https://api.example.org",
		Resources: []string{"https://api.example.org:8443"},
		Grant:     "authorization_code", RevocationEndpoint: "https://login.example.org/revoke",
		Redirect:              "http://127.0.0.1:4242/cb",
		IntrospectionEndpoint: "https://login.example.org/introspect",
		Header:                "X-Api-Key", Prefix: new(string), RefreshEndsTokens: new(bool),
		RefreshNarrows: new(bool),
		SessionIdle:    new(int64(3600)), SessionAbsolute: new(int64(86400)), KeepSession: new(bool),
	}
	if _, err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	c, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, c.Profiles["lab"], cmpopts.IgnoreFields(Profile{}, "File", "Line")); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(d.profileFile("lab"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if was, err := d.Remove("lab"); err != nil || !was {
		t.Errorf("%v, %v", was, err)
	}
	if was, err := d.Remove("lab"); err != nil || was {
		t.Errorf("twice: %v, %v", was, err)
	}
}

// Only a session has tokens that a renewal can end.
func TestWhatARenewalEnds(t *testing.T) {
	for _, c := range []struct {
		grant string
		says  *bool
		want  bool // something is said
	}{
		{"device_code", new(true), true}, {"device_code", new(false), true}, {"device_code", nil, false},
		{"client_credentials", new(true), false}, {"", new(true), false},
	} {
		p := Profile{
			Name: "lab", Issuer: "https://login.example.org", TokenEndpoint: "https://login.example.org/token",
			ClientAuth: "client_secret_post", Grant: c.grant, RefreshEndsTokens: c.says,
			SessionIdle: new(int64(60)), SessionAbsolute: new(int64(600)), KeepSession: new(true),
		}
		s, _, err := p.Server()
		session := p.Kind().Session()
		if (s.SessionIdle == time.Minute) != session || (s.SessionAbsolute == 10*time.Minute) != session ||
			s.KeepSession != session {
			t.Errorf("%q: %s, %s, %v", c.grant, s.SessionIdle, s.SessionAbsolute, s.KeepSession)
		}
		if got := s.RefreshEndsTokens; err != nil || (got != nil) != c.want || got != nil && *got != *c.says {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
}

// command matches the hints of a file's mistakes, which can all be typed.
var command = regexp.MustCompile(`^(\$\{EDITOR:-vi\} /\S+\.toml|mv -i '/.*/A B\.toml' /.*/a-b\.toml)$`)

func TestMistakesAreNamedWithFileAndLine(t *testing.T) {
	const good = "provider = \"spatiafi\"\n"
	for name, c := range map[string]struct {
		file, text string
		where      string // the end of file:line
		says, help string // of the error, and of it or its hint
	}{
		"syntax": {"profiles.d/a.toml", "provider = \"spatiafi\nscope = 1", "a.toml:1", "", "${EDITOR:-vi} /"},
		"unknown key": {"profiles.d/a.toml", good + "colour = \"red\"\n", "a.toml:2", `unknown key "colour"`,
			"groat profile show"},
		"a slip": {"profiles.d/a.toml", good + "scpoe = \"x\"\n", "a.toml:2",
			`unknown key "scpoe"; the nearest is scope`, "${EDITOR:-vi} /"},
		"wrong type": {"profiles.d/a.toml", good + "\nscope = 7\n", "a.toml:3",
			"scope must be a text in quotes, and not a TOML integer", "${EDITOR:-vi} /"},
		"a list's type": {"profiles.d/a.toml", good + "resources = true\n", "a.toml:2", "resources", "${EDITOR:-vi} /"},
		"secret": {"profiles.d/a.toml", good + "client_secret = \"x\"\n", "a.toml:2",
			`unknown key "client_secret"`, ""},
		"provider": {"profiles.d/a.toml", "# mine\nprovider = \"spatialfi\"\n", "a.toml:2",
			"spatialfi", "spatiafi"},
		"both": {"profiles.d/a.toml", good + "token_endpoint = \"https://x.example/token\"\n", "a.toml:1",
			"brings its own", ""},
		"neither": {"profiles.d/a.toml", "scope = \"x\"\n", "a.toml:1", "neither", "climateengine, "},
		"http": {"profiles.d/a.toml", "token_endpoint = \"http://x.example/token\"\n", "a.toml:1",
			"token_endpoint", "https://"},
		"client_auth": {"profiles.d/a.toml", good + "client_auth = \"client_secret\"\n", "a.toml:2", "client_secret",
			"client_secret_basic"},
		"basic": {"profiles.d/a.toml", good + "basic = \"plain\"\n", "a.toml:2", "plain", "raw or form"},
		"assertion life": {"profiles.d/a.toml", good + "assertion_life = 3601\n", "a.toml:2", "3601 seconds",
			"at most 3600 seconds"},
		"assertion audience": {"profiles.d/a.toml", good + "assertion_audience = \"isuer\"\n", "a.toml:2", "isuer",
			"issuer"},
		"a discovered provider": {"profiles.d/a.toml", good + "discovered = true\n", "a.toml:2", "preset", "leave it out"},
		"grant":                 {"profiles.d/a.toml", good + "grant = \"magic\"\n", "a.toml:2", "magic", "device_code"},
		"header": {"profiles.d/a.toml", "provider = \"planet-key\"\nheader = \"a b\"\n", "a.toml:2", "a b",
			"X-Api-Key"},
		"token prefix": {"profiles.d/a.toml", good + "token_prefix = \"a b\"\n", "a.toml:2", "token_prefix is not",
			"oidc/PROVIDER/"},
		"prefix":        {"profiles.d/a.toml", good + "prefix = \"a b\"\n", "a.toml:2", ": prefix is not", "Bearer"},
		"HTTP's header": {"profiles.d/a.toml", good + "header = \"Host\"\n", "a.toml:2", "HTTP's own", "X-Api-Key"},
		"resource": {"profiles.d/a.toml", good + "resources = [\"https://user@x.example\"]\n", "a.toml:2",
			"user@x.example", "origin"},
		"redirect": {"profiles.d/a.toml", good + "redirect = \"https://x.example/\"\n", "a.toml:2", "127.0.0.1",
			"http://127.0.0.1/callback"},
		"session life": {"profiles.d/a.toml", good + "session_absolute = 9223372036854775807\n", "a.toml:2",
			"cannot live", "seconds"},
		"no session life": {"profiles.d/a.toml", good + "session_idle = -5\n", "a.toml:2", "cannot live", "seconds"},
		"line break":      {"profiles.d/a.toml", good + "audience = \"a\\nb\"\n", "a.toml:2", "line break", ""},
		"name":            {"profiles.d/A B.toml", good, "A B.toml\":1", "cannot be a profile's name", ""},
		"type in a table": {"config.toml", "[profiles.a]\n" + good + "[profiles.b]\n" + good + "scope = 7\n",
			"config.toml:5",
			"profiles.b.scope must be a text in quotes", "${EDITOR:-vi} /"},
		"key in a table": {"config.toml", "[profiles.a]\n" + good + "[profiles.b]\n" + good + "colour = 7\n",
			"config.toml:5", `unknown key "profiles.b.colour"`, "groat profile show"},
		"no table": {"config.toml", "[profiles]\na = 7\n", "config.toml:2", "", "${EDITOR:-vi} /"},
		"table": {"config.toml", "[profiles.a]\n" + good + "[profiles.b]\nprovider = \"nowhere\"\n",
			"config.toml:4", "nowhere", ""},
		"unknown table": {"config.toml", "[profile.a]\n" + good, "config.toml:1", "profile",
			"[profiles.NAME] and [network]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := place(t, map[string]string{c.file: c.text}).one(t)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			text := e.Error()
			if !strings.Contains(text, c.where+": ") || !strings.Contains(text, c.says) ||
				!strings.Contains(text+"\n"+e.Hint, c.help) || !command.MatchString(e.Hint) {
				t.Errorf("%s\nhint: %s", text, e.Hint)
			}
		})
	}
}

func TestOneNameInBothPlaces(t *testing.T) {
	d := place(t, map[string]string{
		"config.toml":       "\n[profiles.a]\nprovider = \"spatiafi\"\n",
		"profiles.d/a.toml": "provider = \"climateengine\"\n",
	})
	c, err := d.one(t)
	if c != nil && len(c.Profiles) > 0 {
		t.Errorf("one of the two is used: %v", c.Profiles)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(e.Error(), "config.toml:2: ") || !strings.Contains(e.Error(), "a.toml") ||
		!command.MatchString(e.Hint) {
		t.Errorf("got %v", err)
	}
}

func TestFilesThatOthersCouldWriteAreRefused(t *testing.T) {
	d := place(t, map[string]string{"profiles.d/a.toml": "provider = \"spatiafi\"\n"})
	file := d.profileFile("a")
	for name, spoil := range map[string]func() error{
		"mode":  func() error { return os.Chmod(file, 0o666) },
		"owner": func() error { return errors.Join(os.Chmod(file, 0o600), os.Chown(file, 4242, 4242)) },
		"type":  func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
	} {
		if name == "owner" && tier.Quick() && os.Geteuid() != 0 {
			continue
		}
		if err := spoil(); err != nil {
			t.Fatalf("%s: %v (this test needs root)", name, err)
		}
		_, err := d.one(t)
		if _, ok := errors.AsType[*Error](err); !ok && os.Geteuid() == 0 {
			t.Errorf("%s: %v", name, err)
		}
		os.Chown(file, 0, 0)
	}
}

func TestAt(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]Dir{
		"/a/b/groat/":     {path: "/a/b/groat", file: "/a/b/groat/config.toml"},
		os.DevNull:        {file: os.DevNull},
		dir:               {path: dir, file: dir + "/config.toml"},
		"/a/b/groat.toml": {path: "/a/b", file: "/a/b/groat.toml"},
	} {
		got, err := At(path)
		if err != nil || got != want {
			t.Errorf("At(%q) = %+v, %v", path, got, err)
		}
	}
	for _, path := range []string{"", "relative.toml"} {
		if _, err := At(path); err == nil {
			t.Errorf("At(%q) took a path that is not absolute", path)
		}
	}
}

// What is wrong with one profile takes away that one, and no other.
func TestAWrongProfileTakesItselfAway(t *testing.T) {
	const good = "provider = \"spatiafi\"\n"
	for name, c := range map[string]struct {
		files  map[string]string
		spoil  func(d Dir) error
		broken string // the name
		says   string
	}{
		"no TOML": {files: map[string]string{"profiles.d/bad.toml": "oops"}, broken: "bad", says: "bad.toml:1: "},
		"a key":   {files: map[string]string{"profiles.d/bad.toml": "x = 1"}, broken: "bad", says: `key "x"`},
		"a value": {files: map[string]string{"profiles.d/bad.toml": "provider = \"x\""}, broken: "bad",
			says: `provider "x"`},
		"a name": {files: map[string]string{"profiles.d/B D.toml": good}, broken: `"B D"`, says: "profile's name"},
		"a table's key": {files: map[string]string{"config.toml": "[profiles.bad]\nx = 1\n"}, broken: "bad",
			says: "config.toml:2: "},
		"a table's type": {files: map[string]string{"config.toml": "[profiles.bad]\nprovider = 1\n"}, broken: "bad",
			says: "config.toml:2: "},
		"a table's value": {files: map[string]string{"config.toml": "[profiles.bad]\nprovider = \"x\"\n"}, broken: "bad",
			says: "config.toml:2: "},
		"a table's name": {files: map[string]string{"config.toml": "[profiles.\"B D\"]\n" + good}, broken: `"B D"`,
			says: "profile's name"},
		"both places": {files: map[string]string{"config.toml": "[profiles.bad]\n" + good, "profiles.d/bad.toml": good},
			broken: "bad", says: "stands here and in "},
		"both places, one wrong": {files: map[string]string{"config.toml": "[profiles.bad]\nx = 1\n",
			"profiles.d/bad.toml": good}, broken: "bad", says: "stands here and in "},
		"a directory": {files: map[string]string{"profiles.d/bad.toml/x": ""}, broken: "bad", says: "not a regular file"},
		"another's": {files: map[string]string{"profiles.d/bad.toml": good}, broken: "bad", says: "may be written by others",
			spoil: func(d Dir) error { return os.Chmod(d.profileFile("bad"), 0o666) }},
		"a dead link": {broken: "bad", says: "nothing is there",
			spoil: func(d Dir) error { return os.Symlink("/nowhere", d.profileFile("bad")) }},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"profiles.d/one.toml": good, "profiles.d/two.toml": good}
			maps.Copy(files, c.files)
			files["config.toml"] += "[profiles.three]\n" + good
			d := place(t, files)
			if c.spoil != nil {
				if err := c.spoil(d); err != nil {
					t.Fatal(err)
				}
			}
			all, err := d.Load()
			if err != nil {
				t.Fatal(err)
			}
			if used := slices.Sorted(maps.Keys(all.Profiles)); !slices.Equal(used, []string{"one", "three", "two"}) {
				t.Errorf("in use are %q", used)
			}
			e := all.Broken[c.broken]
			if e == nil || !strings.Contains(e.Error(), c.says) || e.Hint == "" || len(all.Broken) != 1 {
				t.Fatalf("cannot be used: %v", all.Broken)
			}
			if _, err := d.Save(Profile{Name: "four", Provider: "spatiafi"}); err != nil {
				t.Errorf("another one cannot be saved: %v", err)
			}
			if _, err := d.SetNetwork("no_proxy", "localhost"); err != nil {
				t.Errorf("the network's settings cannot be: %v", err)
			}
			if _, err := d.Save(Profile{Name: "bad", Provider: "spatiafi"}); c.broken == "bad" && err == nil {
				t.Error("it was written over")
			}
		})
	}
}
