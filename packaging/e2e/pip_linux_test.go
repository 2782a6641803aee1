package e2e_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Pip asks the program keyring, which is groat in a directory of its own, and sends the token as the password of the
// user whom the URL names; the index of no profile gets none.
func TestClientPip(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "pip3")
	index := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/simple/mine/" {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!DOCTYPE html><html><body><a href="mine-1.0-py3-none-any.whl">mine</a></body></html>`)
	}
	s, other := newAPIServer(t, true, `Basic realm="simple"`, index), newAPIServer(t, true, `Basic realm="simple"`, index)
	u := newToolUser(t)
	u.signIn(s.URL + "/simple")
	dir := filepath.Dir(u.write("own/only", ""))
	if err := os.Symlink(filepath.Join(bin, "groat"), filepath.Join(dir, "keyring")); err != nil {
		t.Fatal(err)
	}
	// Debian's python, whose pip it is: another one may come first on PATH.
	u.vars = append(u.vars, "PATH="+dir+":"+bin+":/usr/bin:/bin", "PIP_CERT="+u.trust(s),
		"PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1")
	parts.Client(t, "keyring", "/usr/bin/pip3", "--version")
	parts.NoClient(t, "keyring", "uv", "neither Debian 12 nor npm has it")
	versions := func(s *apiServer, user string) result {
		return u.run("", "/usr/bin/python3", "-m", "pip", "index", "versions", "mine", "--index-url",
			strings.Replace(s.URL, "://", "://"+user+"@", 1)+"/simple/")
	}
	for _, current := range []func() string{u.token, u.rotate} {
		token := current()
		s.wants(token)
		for _, user := range []string{"oauth2", "__token__"} {
			if r := versions(s, user); r.code != 0 || !strings.Contains(r.stdout, "mine (1.0)") {
				t.Errorf("%+v", r)
			}
			last := s.look()
			want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
			if len(last) == 0 || last[len(last)-1] != want {
				t.Errorf("as %s the server saw %d requests, and no token in the last", user, len(last))
			}
		}
	}
	other.wants(u.token())
	r := versions(other, "oauth2")
	for _, sent := range other.look() {
		_, encoded, _ := strings.Cut(sent, " ")
		if text, _ := base64.StdEncoding.DecodeString(encoded); strings.Contains(string(text), u.token()) {
			t.Error("another index was sent the token")
		}
	}
	if r.code == 0 {
		t.Errorf("%+v", r)
	}
}
