package main

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// A git that also writes what it is given to a file says so once, on a terminal, and of tokens of groat's alone. The
// command that is shown ends it.
func TestGitWritesATokenToDisk(t *testing.T) {
	tier.Needs(t, "git")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2:git-token"))
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:typed"))
	ours := newGitServer(t, `Basic realm="git"`, func(a string) bool { return a == basic })
	other := newGitServer(t, `Basic realm="git"`, func(a string) bool { return a == own })
	target := ours.URL + "/"
	f := tokenDaemon(t, &target)
	home := t.TempDir()
	state := filepath.Join(home, ".local", "state", "groat")
	file := filepath.Join(home, ".git-credentials")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "TERM=dumb",
		"PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "no_proxy=127.0.0.1", "GROAT_SOCKET=" + f.socket,
		"GROAT_NO_AUTOSTART=1"}
	typed := func(command string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
		cmd.Env = append(env, runtimeEnv...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	sentence := regexp.MustCompile(`(?m)^groat: git gives the access token for ` + regexp.QuoteMeta(ours.URL) +
		` to its helper store too, which writes it to a file as it is \((.*)\)$`)
	// asks returns the command that groat shows, and whether git's file has the token then.
	asks := func(url string) (hint string, written bool) {
		t.Helper()
		os.Remove(file)
		x := startProgram(t, git, 1000, env, "ls-remote", url)
		x.end(0)
		if m := sentence.FindStringSubmatch(x.shown()); m != nil {
			hint = m[1]
		} else if strings.Contains(x.shown(), "groat") {
			t.Errorf("%s", x.shown())
		}
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return hint, strings.Contains(string(text), "git-token")
	}

	typed("git config --global credential." + ours.URL + ".helper " + filepath.Join(bin, helper.GitName))
	if hint, written := asks(ours.URL + "/r.git"); hint != "" || written {
		t.Errorf("without another helper: %q, written: %v", hint, written)
	}
	typed("git config --global credential.helper store")
	hint, written := asks(ours.URL + "/r.git")
	if hint == "" || !written {
		t.Fatalf("said %q, written: %v", hint, written)
	}
	if again, written := asks(ours.URL + "/r.git"); again != "" || !written {
		t.Errorf("said again: %q, written: %v", again, written)
	}
	told := filepath.Join(state, toldOfStore)
	if err := os.Remove(told); err != nil {
		t.Fatal(err)
	}
	if out, err := lsRemote(t, f.socket, ours.URL+"/r.git"); err != nil || strings.Contains(out, "groat") {
		t.Errorf("without a terminal: %v: %s", err, out)
	}

	// A password of the person's own is none of groat's business.
	password := "!f() { test $1 = get && echo username=me && echo password=typed; }; f"
	typed("git config --global --add credential.helper " + filepath.Join(bin, helper.GitName) +
		" && git config --global --add credential.helper '" + password + "'")
	if hint, _ := asks(other.URL + "/r.git"); hint != "" {
		t.Errorf("of a password: %q", hint)
	}
	if _, err := os.Lstat(told); err == nil {
		t.Error("it is remembered as said, and was not")
	}

	typed(hint)
	if hint, written := asks(ours.URL + "/r.git"); hint != "" || written {
		t.Errorf("after the command: %q, written: %v", hint, written)
	}
}
