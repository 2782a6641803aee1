package profile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/config"
	"github.com/groat-dev/groat/daemon/origin"
	"github.com/groat-dev/groat/daemon/profile"
)

// listing is a profile with what it lists.
func listing(name string, apis ...string) *profile.Profile {
	return &profile.Profile{Profile: config.Profile{Name: name}, APIs: apis}
}

// Which of several profiles a target, a name and a user name mean.
func TestWhoseTargetItIs(t *testing.T) {
	const h = "https://h:443"
	s := profile.NewSet(listing("all", h, "https://alone:443"), listing("team", h+"/team", h+"/team/sub"),
		listing("me", h+"/me", h+"/team/sub"), listing("other", "https://o:443/a"))
	owner := "" // whose the client id x is
	for _, c := range []struct {
		target, name, username, owner string
		want                          string // a profile, or of the error
	}{
		{"https://h/", "", "", "", "all"},
		{"https://h/x", "", "", "", "all"},
		{"https://h/team", "", "", "", "team"},
		{"https://h/team/x", "", "", "", "team"},
		{"https://h/team/../x", "", "", "", "all"},
		{"https://h/teamx", "", "", "", "all"},
		{"https://h/team/sub/x", "", "", "", "more than one profile lists https://h/team/sub as an API: me, team"},
		{"https://h/team/sub/x", "", "me", "", "me"},
		{"https://h/team/sub/x", "me", "", "", "me"},
		{"https://h/team/sub/x", "", "all", "", "all"},
		{"https://h/team/sub/x", "", "x", "", "and the user name \"x\" is none of theirs: me, team"},
		{"https://h/team/sub/x", "", "x", "team", "team"},
		{"https://h/team/sub/x", "", "x", "all", "all"},
		{"https://h/team/x", "", "other", "", "team"}, // which does not list it
		{"https://h/team/x", "all", "", "", "all"},
		{"https://h/team/x", "all", "team", "", "all"},
		{"https://h/x", "team", "", "", "profile team does not list https://h/x as an API"},
		{"https://h/x", "none", "", "", `there is no profile "none"`},
		{"https://alone", "", "x", "", "all"},
		{"https://o", "", "", "",
			"no profile lists all of https://o, and there is no path that chooses: other lists https://o/a"},
		{"https://o/b", "", "", "", "no profile lists https://o/b as an API"},
		{"https://p", "", "", "", "no profile lists https://p as an API"},
		{"https://p/" + strings.Repeat("x", 900), "", "", "", "x… as an API"},
	} {
		target, err := origin.ParseTarget(c.target)
		if err != nil {
			t.Fatal(err)
		}
		owner = c.owner
		w := profile.Wanted{Name: c.name, Target: target, Username: c.username,
			Knows: func(p *profile.Profile) (bool, error) { return c.username == "x" && p.Name == owner, nil }}
		got := ""
		if p, err := s.Pick(w); err == nil {
			got = p.Name
		} else if got = err.Error(); len(got) > 300 {
			t.Errorf("%s: %d bytes", c.target, len(got))
		}
		if got != c.want && (!strings.Contains(c.want, " ") || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%s as %q, user name %q: %s, want %s", c.target, c.name, c.username, got, c.want)
		}
		// Where credentials would have to be read, and may not be, there is no answer instead of a wrong one.
		w.Knows = nil
		if p, err := s.Pick(w); err == nil && p.Name != c.want || err != nil && c.username == "" && err.Error() != got {
			t.Errorf("%s without a look: %v, %v", c.target, p, err)
		}
	}
}

// The choices of an error are sorted by name, and a sentence names a few of them.
func TestChoices(t *testing.T) {
	var all []*profile.Profile
	var names []string
	for _, name := range strings.Fields("a b c d e f g h") {
		all, names = append(all, listing(name, "https://h:443")), append(names, name)
	}
	slices.Reverse(all)
	_, err := profile.NewSet(all...).Pick(profile.Wanted{Target: origin.Target{Origin: "https://h:443"}})
	e, ok := errors.AsType[*profile.UnknownError](err)
	if !ok || e.Matches != len(all) || !strings.HasSuffix(e.Error(), ": a, b, c, d, e, …") {
		t.Fatal(err)
	}
	for i, l := range e.Choices {
		if l.Name != names[i] {
			t.Errorf("choice %d is %s", i, l.Name)
		}
	}
}

// Where it cannot be decided whose a user name is, nothing is picked. A profile that is known to be the one that was
// asked for is, whatever can be said of the others.
func TestWhatCannotBeDecidedIsNotPicked(t *testing.T) {
	s := profile.NewSet(listing("alice", "https://h:443/team"), listing("bob", "https://h:443"))
	locked := errors.New("locked")
	target, err := origin.ParseTarget("https://h/team/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		username, unreadable, owner string
		want                        string
	}{
		{"x", "", "bob", "bob"},
		{"x", "", "", "alice"},
		{"x", "alice", "bob", "bob"},
		{"x", "bob", "alice", "alice"},
		{"x", "bob", "bob", ""},
		{"x", "alice", "", ""},
		{"bob", "alice", "", "bob"},
		{"", "bob", "", "alice"},
	} {
		p, err := s.Pick(profile.Wanted{Target: target, Username: c.username,
			Knows: func(p *profile.Profile) (bool, error) {
				if p.Name == c.unreadable {
					return false, locked
				}
				return p.Name == c.owner, nil
			}})
		if c.want == "" && !errors.Is(err, locked) || c.want != "" && (err != nil || p.Name != c.want) {
			t.Errorf("%+v: %v, %v", c, p, err)
		}
	}
}
