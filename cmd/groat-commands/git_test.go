package main

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/cmd/groat/helper"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// gitServer is an HTTP server that wants a credential and notes what it is given.
type gitServer struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // the Authorization header of each request
}

func newGitServer(t *testing.T, challenge string, accept func(authorization string) bool) *gitServer {
	s := &gitServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		s.mu.Lock()
		s.seen = append(s.seen, authorization)
		s.mu.Unlock()
		if !accept(authorization) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		// An empty repository of the smart protocol, version 0.
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.Write([]byte("001e# service=git-upload-pack\n0000" + "0000"))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *gitServer) headers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// lsRemote runs the machine's git against a server, with our helper and no other, and returns what it printed.
func lsRemote(t *testing.T, socket, url string) (string, error) {
	t.Helper()
	tier.Needs(t, "git")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "-c", "credential.helper=", "-c",
		"credential.helper="+filepath.Join(bin, helper.GitName), "ls-remote", url)
	cmd.Env = append([]string{
		"HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "PATH=/usr/local/bin:/usr/bin:/bin",
		"no_proxy=127.0.0.1", "GROAT_SOCKET=" + socket, "GROAT_NO_AUTOSTART=1",
	}, runtimeEnv...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tokenDaemon is a daemon that has a token for one server.
func tokenDaemon(t *testing.T, target *string) *fakeDaemon {
	return newFakeDaemon(t, func(r request) string {
		if url, _ := r.Params["target"].(string); url == *target {
			return strings.Replace(tokenResult, `"access_token":"abc.DEF-123_~+/=="`, `"access_token":"git-token"`, 1)
		}
		return `"error":{"code":-32005,"message":"no profile lists it","data":{"kind":"unknown_profile",` +
			`"hint":"groat list"}}`
	})
}

func TestGitIsAnswered(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2:git-token"))
	ours := newGitServer(t, `Basic realm="git"`, func(a string) bool { return a == basic || a == "Bearer git-token" })
	other := newGitServer(t, `Basic realm="git"`, func(string) bool { return false })
	target := ours.URL + "/"
	f := tokenDaemon(t, &target)

	if out, err := lsRemote(t, f.socket, ours.URL+"/r.git"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	seen := ours.headers()
	if n := len(seen); n == 0 || seen[n-1] != basic && seen[n-1] != "Bearer git-token" {
		t.Errorf("the server saw %q", seen)
	}
	if out, err := lsRemote(t, f.socket, other.URL+"/r.git"); err == nil || strings.Contains(out, "groat") {
		t.Errorf("a server of no profile: %v: %s", err, out)
	}
	for _, h := range other.headers() {
		if h != "" {
			t.Errorf("a server of no profile saw %q", h)
		}
	}
}

// A server that refuses the token makes git say so, and groatd hears which token it was.
func TestGitErases(t *testing.T) {
	server := newGitServer(t, `Basic realm="git"`, func(string) bool { return false })
	target := server.URL + "/"
	f := tokenDaemon(t, &target)
	if out, err := lsRemote(t, f.socket, server.URL+"/r.git"); err == nil {
		t.Errorf("git is content: %s", out)
	}
	all := f.requests()
	if last := all[len(all)-1]; last.Method != "reject" || last.Params["access_token"] != "git-token" ||
		last.Params["target"] != target {
		t.Errorf("the last request is %+v", last)
	}
}

// What groat says where nothing chooses between profiles fits what git has said, and is one line.
func TestGitHelperNamesTheChoices(t *testing.T) {
	resources := ""
	f := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32005,"message":"nothing chooses","data":{"kind":"unknown_profile",` +
			`"hint":"groat list","choices":` + resources + `}}`
	})
	const host = "protocol=https\nhost=git.example:8443\n"
	const byName = "git config --global credential.https://git.example:8443.username home"
	const whole, paths = `{"home":"https://git.example:8443","work":"https://git.example:8443"}`,
		`{"home":"https://git.example:8443/a","work":"https://git.example:8443/b"}`
	for _, c := range []struct{ resources, in, hint string }{
		{whole, "", byName},
		{whole, "path=x\n", byName},
		{whole, "username=bob\n", "export GROAT_PROFILE=home"},
		{paths, "", "git config --global credential.https://git.example:8443.useHttpPath true"},
		{paths, "username=home\n", "git config --global credential.https://git.example:8443.useHttpPath true"},
		{paths, "path=a/x\n", byName},
	} {
		resources = c.resources
		want := outcome{0, "", "groat: nothing chooses (" + c.hint + ")\n"}
		if got := run(t, f.socket, host+c.in, "helper", "git", "get"); got != want {
			t.Errorf("%q: %+v", c.in, got)
		}
	}
}

func TestGitHelperSaysOneLine(t *testing.T) {
	f := newFakeDaemon(t, func(request) string {
		return `"error":{"code":-32001,"message":"profile work\nis not signed in","data":{"kind":"login_required",` +
			`"hint":"groat login work"}}`
	})
	const in = "protocol=https\nhost=h\n"
	want := outcome{0, "", "groat: profile work is not signed in (groat login work)\n"}
	if got := run(t, f.socket, in, "helper", "git", "get"); got != want {
		t.Errorf("%+v", got)
	}
	if got := run(t, f.socket, in, "helper", "git", "--flag", "later"); got != (outcome{}) {
		t.Errorf("%+v", got)
	}
	if got := run(t, "/nonexistent/s", in, "helper", "git", "get"); got.code != 0 || got.stdout != "" ||
		strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("without a daemon: %+v", got)
	}
}
