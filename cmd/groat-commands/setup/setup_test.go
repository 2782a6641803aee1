package setup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
)

// machine is a home of a test's own, where groat is installed.
func machine(t *testing.T) *setup.Machine {
	t.Helper()
	home := t.TempDir()
	return &setup.Machine{Home: home, State: filepath.Join(home, "state"), Groat: "/opt/groat/bin/groat",
		Getenv: func(string) string { return "" }, Find: find}
}

func find(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// write writes a file of a home, with the directories above it.
func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// tree is everything below a home but groat's own state: what a path is, its mode and its content.
func tree(t *testing.T, m *setup.Machine) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(m.Home, func(path string, d fs.DirEntry, err error) error {
		if path == m.State {
			return fs.SkipDir
		}
		info, statErr := os.Lstat(path)
		if err = errors.Join(err, statErr); err != nil {
			return err
		}
		is := info.Mode().String()
		switch {
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			all[path] = is + " " + to
			return err
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			all[path] = is + " " + string(b)
			return err
		}
		all[path] = is
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// apply makes a plan and applies it.
func apply(t *testing.T, plan *setup.Plan, err error) *setup.Plan {
	t.Helper()
	if err == nil {
		err = plan.Apply()
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// goesBack sets a tool up twice and undoes it: the second time there is nothing to do, and in the end everything is as
// it was. check is called in between.
func goesBack(t *testing.T, m *setup.Machine, tool *setup.Tool, p setup.Profile, check func()) {
	t.Helper()
	before := tree(t, m)
	plan, err := m.Setup(t.Context(), tool, p)
	if len(apply(t, plan, err).Changes) == 0 {
		t.Fatal("nothing was changed")
	}
	check()
	if plan, err = m.Setup(t.Context(), tool, p); err != nil || len(plan.Changes) > 0 {
		t.Errorf("the second time: %+v %v", plan, err)
	}
	plan, err = m.Undo(tool, p.Name)
	if left := apply(t, plan, err).Left; len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if diff := cmp.Diff(before, tree(t, m)); diff != "" {
		t.Error(diff)
	}
	if _, err := m.Undo(tool, p.Name); reason(err) != setup.NotSetUp {
		t.Errorf("the second time: %v", err)
	}
}

func reason(err error) setup.Reason {
	if e, ok := errors.AsType[*setup.Error](err); ok {
		return e.Reason
	}
	return 0
}

// A plan that was made before someone else changed the file is not applied.
func TestAFileThatChangesMeanwhile(t *testing.T) {
	m := machine(t)
	path := filepath.Join(m.Home, ".gitconfig")
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "[user]\n", 0o644)
	if err := plan.Apply(); reason(err) != setup.Changed {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "[user]\n" {
		t.Errorf("%q %v", b, err)
	}
	write(t, path+".lock", "", 0o600) // git is changing it
	plan, err = m.Setup(t.Context(), setup.Find("git"), work)
	if err == nil {
		err = plan.Apply()
	}
	if reason(err) != setup.Busy {
		t.Errorf("%v", err)
	}
	unlock, err := m.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Lock(); reason(err) != setup.BeingSetUp {
		t.Errorf("%v", err)
	}
	unlock()
}

// What is shown of a change is the lines that differ; of a line that changes in part, that part.
func TestLines(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{"", "a\nb\n", "1+a 2+b"},
		{"a\nb\n", "a\nx\ny\nb\n", "2+x 3+y"},
		{"a\nb\nc\nd\n", "x\nb\nd\n", "1-a 1+x 3-c"},
		{"a\nb\n", "", "1-a 2-b"},
		{"a", "a\nb\n", "2+b"},
		{"x\r\n", "x\r\ny\r\n", "2+y"},
		{`{"auth":"secret"}`, `{"auth":"secret","h":1}`, `1+…,"h":1…`},
		{`{"auth":"secret","h":2}`, `{"auth":"secret","h":1}`, `1-…"h":2… 1+…"h":1…`},
		{`{"h":"gcloud","auth":"secret"}`, `{"h":"groat","auth":"secret"}`, `1-…"h":"gcloud"… 1+…"h":"groat"…`},
		{`{"auth":"secret"}`, `{"auth":"secret","h":"set"}`, `1+…,"h":"set"…`},
		{`{"k":["secret"]}`, `{"k":["sgroat","secret"]}`, `1+…"sgroat","…`},
		{"key = old # x\n", "key = new # x\n", "1-…key = old… 1+…key = new…"},
		{"AUTH=git a\n", "AUTH=groat; git a\n", "1+…AUTH=groat; …"},
		{"{\n \"auth\":\"secret\"\n}", "{\n \"auth\":\"secret\",\n \"h\":1\n}", "2+…,… 3+ \"h\":1"},
		{"{\n \"auth\":\"secret\",\n \"h\":1\n}", "{\n \"auth\":\"secret\"\n}", "2-…,… 3- \"h\":1"},
		{"{\n\"a\":1}, \"auth\":\"secret\"\n}", "{\n\"a\":1,\n\"h\":1}, \"auth\":\"secret\"\n}", "2+…,… 3+…\"h\":1…"},
		{" a: 1\n b: 2\n", " c: 3\n", "1- a: 1 2- b: 2 1+ c: 3"},
	} {
		var got []string
		for _, l := range (&setup.Change{Before: []byte(tt.before), After: []byte(tt.after)}).Lines() {
			sign, cut := "-", ""
			if l.Added {
				sign = "+"
			}
			if l.Cut {
				cut = "…"
			}
			got = append(got, string(rune('0'+l.Number))+sign+cut+l.Text+cut)
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%q to %q: %s, want %s", tt.before, tt.after, got, tt.want)
		}
	}
}

// Whatever a setting is put before, behind or between, a value that stays is not shown, and the setting is, whole.
func TestLinesAroundWhatStays(t *testing.T) {
	secrets := []string{"gs3cret", "s3cret-groat", "groat", `s3cret\"groat`, "s3cret"}
	for n := range 5000 {
		r := rand.New(rand.NewPCG(uint64(n), 1))
		var before []string
		for i := range r.IntN(4) {
			value := secrets[r.IntN(len(secrets))]
			before = append(before, fmt.Sprintf(`"%c%d":"s3cret-%s"`, "gs"[r.IntN(2)], i, value))
		}
		after := slices.Insert(slices.Clone(before), r.IntN(len(before)+1), `"groat.example":"groat"`)
		if n%2 == 0 { // in the place of another value
			before = slices.Insert(slices.Clone(before), slices.Index(after, `"groat.example":"groat"`),
				`"groat.example":"gcloud"`)
		}
		gap := []string{"", "\n", "\n  ", " "}[r.IntN(4)]
		text := func(all []string) []byte { return []byte("{" + gap + strings.Join(all, ","+gap) + gap + "}\n") }
		was, is := text(before), text(after)
		for _, c := range []setup.Change{{Before: was, After: is}, {Before: is, After: was}} {
			shown := ""
			for _, l := range c.Lines() {
				shown += l.Text + "\n"
			}
			if strings.Contains(shown, "s3cret") || !strings.Contains(shown, `"groat.example":"groat"`) {
				t.Fatalf("%s to %s: %q", c.Before, c.After, shown)
			}
		}
	}
}

// Of a long file too only what differs is shown, and nothing of what is between; of one that is another altogether,
// nothing.
func TestLinesOfALongFile(t *testing.T) {
	long := bytes.Repeat([]byte("a\nb\n"), 5000)
	for _, tt := range []struct {
		after []byte
		want  []setup.Line
	}{
		{slices.Concat([]byte("new\n"), long[2:9000], []byte("more\n"), long[9000:]),
			[]setup.Line{{Number: 1, Text: "a"}, {Number: 1, Added: true, Text: "new"},
				{Number: 4501, Added: true, Text: "more"}}},
		{bytes.Repeat([]byte("c\n"), 5000), []setup.Line{{Number: 1, Added: true, Cut: true}}},
	} {
		c := setup.Change{Before: long, After: tt.after}
		if diff := cmp.Diff(tt.want, c.Lines()); diff != "" {
			t.Error(diff)
		}
	}
}

// command is a program with a home that has nothing.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH")}
	return cmd
}

// Tools compare an address as text.
func TestAPI(t *testing.T) {
	for in, want := range map[string]string{
		"https://h:443": "https://h", "https://h:443/a/": "https://h/a", "https://h:80": "https://h:80",
		"http://127.0.0.1:80": "http://127.0.0.1", "https://[::1]:443/x": "https://[::1]/x", "https://h/": "https://h",
		"https://h:8443/a": "https://h:8443/a",
	} {
		if got := setup.API(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
