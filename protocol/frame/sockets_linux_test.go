package frame

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/tier"
	"github.com/groat-dev/groat/protocol/ownpath"
)

// placeVector is a line of testdata/places.jsonl; PROTOCOL.md says what its members mean.
type placeVector struct {
	Name       string
	UID        int
	Env        map[string]string
	Exists     map[string]string
	Place      Place
	ID         string
	Candidates []string
	Own, Plain *string
}

// view is the file system of a vector: what is not listed and stands above something that is, is root's.
func (v placeVector) view(t *testing.T) ownpath.View {
	all := map[string]ownpath.Entry{"/": {Mode: fs.ModeDir | 0o755}}
	for at := range v.Exists {
		for above := path.Dir(at); above != "/"; above = path.Dir(above) {
			all[above] = ownpath.Entry{Mode: fs.ModeDir | 0o755}
		}
	}
	for at, is := range v.Exists {
		var e ownpath.Entry
		var mode uint32
		if _, err := fmt.Sscanf(is, "%d %o", &e.UID, &mode); err != nil {
			t.Fatal(err)
		}
		e.GID, e.Mode = e.UID, fs.ModeDir|fs.FileMode(mode&0o777)
		if mode&0o1000 != 0 {
			e.Mode |= fs.ModeSticky
		}
		all[at] = e
	}
	return ownpath.View{UID: v.UID, GID: v.UID, Lstat: func(at string) (ownpath.Entry, error) {
		e, ok := all[path.Clean(at)]
		if !ok {
			return e, fs.ErrNotExist
		}
		return e, nil
	}}
}

// Places, their ids and the paths of their sockets are the same in every language.
func TestH1PlaceVectors(t *testing.T) {
	text, err := os.ReadFile("../testdata/places.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(text) {
		var v placeVector
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		n++
		t.Run(v.Name, func(t *testing.T) {
			getenv := func(name string) string { return v.Env[name] }
			place, err := PlaceOf(getenv, "")
			if err != nil || place != v.Place || place.ID() != v.ID {
				t.Fatalf("%v, %s, %v; want %v, %s", place, place.ID(), err, v.Place, v.ID)
			}
			var dirs []string
			for c := range candidates(v.UID, getenv, place) {
				dirs = append(dirs, c.dir)
			}
			if !slices.Equal(dirs, v.Candidates) {
				t.Errorf("candidates %q, want %q", dirs, v.Candidates)
			}
			s, err := socketsIn(v.view(t), getenv, place, place.ID())
			if v.Own == nil {
				if err == nil {
					t.Errorf("%+v, want none", s)
				}
				return
			}
			if err != nil || s.Own != *v.Own || s.Plain != *v.Plain || len(s.Own) > 103 {
				t.Errorf("%+v, %v; want %s and %s", s, err, *v.Own, *v.Plain)
			}
		})
	}
	if n < 20 {
		t.Errorf("only %d vectors", n)
	}
}

// A path that is given is used or refused, never mended.
func TestH2PlaceRefused(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"configuration": {"HOME": "/h", "GROAT_CONFIG": "c"},
		"state":         {"HOME": "/h", "GROAT_STATE_DIR": "s"},
	} {
		if p, err := PlaceOf(func(name string) string { return env[name] }, ""); err == nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	p, err := PlaceOf(func(string) string { return "" }, "/x/config.toml")
	if u, ok := ownpath.LocalUser(os.Geteuid()); !ok || err != nil || p.Home != u.Home || p.Configuration != "/x" {
		t.Errorf("without HOME: %v, %v", p, err)
	}
}

// A home that others own matters only if something of the place stands in it.
func TestH3HomeOfAnother(t *testing.T) {
	tier.NeedsRoot(t)
	home := t.TempDir()
	if err := os.Chown(home, 4242, 4242); err != nil {
		t.Fatal(err)
	}
	err := UsualPlace(home).CheckHome()
	if err == nil || !strings.Contains(err.Error(), "HOME="+home) ||
		!strings.Contains(err.Error(), "belongs to uid 4242, and you are root (uid 0)") {
		t.Error(err)
	}
	if err := (Place{Home: home, Configuration: "/c", State: "/s"}).CheckHome(); err != nil {
		t.Error(err)
	}
	if err := UsualPlace(home + "/none").CheckHome(); err != nil {
		t.Error(err)
	}
}

// In a container everything stands in the home "/": what the environment names itself is not in it, and is used.
func TestH83HomeIsTheRoot(t *testing.T) {
	for name, c := range map[string]struct {
		place Place
		in    string
	}{
		"nothing named": {UsualPlace("/"), "/.config/groat"},
		"one of two":    {Place{Home: "/", Configuration: "/c", State: "/.local/state/groat"}, "/.local/state/groat"},
		"both":          {Place{Home: "/", Configuration: "/tmp/c", State: "/tmp/s"}, ""},
		"another home":  {Place{Home: "/h", Configuration: "/h/x", State: "/s"}, "/h/x"},
	} {
		if in := c.place.inHome(); in != c.in {
			t.Errorf("%s: %q, want %q", name, in, c.in)
		}
	}
}
