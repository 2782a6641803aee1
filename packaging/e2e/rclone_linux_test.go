package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// Rclone runs "groat get" itself, as groat helper --help shows, and again where a server refuses the token within a
// run.
func TestClientRclone(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "rclone")
	s := newAPIServer(t, false, `Bearer realm="dav"`, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "PROPFIND" {
			io.WriteString(w, "hello\n")
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, `<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">`)
		for path, kind := range map[string]string{"/": `<d:resourcetype><d:collection/></d:resourcetype>`,
			"/a.txt": `<d:resourcetype/><d:getcontentlength>6</d:getcontentlength>`} {
			io.WriteString(w, `<d:response><d:href>`+path+`</d:href><d:propstat><d:status>HTTP/1.1 200 OK</d:status><d:prop>`+
				kind+`<d:getlastmodified>Mon, 02 Nov 2026 10:00:00 GMT</d:getlastmodified></d:prop></d:propstat></d:response>`)
		}
		io.WriteString(w, `</d:multistatus>`)
	})
	u := newToolUser(t)
	u.signIn(s.URL)
	u.vars = append(u.vars, "RCLONE_CONFIG="+u.write("rclone.conf", ""))
	parts.Client(t, "none, groat get", "/usr/bin/rclone", "version")
	if r := u.run("", "/usr/bin/rclone", "config", "create", "data", "webdav", "url="+s.URL, "vendor=other",
		"bearer_token_command=groat get --target "+s.URL); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	list := func() {
		t.Helper()
		if r := u.run("", "/usr/bin/rclone", "lsf", "data:"); r.code != 0 || r.stdout != "a.txt\n" {
			t.Errorf("%+v", r)
		}
	}
	was := u.token()
	s.wants(was)
	list()
	s.brought(t, "Bearer "+was)

	// The server wants another token from the moment at which it is sent this one.
	s.wants("none")
	var once sync.Once
	s.refused = func() { once.Do(func() { s.wants(u.rotate()) }) }
	list()
	seen := s.look()
	if is := u.token(); is == was || len(seen) < 2 || seen[0] != "Bearer "+was || seen[len(seen)-1] != "Bearer "+is {
		t.Errorf("the server saw %d requests, and not the old token before the new one", len(seen))
	}

	// A remote that "groat setup rclone" finds.
	if r := u.run("", "/usr/bin/rclone", "config", "create", "more", "webdav", "url="+s.URL, "vendor=other"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	before := u.file("rclone.conf")
	u.groat("", "setup", "rclone", "work", "--yes")
	if r := u.run("", "/usr/bin/rclone", "lsf", "more:"); r.code != 0 || r.stdout != "a.txt\n" {
		t.Errorf("%+v", r)
	}
	s.brought(t, "Bearer "+u.token())
	if u.groat("", "setup", "rclone", "work", "--undo", "--yes"); u.file("rclone.conf") != before {
		t.Error(u.file("rclone.conf"))
	}
	if strings.Contains(strings.Join(u.vars, " "), was) {
		t.Error("the token is in the environment")
	}
}
