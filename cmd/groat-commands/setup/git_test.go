package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// work is a profile with a whole server, and with a part of one.
var work = setup.Profile{Name: "work", APIs: []string{"https://git.example.org", "https://forge.example:8443/team"}}

// gitValues asks git for every value of a key that counts for a URL, in a home.
func gitValues(t *testing.T, m *setup.Machine, key string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "config", "--null", "--get-all", key)
	cmd.Env = []string{"HOME=" + m.Home, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1"}
	cmd.Dir = m.Home
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git config %s: %v", key, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Whatever a person's configuration is like, git asks groat alone for the profile's servers afterwards, and the undo
// leaves it as it was, byte for byte.
func TestGit(t *testing.T) {
	tier.Needs(t, "git")
	const helper = "/opt/groat/bin/groat helper git"
	for name, tt := range map[string]struct {
		at, content string
		mode        os.FileMode
		link        string // of ~/.gitconfig
	}{
		"missing":        {},
		"empty":          {at: ".gitconfig", mode: 0o644},
		"private":        {at: ".gitconfig", content: "[user]\n\tname = Ann\n", mode: 0o600},
		"no end of line": {at: ".gitconfig", content: "[user]\n\tname = Ann", mode: 0o644},
		"CRLF":           {at: ".gitconfig", content: "[user]\r\n\tname = Ann\r\n", mode: 0o644},
		"BOM":            {at: ".gitconfig", content: "\ufeff[user]\n\tname = Ann\n", mode: 0o644},
		"comments": {at: ".gitconfig", content: "# mine\n[user] ; and this\n   name = \"Ann # no comment\"\n\n\n# end",
			mode: 0o664},
		"include": {at: ".gitconfig", content: "[include]\n\tpath = other\n[includeIf \"gitdir:~/w/\"]\n\tpath = ~/w\n",
			mode: 0o644},
		"another helper": {at: ".gitconfig", content: "[credential]\n\thelper = store\n", mode: 0o644},
		"another helper of the server": {at: ".gitconfig", mode: 0o644, content: "[credential " +
			"\"https://git.example.org\"]\n\thelper = store\n\tusername = ann\n[credential]\n\thelper = cache\n"},
		"groat by hand": {at: ".gitconfig", mode: 0o644, content: "[credential \"https://git.example.org\"]\n" +
			"\thelper = \n\thelper = !groat helper git\n"},
		"XDG":             {at: ".config/git/config", content: "[user]\n\tname = Ann\n", mode: 0o644},
		"link":            {at: "dotfiles/git", content: "[user]\n", mode: 0o640, link: "dotfiles/git"},
		"link to nothing": {link: "dotfiles.git"},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			if tt.at != "" {
				write(t, filepath.Join(m.Home, tt.at), tt.content, tt.mode)
			}
			if tt.link != "" {
				if err := os.Symlink(tt.link, filepath.Join(m.Home, ".gitconfig")); err != nil {
					t.Fatal(err)
				}
			}
			goesBack(t, m, setup.Find("git"), work, func() {
				for _, api := range work.APIs {
					values := gitValues(t, m, "credential."+api+".helper")
					if n := len(values); n < 2 || values[n-2] != "" || values[n-1] != helper {
						t.Errorf("%s: %q", api, values)
					}
				}
				if got := gitValues(t, m, "credential."+work.APIs[1]+".usehttppath"); !slices.Equal(got, []string{"true"}) {
					t.Errorf("%q", got)
				}
				if b, err := os.ReadFile(filepath.Join(m.Home, tt.at)); tt.at != "" && (err != nil ||
					!strings.HasPrefix(string(b), tt.content)) {
					t.Errorf("%q %v", b, err)
				}
			})
		})
	}
}

// What git could not read, or groat should not replace, is left as it is.
func TestGitIsRefused(t *testing.T) {
	tier.Needs(t, "git")
	for name, tt := range map[string]struct {
		make func(path string) error
		want setup.Reason
		line int
	}{
		"not parseable": {func(p string) error { return os.WriteFile(p, []byte("[user]\n\tname = a\n[bad\n"), 0o644) },
			setup.BadLine, 3},
		"binary":    {func(p string) error { return os.WriteFile(p, []byte{0, 1, 2, 0xff}, 0o644) }, setup.BadLine, 1},
		"read-only": {func(p string) error { return os.WriteFile(p, []byte("[user]\n"), 0o444) }, setup.ReadOnly, 0},
		"directory": {func(p string) error { return os.Mkdir(p, 0o755) }, setup.NotRegular, 0},
		"device":    {func(p string) error { return os.Symlink("/dev/null", p) }, setup.NotRegular, 0},
		"loop":      {func(p string) error { return os.Symlink(p, p) }, setup.Unreadable, 0},
		"too large": {func(p string) error { return os.WriteFile(p, make([]byte, 2<<20), 0o644) }, setup.TooLarge, 0},
		"hard link": {func(p string) error {
			if err := os.WriteFile(p, []byte("[user]\n"), 0o644); err != nil {
				return err
			}
			return os.Link(p, p+".other")
		}, setup.OtherNames, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, ".gitconfig")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			before := tree(t, m)
			_, err := m.Setup(t.Context(), setup.Find("git"), work)
			e, _ := err.(*setup.Error)
			if e == nil || e.Reason != tt.want || e.Line != tt.line || e.Path != path {
				t.Errorf("%+v", e)
			}
			for p, is := range tree(t, m) {
				if before[p] != is {
					t.Errorf("%s is %q", p, is)
				}
			}
		})
	}
	m := machine(t)
	m.Find = func(string) string { return "" }
	if _, err := m.Setup(t.Context(), setup.Find("git"), work); reason(err) != setup.NotInstalled {
		t.Errorf("without git: %v", err)
	}
	m.Find = find
	if _, err := m.Setup(t.Context(), setup.Find("git"), setup.Profile{Name: "x"}); reason(err) != setup.NoAPI {
		t.Errorf("without an API: %v", err)
	}
}

// An undo takes away what groat wrote and leaves what came later, and says what it could not take back.
func TestGitUndoLeavesWhatCameLater(t *testing.T) {
	tier.Needs(t, "git")
	const start = "[user]\n\tname = Ann\n"
	for name, tt := range map[string]struct {
		later func(content string) string
		want  string
		left  int
	}{
		"something after it": {func(c string) string { return c + "[core]\n\tpager = less\n" },
			start + "[core]\n\tpager = less\n", 0},
		"something before it": {func(c string) string { return "[core]\n\tpager = less\n" + c },
			"[core]\n\tpager = less\n" + start, 0},
		"a key in the section": {func(c string) string { return c + "\tusername = ann\n" },
			start + "[credential \"https://forge.example:8443/team\"]\n\tusername = ann\n", 0},
		"all of it is gone": {func(string) string { return "[core]\n" }, "[core]\n", 2},
		"another helper": {func(c string) string { return strings.Replace(c, "/opt/groat/bin/groat", "cache", 1) },
			start + "# groat setup git work\n[credential \"https://git.example.org\"]\n\thelper =\n" +
				"\thelper = \"cache helper git\"\n", 1},
		"back to the start": {func(string) string { return start }, start, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine(t)
			path := filepath.Join(m.Home, ".gitconfig")
			write(t, path, start, 0o644)
			plan, err := m.Setup(t.Context(), setup.Find("git"), work)
			apply(t, plan, err)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, tt.later(string(b)), 0o644)
			plan, err = m.Undo(setup.Find("git"), "work")
			if left := apply(t, plan, err).Left; len(left) != tt.left {
				t.Errorf("left: %v", left)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != tt.want {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

// A helper that comes to stand after groat's is outweighed by the next call, a new place of groat is written, and an
// API that the profile does not list any more goes.
func TestGitIsSetUpAnew(t *testing.T) {
	tier.Needs(t, "git")
	const start = "[user]\n\tname = Ann\n"
	m := machine(t)
	path := filepath.Join(m.Home, ".gitconfig")
	write(t, path, start, 0o644)
	plan, err := m.Setup(t.Context(), setup.Find("git"), work)
	apply(t, plan, err)
	m.Groat = "/usr/local/my bin/groat"
	less := setup.Profile{Name: "work", APIs: work.APIs[:1]}
	want := "# groat setup git work\n[credential \"https://git.example.org\"]\n\thelper =\n" +
		"\thelper = \"!'/usr/local/my bin/groat' helper git\"\n"
	plan, err = m.Setup(t.Context(), setup.Find("git"), less)
	apply(t, plan, err)
	if b, err := os.ReadFile(path); err != nil || string(b) != start+want {
		t.Errorf("%q %v", b, err)
	}
	const store = "[credential]\n\thelper = store\n"
	write(t, path, start+want+store, 0o644)
	plan, err = m.Setup(t.Context(), setup.Find("git"), less)
	apply(t, plan, err)
	if b, err := os.ReadFile(path); err != nil || string(b) != start+store+want {
		t.Errorf("%q %v", b, err)
	}
	if got := m.Profiles("git"); !slices.Equal(got, []string{"work"}) {
		t.Errorf("%v", got)
	}
	plan, err = m.Undo(setup.Find("git"), "work")
	apply(t, plan, err)
	if b, err := os.ReadFile(path); err != nil || string(b) != start+store {
		t.Errorf("%q %v", b, err)
	}
}

// Two profiles with one server are set up and taken back each for itself.
func TestGitTwoProfiles(t *testing.T) {
	tier.Needs(t, "git")
	m := machine(t)
	home := setup.Profile{Name: "home", APIs: work.APIs[:1]}
	goesBack(t, m, setup.Find("git"), work, func() {
		goesBack(t, m, setup.Find("git"), home, func() {
			if got := m.Profiles("git"); !slices.Equal(got, []string{"home", "work"}) {
				t.Errorf("%v", got)
			}
		})
	})
}
