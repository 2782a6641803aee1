package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What git expects of any credential helper, asked by git itself ("git credential"): a helper answers for the protocol,
// the host and the port that it knows and for nothing else, keeps the user name that it was given, erases the
// credential that it is told of and no other one, and says only what it was asked to.
func TestGitCredential(t *testing.T) {
	u := newGitUser(t)
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	u.git("config", "--global", "credential.helper", "groat")
	about := "protocol=http\nhost=" + host + "\n"
	credential := func(operation, stdin string) map[string]string {
		t.Helper()
		r := u.run(stdin, u.program, "credential", operation)
		said := map[string]string{}
		for line := range strings.Lines(r.stdout) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			said[key] = value
		}
		if strings.Contains(r.stderr, "warning") || strings.Contains(r.stderr, "groat") {
			t.Errorf("%s %q: %s", operation, stdin, r.stderr)
		}
		return said
	}
	none := func(why, stdin string) {
		t.Helper()
		if said := credential("fill", stdin); said["password"] != "" || said["credential"] != "" {
			t.Errorf("%s: there is a credential", why)
		}
	}
	none("nobody has signed in", about)
	u.signIn("work", s.URL)
	token := func() string { t.Helper(); return strings.TrimSpace(u.groat("", "get", "work")) }
	has := func(why, stdin, username string) {
		t.Helper()
		said := credential("fill", stdin)
		if said["password"] != token() || said["username"] != username || said["password_expiry_utc"] == "" &&
			u.understandsBearer() || said["authtype"] != "" || said["oauth_refresh_token"] != "" {
			t.Errorf("%s: it says a name %q, a password: %v", why, said["username"], said["password"] != "")
		}
	}
	has("the server", about, "oauth2")
	has("a path below it", about+"path=a/b.git\n", "oauth2")
	has("the client's user name", about+"username="+labClient+"\n", labClient)
	none("another protocol", "protocol=https\nhost="+host+"\n")
	none("another host", "protocol=http\nhost=localhost:"+host[strings.LastIndex(host, ":")+1:]+"\n")
	none("another port", "protocol=http\nhost=127.0.0.1:1\n")
	none("no port", "protocol=http\nhost=127.0.0.1\n")
	if u.understandsBearer() {
		said := credential("fill", "capability[]=authtype\n"+about)
		if said["authtype"] != "Bearer" || said["credential"] != token() || said["ephemeral"] != "1" {
			t.Errorf("asked for authtype it says %q, a credential: %v", said["authtype"], said["credential"] != "")
		}
	}

	was := token()
	credential("reject", about+"username=oauth2\npassword=another\n")
	credential("approve", about+"username=me\npassword=another\n")
	has("another password was erased, and one stored", about, "oauth2")
	if token() != was {
		t.Error("the token was replaced although another password was erased")
	}
	credential("reject", about+"username=oauth2\npassword="+was+"\n")
	if said := credential("fill", about); said["password"] == was {
		t.Error("what was erased is there again")
	}
	u.groat("", "logout", "work", "--yes")
	none("signed out", about)
	if said := u.run("", "git-credential-groat", "capability"); said.stdout != "version 0\ncapability authtype\n" {
		t.Errorf("capability: %+v", said)
	}
}
