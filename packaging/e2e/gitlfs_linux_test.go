package e2e_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// lfsLimit is how often git-lfs may bring a token to a server that refuses all. It has no limit of its own.
const lfsLimit = 8

// git-lfs brings a server the token, and where that goes on refusing, it ends.
func TestClientGitLFS(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "git", "git-lfs")
	s := newAPIServer(t, false, `Basic realm="lfs"`, func(w http.ResponseWriter, r *http.Request) {
		var batch struct {
			Objects []struct {
				OID  string `json:"oid"`
				Size int64  `json:"size"`
			} `json:"objects"`
		}
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		json.NewDecoder(r.Body).Decode(&batch)
		json.NewEncoder(w).Encode(batch) // it has them all
	})
	u := newToolUser(t)
	u.signIn(s.URL)
	u.vars = append(u.vars, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	parts.Client(t, "git", "/usr/bin/git-lfs", "version")
	repository := filepath.Join(u.home, "repository")
	for _, args := range []string{
		"init -q " + repository, "-C R config user.name me", "-C R config user.email me@example.com",
		"-C R lfs install --local", "-C R lfs track *.bin", "-C R remote add origin " + s.URL + "/a.git",
		"-C R config lfs.url " + s.URL + "/lfs", "-C R config lfs.locksverify false",
		"config --global credential." + s.URL + ".helper groat",
	} {
		u.git(repository, args)
	}
	u.write("repository/a.bin", "large")
	u.git(repository, "-C R add a.bin .gitattributes")
	u.git(repository, "-C R commit -q -m large")
	push := func() (result, []string) {
		r := u.run("", "/usr/bin/timeout", "60", "/usr/bin/git", "-C", repository, "lfs", "push", "--all", "origin")
		return r, s.look()
	}
	s.wants(u.token())
	if r, seen := push(); r.code != 0 || len(seen) == 0 || !strings.HasPrefix(seen[len(seen)-1], "Basic ") {
		t.Errorf("%+v, %d requests", r, len(seen))
	}
	s.wants("none")
	r, seen := push()
	if r.code == 0 || r.code == 124 || len(seen) > lfsLimit || len(seen) == 0 {
		t.Errorf("git-lfs ended with %d after %d requests (124 is that it had to be ended)", r.code, len(seen))
	}
}

// git runs git, whose arguments hold no spaces; R is the repository.
func (u toolUser) git(repository, args string) {
	u.t.Helper()
	words := strings.Fields(args)
	for i, word := range words {
		if word == "R" {
			words[i] = repository
		}
	}
	if r := u.run("", "/usr/bin/git", words...); r.code != 0 {
		u.t.Fatalf("git %s: %+v", args, r)
	}
}
