package profile_test

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
)

// table is a Table over a configuration directory of its own.
type table struct {
	*profile.Table
	dir     string
	changes int // how often the set was replaced
	reached int // how often servers were to be reached in another way
}

func newTable(t *testing.T) *table {
	t.Helper()
	for _, v := range slices.Concat([]string{"SSL_CERT_FILE", "SSL_CERT_DIR"}, grant.ProxyVariables,
		grant.NoProxyVariables) {
		t.Setenv(v, "") // tests are about what they set themselves
	}
	tab := &table{dir: filepath.Join(t.TempDir(), "config")}
	dir, err := config.At(tab.dir + "/")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(tab.dir, "profiles.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	network := new(grant.Network)
	tab.Table = profile.New(profile.Options{
		Config: dir, HTTP: &http.Client{}, Network: network, Now: clock.Now, Log: zaptest.NewLogger(t),
		Changed: func(_, now *profile.Set) { tab.changes++ }, NetworkChanged: func() { tab.reached++ },
	})
	tab.reload(t)
	return tab
}

func (tab *table) reload(t *testing.T) {
	t.Helper()
	if err := tab.Reload(); err != nil {
		t.Fatal(err)
	}
}

// write writes a file of the configuration as if that had been at a moment, by which a change is noticed.
func (tab *table) write(t *testing.T, name, text string, at time.Time) {
	t.Helper()
	file := filepath.Join(tab.dir, name)
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, at, at),
		os.Chtimes(filepath.Dir(file), at, at)); err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

const spatiafi = "provider = \"spatiafi\"\n"

func TestPick(t *testing.T) {
	tab := newTable(t)
	now := time.Now()
	pick := func(name, at string) string {
		t.Helper()
		p, err := tab.Snapshot().Pick(profile.Wanted{Name: name, Target: origin.Target{Origin: at}})
		if err != nil {
			if _, ok := errors.AsType[*profile.UnknownError](err); !ok {
				t.Errorf("%v", err)
			}
			return err.Error()
		}
		return p.Name
	}
	if got := pick("", ""); got != "there is no profile yet" {
		t.Error(got)
	}
	tab.write(t, "profiles.d/a.toml", spatiafi+"resources = [\"https://a.example\", \"https://both.example\"]\n", now)
	tab.reload(t)
	if got := pick("", ""); got != "a" {
		t.Errorf("the only profile: %s", got)
	}
	tab.write(t, "profiles.d/b.toml", spatiafi+"resources = [\"https://both.example\"]\n", now)
	tab.reload(t)
	for _, c := range []struct{ name, origin, want string }{
		{"a", "", "a"},
		{"b", "https://a.example:443", "profile b does not list https://a.example as an API"},
		{"b", "https://both.example:443", "b"},
		{"c", "https://a.example:443", `there is no profile "c"`},
		{"c", "", `there is no profile "c"`},
		{"", "https://a.example:443", "a"},
		{"", "https://c.example:443", "no profile lists https://c.example as an API"},
		{"", "https://both.example:443", "more than one profile lists https://both.example as an API: a, b"},
		{"", "", "there are 2 profiles: name one"},
	} {
		if got := pick(c.name, c.origin); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.name, c.origin, got, c.want)
		}
	}
	var after []string
	for p := range tab.Snapshot().After("a") {
		after = append(after, p.Name)
	}
	if !slices.Equal(after, []string{"b"}) || tab.Snapshot().Len() != 2 {
		t.Errorf("%q", after)
	}
}

// A profile whose configuration has not changed stays the same, with what its endpoint has learned; a file that cannot
// be used changes nothing.
func TestReload(t *testing.T) {
	tab := newTable(t)
	now := time.Now()
	tab.write(t, "profiles.d/a.toml", spatiafi, now)
	tab.reload(t)
	a := tab.Named("a")
	tab.write(t, "profiles.d/b.toml", "# one line further down\n"+spatiafi, now)
	tab.reload(t)
	if tab.Named("a") != a || tab.Named("b") == nil {
		t.Error("a is another one, or b is missing")
	}
	if fingerprint := a.Fingerprint(); len(fingerprint) != 64 || fingerprint == tab.Named("b").Fingerprint() {
		t.Errorf("%q", fingerprint)
	}
	tab.write(t, "profiles.d/a.toml", spatiafi+"scope = \"read\"\n", now)
	before := tab.Snapshot()
	tab.write(t, "config.toml", "nonsense = 1\n", now)
	if err := tab.Reload(); err == nil || tab.Snapshot() != before {
		t.Errorf("a file that cannot be used: %v", err)
	}
	tab.write(t, "config.toml", "", now)
	tab.reload(t)
	if p := tab.Named("a"); p == a || p.Scope != "read" || p.Fingerprint() == a.Fingerprint() {
		t.Errorf("%+v", p.Profile)
	}
}

// brokenB is how the error of a profile b with an unknown key ends.
const brokenB = `b.toml:1: unknown key "x"; groat profile show lists the keys`

// One that cannot be used counts as one, is the answer to its name, and is read again once its file has changed.
func TestAProfileThatCannotBeUsed(t *testing.T) {
	tab := newTable(t)
	old := time.Now().Add(-time.Hour)
	const listed = spatiafi + "resources = [\"https://a.example\"]\n"
	tab.write(t, "profiles.d/b.toml", "x = 1\n", old)
	tab.reload(t)
	pick := func(w profile.Wanted) string {
		p, err := tab.Find(w)
		if err != nil {
			return err.Error()
		}
		return p.Name
	}
	target := func(at string) profile.Wanted { return profile.Wanted{Target: origin.Target{Origin: at}} }
	if got := pick(profile.Wanted{}); !strings.HasSuffix(got, brokenB) {
		t.Errorf("the only one: %s", got)
	}
	tab.write(t, "profiles.d/a.toml", listed, old)
	tab.reload(t)
	as := target("https://a.example:443")
	as.Username = "b"
	for _, c := range []struct {
		wanted profile.Wanted
		want   string
	}{
		{profile.Wanted{}, "there are 2 profiles: name one"},
		{profile.Wanted{Name: "a"}, "a"},
		{profile.Wanted{Name: "b"}, brokenB},
		{target("https://a.example:443"), brokenB}, // it may list that too
		{as, brokenB},
		{target("https://b.example:443"), "no profile lists https://b.example as an API; profile b cannot be used"},
	} {
		if got := pick(c.wanted); !strings.HasSuffix(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.wanted, got, c.want)
		}
	}
	before := tab.changes
	for range 3 {
		pick(profile.Wanted{Name: "b"})
		pick(target("https://b.example:443"))
	}
	if tab.changes != before {
		t.Error("files that are as they were are read again and again")
	}
	if s := tab.Snapshot(); s.Named("b") != nil || !s.Knows("b") || s.Len() != 1 || s.Known() != 2 {
		t.Errorf("%+v", s)
	}
	tab.write(t, "profiles.d/b.toml", spatiafi+"resources = [\"https://b.example\"]\n", old)
	if got := pick(target("https://b.example:443")); got != "b" {
		t.Errorf("mended: %s", got)
	}
	// What is in use stays, also where config.toml describes it a second time, and goes with its file.
	b := tab.Named("b")
	tab.write(t, "config.toml", "[profiles.b]\n"+listed, old)
	tab.reload(t)
	if e := tab.Broken("b"); tab.Named("b") != b || e == nil || !strings.Contains(e.Error(), "stands here and in") {
		t.Errorf("described twice: %v", e)
	}
	if _, err := tab.Edit("b", func(p *config.Profile) error { p.Scope = "x"; return nil }); err == nil {
		t.Error("it was changed")
	}
	tab.write(t, "config.toml", "", old)
	if err := os.Remove(filepath.Join(tab.dir, "profiles.d", "b.toml")); err != nil {
		t.Fatal(err)
	}
	if tab.reload(t); tab.Snapshot().Knows("b") {
		t.Error("a profile that is described nowhere is known")
	}
}

// Where a profile that cannot be used lists a target as closely as the one that can, or may, no token is given. Once
// its file is right the next request has the right one, without a reload.
func TestAnotherIsNotTakenInItsPlace(t *testing.T) {
	const git, acme = "https://git.example", "https://git.example/acme"
	const wrong, several = "x = 1\n", "more than one profile lists"
	lists := func(apis string) string { return spatiafi + "resources = [\"" + apis + "\"]\n" }
	for name, c := range map[string]struct {
		home, work  string // what home lists, and work's file, while it is wrong
		target      string
		named, user string
		want, then  string // "" is an error about work; then is once work lists acme, where that is not "work"
	}{
		"lists it closer":    {home: git, work: lists(acme) + wrong, target: acme + "/secret"},
		"lists it elsewhere": {home: git, work: lists(acme) + wrong, target: git + "/b", want: "home", then: "home"},
		"the whole origin":   {home: git, work: lists(acme) + wrong, target: git, want: "home", then: "home"},
		"lists it as home":   {home: acme, work: lists(acme) + wrong, target: acme, then: several},
		"lists it less":      {home: acme, work: lists(git) + wrong, target: acme, want: "home", then: several},
		"less, with a user":  {home: acme, work: lists(git) + wrong, target: acme, user: "alice", then: several},
		"home is named": {home: git, work: lists(acme) + wrong, target: acme, named: "home", want: "home",
			then: "home"},
		"home is the user": {home: git, work: lists(acme) + wrong, target: acme, user: "home", want: "home",
			then: "home"},
		"no TOML":              {home: git, work: "= 1\n", target: acme},
		"an unknown provider":  {home: git, work: "provider = \"spatiafy\"\n", target: acme},
		"a slip for resources": {home: git, work: spatiafi + "resorces = [\"" + acme + "\"]\n", target: acme},
		"an API that is none":  {home: git, work: lists("git.example/acme"), target: acme},
		"its preset's alone":   {home: git, work: spatiafi + wrong, target: acme, want: "home"},
	} {
		t.Run(name, func(t *testing.T) {
			tab, old := newTable(t), time.Now().Add(-time.Hour)
			tab.write(t, "profiles.d/home.toml", lists(c.home), old)
			tab.write(t, "profiles.d/work.toml", c.work, old)
			tab.reload(t)
			target, err := origin.ParseTarget(c.target)
			if err != nil {
				t.Fatal(err)
			}
			find := func() (string, error) {
				p, err := tab.Find(profile.Wanted{Name: c.named, Target: target, Username: c.user})
				if err != nil {
					return err.Error(), err
				}
				return p.Name, nil
			}
			got, err := find()
			e, _ := errors.AsType[*config.Error](err)
			if c.want == "" && (e == nil || !strings.HasSuffix(e.File, "work.toml") || e.Line == 0 || e.Hint == "") ||
				c.want != "" && got != c.want {
				t.Errorf("%s, want %q", got, c.want)
			}
			tab.write(t, "profiles.d/work.toml", lists(acme), old)
			if c.want != "" { // nothing has told that the file is another one
				tab.reload(t)
			}
			if got, _ := find(); !strings.HasPrefix(got, cmp.Or(c.then, "work")) {
				t.Errorf("once it is right: %s, want %q", got, c.then)
			}
		})
	}
}

// What cannot be read may list anything; a profile that is in use as it was before lists what it did.
func TestAFileThatCannotBeRead(t *testing.T) {
	tab, old := newTable(t), time.Now().Add(-time.Hour)
	at := profile.Wanted{Target: origin.Target{Origin: "https://a.example:443"}}
	tab.write(t, "profiles.d/a.toml", spatiafi+"resources = [\"https://a.example\"]\n", old)
	gone := filepath.Join(tab.dir, "gone.toml")
	if err := os.Symlink(gone, filepath.Join(tab.dir, "profiles.d", "b.toml")); err != nil {
		t.Fatal(err)
	}
	tab.reload(t)
	if _, err := tab.Find(at); err == nil || !strings.Contains(err.Error(), "nothing is there") {
		t.Errorf("a link to nothing: %v", err)
	}
	tab.write(t, "gone.toml", spatiafi, old)
	if p, err := tab.Find(at); err != nil || p.Name != "a" {
		t.Errorf("what it leads to is there: %v", err)
	}
	tab.write(t, "gone.toml", "= 1", old)
	tab.reload(t)
	if p, err := tab.Find(at); err != nil || p.Name != "a" || tab.Broken("b") == nil {
		t.Errorf("one that is in use as it was: %v", err)
	}
}

// An ephemeral profile stays in use where a file of its name cannot be used, and none can be begun.
func TestEphemeralBesideAWrongFile(t *testing.T) {
	tab := newTable(t)
	for _, name := range []string{"a", "b"} {
		p, err := tab.Resolve(config.Profile{Name: name, Provider: "spatiafi"})
		if err != nil {
			t.Fatal(err)
		}
		p.Ephemeral = true
		saved, _, err := tab.Save(p)
		if saved != (name == "a") || (err == nil) != saved || saved && tab.CheckSave(p) != nil {
			t.Errorf("%s: %v, %v", name, saved, err)
		}
		for _, wrong := range []string{"a", "b"} {
			tab.write(t, "profiles.d/"+wrong+".toml", "x", time.Now())
		}
		if tab.reload(t); tab.Named("a") == nil || tab.Named("b") != nil {
			t.Error("a is gone, or b there")
		}
	}
}

// Until a configuration can be used, what is wrong with it is the answer.
func TestRefuse(t *testing.T) {
	for _, again := range []struct {
		how string
		do  func(tab *table) error
	}{
		{"a reload", func(tab *table) error { return tab.Reload() }},
		{"asking for a profile", func(tab *table) error { return second(tab.Find(profile.Wanted{Name: "a"})) }},
		{"listing all", func(tab *table) error { return tab.Usable().Err() }},
	} {
		tab := newTable(t)
		tab.write(t, "profiles.d/a.toml", spatiafi, time.Now())
		tab.write(t, "config.toml", "x", time.Now().Add(-time.Hour))
		broken, _ := errors.AsType[*config.Error](tab.Reload())
		if err := tab.Refuse(broken); err != nil {
			t.Fatal(err)
		}
		if err := second(tab.Find(profile.Wanted{Name: "a"})); err == nil || err.Error() != broken.Error() ||
			tab.Usable().Err() == nil {
			t.Errorf("%v", err)
		}
		tab.write(t, "config.toml", "", time.Now().Add(-time.Hour))
		if err := again.do(tab); err != nil || tab.Snapshot().Err() != nil {
			t.Errorf("mended, and after %s: %v", again.how, err)
		}
	}
}

// Where the files are as they were, a request for a profile that there is not reads none of them.
func TestH81NothingIsReadInVain(t *testing.T) {
	tab := newTable(t)
	old := time.Now().Add(-time.Hour)
	tab.write(t, "profiles.d/a.toml", spatiafi, old)
	if p, err := tab.Find(profile.Wanted{Name: "a"}); err != nil || p.Name != "a" {
		t.Fatalf("a profile that was written by hand: %v", err)
	}
	before := tab.changes
	for range 3 {
		_, err := tab.Find(profile.Wanted{Name: "none"})
		if _, unknown := errors.AsType[*profile.UnknownError](err); !unknown || tab.changes != before {
			t.Errorf("the files were read again: %v", err)
		}
	}
	// Files that cannot be used are read once a second at most.
	tab.write(t, "profiles.d/b.toml", "x", old.Add(time.Second))
	_, first := tab.Find(profile.Wanted{Name: "b"})
	if _, again := tab.Find(profile.Wanted{Name: "b"}); first == nil || again != first {
		t.Errorf("%v, then %v", first, again)
	}
}

// A user name that is nobody's has each credential looked at once, where the files are as they were.
func TestNoCredentialIsLookedAtTwice(t *testing.T) {
	tab := newTable(t)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"a", "b", "c"} {
		tab.write(t, "profiles.d/"+name+".toml", spatiafi+"resources = [\"https://api.example\"]\n", old)
	}
	tab.reload(t)
	asked := map[string]int{}
	_, err := tab.Find(profile.Wanted{Target: origin.Target{Origin: "https://api.example:443"}, Username: "nobody",
		Knows: func(p *profile.Profile) (bool, error) {
			asked[p.Name]++
			return false, nil
		}})
	if several, ok := errors.AsType[*profile.UnknownError](err); !ok || several.Matches != 3 {
		t.Errorf("%v", err)
	}
	if asked["a"] != 1 || asked["b"] != 1 || asked["c"] != 1 {
		t.Errorf("they were asked %v times", asked)
	}
}

// A saved profile stands in its file and is in use; removing it undoes both.
func TestSaveAndRemove(t *testing.T) {
	tab := newTable(t)
	p, err := tab.Resolve(config.Profile{Name: "a", Provider: "spatiafi"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tab.CheckSave(p); err != nil {
		t.Fatal(err)
	}
	if saved, replaced, err := tab.Save(p); !saved || replaced || err != nil || tab.Named("a") != p {
		t.Fatalf("%v, %v, %v", saved, replaced, err)
	}
	if saved, _, err := tab.Save(p); saved || err != nil {
		t.Errorf("saved again: %v, %v", saved, err)
	}
	next, err := tab.Resolve(config.Profile{Name: "a", Provider: "spatiafi", Scope: "read"})
	if err != nil {
		t.Fatal(err)
	}
	if saved, replaced, err := tab.Save(next); !saved || !replaced || err != nil || tab.Named("a") != next {
		t.Fatalf("%v, %v, %v", saved, replaced, err)
	}
	still := func(*profile.Profile) { t.Error("it is in no file any more") }
	if err := tab.Remove("a", still); err != nil || tab.Named("a") != nil {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(tab.dir, "profiles.d", "a.toml")); !os.IsNotExist(err) {
		t.Errorf("the file: %v", err)
	}
}

// An ephemeral profile is in no file, has no fingerprint, and cannot hide one that is in a file.
func TestEphemeral(t *testing.T) {
	tab := newTable(t)
	p, err := tab.Resolve(config.Profile{Name: "a", Provider: "spatiafi"})
	if err != nil {
		t.Fatal(err)
	}
	p.Ephemeral = true
	if saved, _, err := tab.Save(p); !saved || err != nil || tab.Named("a") != p || p.Fingerprint() != "" {
		t.Fatalf("%v, %v", saved, err)
	}
	tab.reload(t)
	if tab.Named("a") != p {
		t.Error("a reload lost it")
	}
	if err := tab.Remove("a", nil); err != nil || tab.Named("a") != nil {
		t.Errorf("%v", err)
	}
	tab.write(t, "config.toml", "[profiles.a]\n"+spatiafi, time.Now())
	tab.reload(t)
	if err := tab.CheckSave(p); err == nil || !strings.Contains(err.Error(), "--ephemeral") {
		t.Errorf("%v", err)
	}
	stays := false
	if err := tab.Remove("a", func(*profile.Profile) { stays = true }); err != nil || !stays {
		t.Errorf("%v; a profile of config.toml stays: %v", err, stays)
	}
	other, err := tab.Resolve(config.Profile{Name: "a", Provider: "spatiafi", Scope: "read"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tab.Save(other); err == nil || !strings.Contains(err.Error(), "never writes") {
		t.Errorf("%v", err)
	}
}

// A setting is in use at once and says where it stands; one that cannot be used changes nothing.
func TestSetNetwork(t *testing.T) {
	tab := newTable(t)
	if !tab.Network().Equal(profile.Network{}) {
		t.Fatalf("%+v", tab.Network())
	}
	if err := tab.SetNetwork("proxy", "http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	n := tab.Network()
	if n.Proxy == nil || n.Proxy.Value != "http://127.0.0.1:1" || !strings.Contains(n.Proxy.From, "network.toml:") ||
		tab.reached != 1 {
		t.Errorf("%+v, reached in another way %d times", n.Proxy, tab.reached)
	}
	if err := tab.SetNetwork("proxy", "http://alice:dummy-password@127.0.0.1:1"); err == nil ||
		strings.Contains(err.Error(), "dummy-password") {
		t.Errorf("a proxy with a password: %v", err)
	}
	if err := tab.SetNetwork("ca_file", filepath.Join(tab.dir, "none.pem")); err == nil {
		t.Error("a file that is not there was taken")
	}
	if !tab.Network().Equal(n) {
		t.Errorf("%+v", tab.Network())
	}
	if err := tab.SetNetwork("proxy", ""); err != nil || tab.Network().Proxy != nil {
		t.Errorf("%v, %+v", err, tab.Network())
	}
}

// Profiles of one server share its description, and those of another, or of another kind, do not.
func TestProfilesShareTheirServer(t *testing.T) {
	one, two := grant.Server{TokenEndpoint: "https://a.example/token", ClientAuth: grant.None}, grant.Server{}
	two = one
	two.ClientAuth = grant.ClientSecretBasic
	first := grant.NewEndpoint(one, nil, nil)
	for want, server := range map[bool]grant.Server{true: one, false: two} {
		e := grant.NewEndpoint(server, nil, nil)
		e.Share(first)
		e.Share(nil)
		if e.Server().ClientAuth != server.ClientAuth {
			t.Errorf("equal servers: %v: it has become another server", want)
		}
	}
}
