package importer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/daemon/grant/preset"
	"github.com/groat-dev/groat/daemon/importer"
	"github.com/groat-dev/groat/keystore"
)

// Dummies. Every secret has "dummy" in it, which is how a leak is found.
const (
	uuid    = "11111111-2222-4333-8444-555555555555"
	secret  = "dummy-secret-not-real-0123456789-abcdefghij" // 43 characters
	refresh = "dummy-refresh-token"
	planet  = "49lHVBYlXCdfIYqE1B9zeXt0iFHSXees"
	es      = "b9DtAFBd6QvMg761vI3YhYquNZbJX5G0"
)

// testHome is a scratch home and environment.
type testHome struct {
	t     *testing.T
	home  string
	vars  map[string]string
	goos  string
	taken []string
}

// newTestHome writes files, by their paths below the home, each readable by its owner alone.
func newTestHome(t *testing.T, files map[string]string, vars map[string]string) *testHome {
	t.Helper()
	w := &testHome{t: t, home: t.TempDir(), vars: map[string]string{"TMPDIR": t.TempDir()}, goos: "linux"}
	maps.Copy(w.vars, vars)
	for name, text := range files {
		w.write(name, text)
	}
	return w
}

func (w *testHome) path(name string) string { return filepath.Join(w.home, name) }

func (w *testHome) write(name, text string) {
	w.t.Helper()
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *testHome) env() importer.Env {
	return importer.Env{
		Home: w.home, GOOS: w.goos,
		Taken: func(name string) bool { return slices.Contains(w.taken, name) },
		Getenv: func(name string) string {
			if !slices.Contains(importer.Variables(), name) {
				w.t.Errorf("%s is asked for, but not in Variables", name)
			}
			return w.vars[name]
		},
	}
}

// find runs Find and holds every row to what is true for all of them; nothing in the home may have changed.
func (w *testHome) find() []importer.Candidate {
	w.t.Helper()
	before := w.snapshot()
	found, err := importer.Find(w.t.Context(), w.env())
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.snapshot()); diff != "" {
		w.t.Errorf("the home was changed:\n%s", diff)
	}
	sound(w.t, found)
	return found
}

// snapshot is each file's name, mode and content.
func (w *testHome) snapshot() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(w.home, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			all[path] += string(text)
			return err
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// sound checks what holds for every row: a valid name of its own, a target that the presets know, no secret in words.
func sound(t *testing.T, found []importer.Candidate) {
	t.Helper()
	names := map[string]bool{}
	for _, f := range found {
		if !validName(f.Name) || names[f.Name] {
			t.Errorf("%q is no name, or another row's too", f.Name)
		}
		names[f.Name] = true
		for _, text := range []string{fmt.Sprintf("%v", f), fmt.Sprintf("%+v", f), fmt.Sprintf("%#v", f)} {
			if strings.Contains(text, "dummy") {
				t.Errorf("%s: a secret is in words", f.Name)
			}
			if strings.ContainsRune(text, 0) {
				t.Errorf("a place for a name is left: %q", text)
			}
		}
		if f.Importable() == f.Item.Equal(keystore.Item{}) {
			t.Errorf("%s: importable %v, but the item says otherwise", f.Name, f.Importable())
		}
		if f.Importable() {
			reachable(t, f)
		} else if f.Hint == "" {
			t.Errorf("%s: no next command after %q", f.Name, f.Reason)
		}
		for _, c := range f.Copies {
			if c.Path == "" && len(c.Variables) == 0 || c.Path != "" && len(c.Variables) > 0 {
				t.Errorf("%s: a copy is nowhere or in two places: %+v", f.Name, c)
			}
		}
	}
}

// reachable makes sure that the target is a preset that offers the grant, or a server described in full.
func reachable(t *testing.T, f importer.Candidate) {
	t.Helper()
	if f.Target.Provider == "" {
		if f.Target.Issuer == "" || f.Target.Grant == "" || f.Target.ClientAuth == "" {
			t.Errorf("%s: neither a provider nor a whole server: %+v", f.Name, f.Target)
		}
		return
	}
	for _, name := range append(f.Target.Either, f.Target.Provider) {
		if p, ok := preset.Lookup(name); !ok || !slices.Contains(p.Grants, f.Target.Grant) {
			t.Errorf("%s: there is no provider %q with %q", f.Name, name, f.Target.Grant)
		}
	}
	if _, err := keystore.EncodeItem(f.Item); err != nil {
		t.Errorf("%s: the keystore would not take it: %v", f.Name, err)
	}
}

func validName(name string) bool {
	if name == "" || len(name) > 64 || strings.ContainsRune("._-", rune(name[0])) {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// line is a row in one line: what is in it, or why it is refused.
func line(f importer.Candidate) string {
	if !f.Importable() {
		return fmt.Sprintf("%s: %s %s refused: %s", f.Name, f.System, f.What, f.Reason)
	}
	words := []string{f.Name + ":", f.System, f.What, "->"}
	t := f.Target
	for _, w := range []struct{ name, value string }{
		{"", t.Provider}, {"issuer=", t.Issuer}, {"token=", t.TokenEndpoint}, {"at=", t.AuthServer}, {"", t.Grant},
		{"auth=", t.ClientAuth}, {"scope=", t.Scope}, {"audience=", t.Audience}, {"redirect=", t.Redirect},
		{"id=", f.Item.ClientID}, {"secret=", f.Item.ClientSecret.Reveal()}, {"refresh=", f.Item.RefreshToken.Reveal()},
		{"apikey=", f.Item.APIKey.Reveal()}, {"keypassword=", f.Item.PrivateKeyPassword.Reveal()},
	} {
		if w.value != "" {
			words = append(words, w.name+w.value)
		}
	}
	if t.Header != nil {
		words = append(words, "header="+t.Header.Name+":"+t.Header.Prefix)
	}
	if !f.Item.PrivateKey.IsZero() {
		words = append(words, "privatekey")
	}
	if f.Confirm != "" {
		words = append(words, "(ask)")
	}
	if f.Shared {
		words = append(words, "(shared)")
	}
	return strings.Join(words, " ")
}

// check compares rows with lines.
func check(t *testing.T, found []importer.Candidate, want ...string) {
	t.Helper()
	var got []string
	for _, f := range found {
		got = append(got, line(f))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

// jwt returns a token with some claims and without a valid signature.
func jwt(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + part(payload) + ".ZHVtbXk"
}

// says fails if none of the texts contains the words.
func says(t *testing.T, words string, texts ...string) {
	t.Helper()
	if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, words) }) {
		t.Errorf("nothing says %q: %q", words, texts)
	}
}
