package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/groat-dev/groat/cmd/groat-commands/setup"
)

// dockerMachine has a docker, and groat in a directory of PATH that is the person's.
func dockerMachine(t *testing.T) *setup.Machine {
	t.Helper()
	m := machine(t)
	dir := filepath.Join(m.Home, "bin")
	m.Groat = filepath.Join(dir, "groat")
	write(t, m.Groat, "", 0o755)
	m.Getenv = func(name string) string { return map[string]string{"PATH": dir}[name] }
	m.Find = func(name string) string {
		if name == "docker" {
			return "/usr/bin/docker"
		}
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
		return ""
	}
	return m
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

var images = setup.Profile{Name: "images", APIs: []string{"https://registry.example", "http://127.0.0.1:5000",
	"https://other.example/team"}}

// Only what is to be said is added, in the manner of what is there, and the undo leaves the file as it was.
func TestDocker(t *testing.T) {
	for name, tt := range map[string]struct{ before, after string }{
		"missing": {"", "{\n\t\"credHelpers\": {\n\t\t\"registry.example\": \"groat\",\n" +
			"\t\t\"127.0.0.1:5000\": \"groat\"\n\t}\n}\n"},
		"an empty object": {"{}", "{\n\t\"credHelpers\": {\n\t\t\"registry.example\": \"groat\",\n" +
			"\t\t\"127.0.0.1:5000\": \"groat\"\n\t}\n}"},
		"one line": {`{"auths":{"x":{"auth":"c2VjcmV0"}}}`,
			`{"auths":{"x":{"auth":"c2VjcmV0"}},"credHelpers":{"registry.example":"groat","127.0.0.1:5000":"groat"}}`},
		"spaces": {"{\n  \"auths\" : {}\n}\n", "{\n  \"auths\" : {},\n  \"credHelpers\" : {\n    " +
			"\"registry.example\" : \"groat\",\n    \"127.0.0.1:5000\" : \"groat\"\n  }\n}\n"},
		"CRLF": {"{\r\n\t\"psFormat\": \"x\"\r\n}\r\n", "{\r\n\t\"psFormat\": \"x\",\r\n\t\"credHelpers\": {\r\n\t\t" +
			"\"registry.example\": \"groat\",\r\n\t\t\"127.0.0.1:5000\": \"groat\"\r\n\t}\r\n}\r\n"},
		"another helper": {`{"credHelpers": {"registry.example": "pass", "z": "y"}, "a": 1}`,
			`{"credHelpers": {"registry.example": "groat", "z": "y", "127.0.0.1:5000": "groat"}, "a": 1}`},
		"no helper yet": {"{\n\t\"credHelpers\": {},\n\t\"a\": 1\n}", "{\n\t\"credHelpers\": {\n\t\t" +
			"\"registry.example\": \"groat\",\n\t\t\"127.0.0.1:5000\": \"groat\"\n\t},\n\t\"a\": 1\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			m := dockerMachine(t)
			path := filepath.Join(m.Home, ".docker", "config.json")
			if name != "missing" {
				write(t, path, tt.before, 0o600)
			}
			goesBack(t, m, setup.Find("docker"), images, func() {
				if b, err := os.ReadFile(path); err != nil || string(b) != tt.after {
					t.Errorf("%s %v\n%s", b, err, cmp.Diff(tt.after, string(b)))
				}
				if to, err := os.Readlink(filepath.Join(m.Home, "bin", "docker-credential-groat")); to != m.Groat {
					t.Errorf("the link leads to %q %v", to, err)
				}
			})
		})
	}
}

// docker writes the whole file anew when it signs in elsewhere. The undo finds groat's part there, and leaves docker's.
func TestDockerUndoLeavesWhatCameLater(t *testing.T) {
	for name, tt := range map[string]struct {
		before, later, want string
		left                int
	}{
		"written anew": {"", `{"auths":{"x":{}},"credHelpers":{"127.0.0.1:5000":"groat","registry.example":"groat"}}`,
			`{"auths":{"x":{}}}`, 0},
		"with another": {"{}", "{\n\t\"credHelpers\": {\n\t\t\"127.0.0.1:5000\": \"groat\",\n\t\t\"a\": \"b\",\n\t\t" +
			"\"registry.example\": \"groat\"\n\t}\n}", "{\n\t\"credHelpers\": {\n\t\t\"a\": \"b\"\n\t}\n}", 0},
		"replaced": {`{"credHelpers":{"registry.example":"pass"}}`,
			`{"credHelpers":{"127.0.0.1:5000":"x","registry.example":"groat"}}`,
			`{"credHelpers":{"127.0.0.1:5000":"x","registry.example":"pass"}}`, 1},
		"all gone": {"{}", `{"auths":{}}`, `{"auths":{}}`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := dockerMachine(t)
			path := filepath.Join(m.Home, ".docker", "config.json")
			if tt.before != "" {
				write(t, path, tt.before, 0o600)
			}
			plan, err := m.Setup(t.Context(), setup.Find("docker"), images)
			apply(t, plan, err)
			write(t, path, tt.later, 0o600)
			plan, err = m.Undo(setup.Find("docker"), "images")
			if left := apply(t, plan, err).Left; len(left) != tt.left {
				t.Errorf("left: %v", left)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != tt.want {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

func TestDockerIsRefused(t *testing.T) {
	for content, line := range map[string]int{
		"{\n\"a\": 1,\n}": 3, "[]": 1, "{\n\"credHelpers\": 1}": 2, "\ufeff{}": 1, "{\"a\":": 1, "// mine\n{}": 1,
	} {
		m := dockerMachine(t)
		write(t, filepath.Join(m.Home, ".docker", "config.json"), content, 0o600)
		_, err := m.Setup(t.Context(), setup.Find("docker"), images)
		if e, _ := err.(*setup.Error); e == nil || e.Reason != setup.BadLine || e.Line != line {
			t.Errorf("%q: %+v", content, err)
		}
	}
	m := dockerMachine(t)
	if _, err := m.Setup(t.Context(), setup.Find("docker"), setup.Profile{Name: "x",
		APIs: images.APIs[2:]}); reason(err) != setup.NoAPI {
		t.Errorf("a path: %v", err)
	}
	m.Getenv = func(string) string { return "" }
	if _, err := m.Setup(t.Context(), setup.Find("docker"), images); reason(err) != setup.NoLink {
		t.Errorf("nothing on PATH: %v", err)
	}
}

// The link is there as long as one profile needs it; where groat's own directory is not the person's it is made in
// ~/.local/bin; and one that the person has made stays.
func TestDockerLink(t *testing.T) {
	m := dockerMachine(t)
	link := filepath.Join(m.Home, ".local", "bin", "docker-credential-groat")
	m.Getenv = func(name string) string { return map[string]string{"PATH": filepath.Dir(link)}[name] }
	second := setup.Profile{Name: "second", APIs: []string{"https://second.example"}}
	docker := setup.Find("docker")
	for _, step := range []struct {
		profile setup.Profile
		undo    bool
		there   bool
	}{{images, false, true}, {second, false, true}, {images, true, true}, {second, true, false}} {
		plan, err := m.Undo(docker, step.profile.Name)
		if !step.undo {
			plan, err = m.Setup(t.Context(), docker, step.profile)
		}
		apply(t, plan, err)
		if to, _ := os.Readlink(link); (to == m.Groat) != step.there {
			t.Errorf("%s, %v: the link leads to %q", step.profile.Name, step.undo, to)
		}
	}
	write(t, filepath.Join(filepath.Dir(link), "x"), "", 0o600)
	if err := os.Symlink(m.Groat, link); err != nil {
		t.Fatal(err)
	}
	goesBack(t, m, setup.Find("docker"), images, func() {})
	if to, _ := os.Readlink(link); !strings.HasSuffix(to, "groat") {
		t.Error("the person's link is gone")
	}
}
