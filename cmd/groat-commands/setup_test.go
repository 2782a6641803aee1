package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/report"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// setupHome is a home beside a groatd with two profiles.
func setupHome(t *testing.T) (h *home, env []string) {
	f := newFakeDaemon(t, func(request) string {
		return `"result":{"profiles":[{"profile":"bare","issuer":"https://i","resources":[]},{"profile":"work",` +
			`"issuer":"https://i","resources":["https://git.example.org:443","https://b.example:443/team"]}]}`
	})
	h = newHome(t, "")
	return h, append(h.env(), "GROAT_SOCKET="+f.socket, "PATH="+bin+":/usr/bin:/bin", "GROAT_NO_AUTOSTART=1")
}

func gitConfig(h *home) string { return filepath.Join(h.dir, ".gitconfig") }

// "groat setup git" writes what it shows, once, and takes it back.
func TestSetupGit(t *testing.T) {
	tier.Needs(t, "git")
	h, env := setupHome(t)
	const start = "[user]\n\tname = Ann\n"
	if err := os.WriteFile(gitConfig(h), []byte(start), 0o640); err != nil {
		t.Fatal(err)
	}
	section := fmt.Sprintf(`
    3 + # groat setup git work
    4 + [credential "https://git.example.org"]
    5 +     helper =
    6 +     helper = "%s/groat helper git"
`, bin)
	for _, step := range []struct {
		args, stdout string
		written      bool
	}{
		{"setup", "git      yes        -\n", false},
		{"setup git work --api https://git.example.org --dry-run", "groat would change " + gitConfig(h) + section +
			"nothing was changed\n", false},
		{"setup git work --api https://git.example.org --yes", "groat changes " + gitConfig(h) + section +
			"done: git asks groat for the tokens of profile work (take it back: groat setup git work --undo)\n" +
			gitConfig(h) + " is kept as it was in " + h.state + "/setup/git.work.0.gitconfig.before\n", true},
		{"setup git work --api https://git.example.org --yes",
			"nothing to change: git asks groat for the tokens of profile work\n", true},
		{"setup --json", `{"tool":"git","installed":true,"profiles":["work"]}`, true},
		{"setup git --undo --dry-run --json", `{"tool":"git","profile":"work","done":false,"files":[{"path":"` +
			gitConfig(h) + `"}]}`, true},
		{"setup git --undo --yes", "taken back: git has nothing of profile work any more\n", false},
	} {
		got := h.run(env, strings.Fields(step.args)...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, step.stdout) {
			t.Errorf("%s: %+v", step.args, got)
		}
		b, err := os.ReadFile(gitConfig(h))
		if err != nil || !strings.HasPrefix(string(b), start) || (string(b) != start) != step.written {
			t.Errorf("%s: %q %v", step.args, b, err)
		}
	}
}

// What cannot be done changes nothing, and the hint is a command.
func TestSetupIsRefused(t *testing.T) {
	tier.Needs(t, "git")
	h, env := setupHome(t)
	for _, tt := range []struct {
		args, says, hint string
		code             int
	}{
		{"setup git work", "there is no terminal to ask on, so nothing was changed", "groat setup git work --yes",
			report.ExitUsage},
		{"setup git work --api https://b.example/team", "no terminal",
			"groat setup git work --api https://b.example/team --yes", report.ExitUsage},
		{"setup git --yes", "say which profile is meant: bare, work", "groat setup git bare", report.ExitConfig},
		{"setup git none --yes", "there is no profile none", "groat list", report.ExitConfig},
		{"setup git bare --yes", "profile bare lists no API that git could use", "groat login bare --api https://HOST",
			report.ExitConfig},
		{"setup git work --api https://c.example --yes", "profile work does not list https://c.example as an API, but " +
			"https://git.example.org, https://b.example/team", "groat profile show work", report.ExitConfig},
		{"setup curl work --yes", "curl has no configuration for one server alone",
			"groat helper curl https://git.example.org/ | curl -K - https://git.example.org/", report.ExitUsage},
		{"setup git work --id-token --yes", "only kubectl can be given the ID token", "groat setup git work",
			report.ExitUsage},
		{"setup kubectl work --yes", "no context of the kubeconfig has a cluster at an API of profile work",
			"kubectl config view", report.ExitConfig},
		{"setup curl work", "curl has no configuration for one server alone",
			"groat helper curl https://git.example.org/ | curl -K - https://git.example.org/", report.ExitUsage},
		{"setup pip work", "groat cannot set up pip, only ", "groat helper keyring --help", report.ExitUsage},
		{"setup podman work", "groat cannot set up podman, only ", "groat setup docker", report.ExitUsage},
		{"setup nano work --yes", "groat cannot set up nano, only ", "groat setup", report.ExitUsage},
		{"setup --yes", "say which tool is meant", "groat setup --help", report.ExitUsage},
		{"setup git work --undo --yes", "git was not set up for profile work", "groat setup", report.ExitConfig},
		{"setup git --undo --yes", "git was not set up by groat", "groat setup", report.ExitConfig},
		{"setup git work --undo --api https://b.example/team", "leave --api and --id-token out", "groat setup --help",
			report.ExitUsage},
	} {
		got := h.run(env, strings.Fields(tt.args)...)
		if got.code != tt.code || got.stdout != "" || !strings.Contains(got.stderr, tt.says) ||
			!strings.HasSuffix(got.stderr, "groat: hint: "+tt.hint+"\n") {
			t.Errorf("%s: %+v", tt.args, got)
		}
	}
	const broken = "[user]\n[bad\n"
	if err := os.WriteFile(gitConfig(h), []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	got := h.run(env, "setup", "git", "work", "--yes")
	if got.code != report.ExitConfig || !strings.Contains(got.stderr, "git cannot read line 2 of "+gitConfig(h)) ||
		!strings.HasSuffix(got.stderr, "groat: hint: ${EDITOR:-vi} +2 "+gitConfig(h)+"\n") {
		t.Errorf("%+v", got)
	}
	if b, err := os.ReadFile(gitConfig(h)); err != nil || string(b) != broken {
		t.Errorf("%q %v", b, err)
	}
}

func TestCompletionOffersTools(t *testing.T) {
	f := newFakeDaemon(t, func(request) string { return `"result":{"profiles":[{"profile":"work"}]}` })
	if got := run(t, f.socket, "", "__complete", "setup", ""); !strings.Contains(got.stdout, "git\n") {
		t.Errorf("%+v", got)
	}
	if got := run(t, f.socket, "", "__complete", "setup", "git", ""); !strings.HasPrefix(got.stdout, "work\n:4\n") {
		t.Errorf("%+v", got)
	}
}
