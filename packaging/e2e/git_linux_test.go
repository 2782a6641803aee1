package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// gitServer is a smart HTTP server of git's with empty repositories, which wants a credential.
type gitServer struct {
	*httptest.Server
	mu      sync.Mutex
	accepts string   // the token
	used    []string // the scheme and the token of each request that had one, since the last look
}

// newGitServer serves until the test ends; challenge is its WWW-Authenticate.
func newGitServer(t *testing.T, challenge ...string) *gitServer {
	s := &gitServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if scheme == "Basic" {
			_, token, _ = r.BasicAuth()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if token != "" { // with a user name in the URL git tries that alone, first
			s.used = append(s.used, scheme+" "+token)
		}
		if token == "" || token != s.accepts || !slices.ContainsFunc(challenge, func(c string) bool {
			return strings.HasPrefix(c, scheme)
		}) {
			for _, c := range challenge {
				w.Header().Add("WWW-Authenticate", c)
			}
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		w.Write([]byte("001e# service=git-upload-pack\n0000" + "0000"))
	}))
	t.Cleanup(s.Close)
	return s
}

// wants makes a token the only one that the server accepts.
func (s *gitServer) wants(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepts = token
}

// look returns what the server was sent since the last look.
func (s *gitServer) look() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.used
	s.used = nil
	return was
}

// gitUser has two accounts at git servers, the profiles work and home, and a git.
type gitUser struct {
	*userEnv
	program string            // git
	tokens  map[string]string // :: profile → its access token
}

func newGitUser(t *testing.T) *gitUser {
	tier.Needs(t, "git")
	u := &gitUser{userEnv: newUserEnv(t, os.Getuid()), program: os.Getenv("GROAT_GIT"), tokens: map[string]string{}}
	if u.program == "" {
		var err error
		if u.program, err = exec.LookPath("git"); err != nil {
			t.Fatal(err)
		}
	}
	u.vars = append(u.vars, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	if _, err := u.addServer("AUTH", "path=/tenant"); err != nil {
		t.Fatal(err)
	}
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	return u
}

// signIn signs a profile in for an API.
func (u *gitUser) signIn(profile, api string) {
	u.t.Helper()
	u.groat(u.secret, "login", profile, "--token-url", u.servers["AUTH"].URL()+"/tenant/token", "--client-id",
		labClient, "--client-auth", "client_secret_basic", "--api", api, "--secret-stdin")
	u.tokens[profile] = strings.TrimSpace(u.groat("", "get", profile))
}

// git runs git, which must succeed.
func (u *gitUser) git(args ...string) string {
	u.t.Helper()
	r := u.run("", u.program, args...)
	if r.code != 0 {
		u.t.Fatalf("git %s ended with %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// helps makes groat git's only helper for a server, as README does.
func (u *gitUser) helps(server *gitServer) {
	u.t.Helper()
	parts.Client(u.t, "git", u.program, "version")
	u.git("config", "--global", "credential."+server.URL+".helper", "")
	u.git("config", "--global", "--add", "credential."+server.URL+".helper", "!groat helper git")
}

// understandsBearer reports whether this git can send anything but a user name and a password: 2.46 and later.
func (u *gitUser) understandsBearer() bool {
	u.t.Helper()
	m := regexp.MustCompile(`(\d+)\.(\d+)`).FindStringSubmatch(u.git("version"))
	if m == nil {
		u.t.Fatal("this git has no version")
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 2 || major == 2 && minor >= 46
}

// arrives makes sure that git gets an answer at an address by a profile's token and no other.
func (u *gitUser) arrives(server *gitServer, address, profile string) {
	u.t.Helper()
	server.wants(u.tokens[profile])
	r := u.run("", u.program, "ls-remote", address)
	for _, used := range server.look() {
		if !strings.HasSuffix(used, " "+u.tokens[profile]) {
			u.t.Errorf("%s: another token than that of %s was sent", address, profile)
		}
	}
	if r.code != 0 || r.stderr != "" {
		u.t.Errorf("%s as %s: %d, %s", address, profile, r.code, r.stderr)
	}
}

// says makes sure that git gets nothing at an address, and returns the hint of the one line that groat says then.
func (u *gitUser) says(server *gitServer, address, sentence string) (hint string) {
	u.t.Helper()
	r := u.run("", u.program, "ls-remote", address)
	m := regexp.MustCompile(`(?m)^groat: (.*) \((.*)\)$`).FindAllStringSubmatch(r.stderr, -1)
	if sent := server.look(); r.code == 0 || len(m) != 1 || m[0][1] != sentence || len(sent) > 0 {
		u.t.Fatalf("%s: %d, %s, sent %d", address, r.code, r.stderr, len(sent))
	}
	return m[0][2]
}

// typed runs a command of git's that groat has shown.
func (u *gitUser) typed(command string) {
	u.t.Helper()
	words := strings.Fields(command)
	if words[0] != "git" || strings.ContainsAny(command, `'"$`) {
		u.t.Fatalf("%q is no command that this test understands", command)
	}
	u.git(words[1:]...)
}

// A server that asks for Basic gets a user name and the token as password, one that asks for Bearer too gets that from
// a git that can, and from an older one what it can.
func TestGitIsAnsweredInTheServersScheme(t *testing.T) {
	u := newGitUser(t)
	basic := newGitServer(t, `Basic realm="git"`)
	both := newGitServer(t, `Bearer realm="git"`, `Basic realm="git"`)
	u.signIn("work", basic.URL)
	u.signIn("work", both.URL)
	u.helps(basic)
	u.helps(both)
	modern := map[bool]string{true: "Bearer ", false: "Basic "}[u.understandsBearer()]
	for server, want := range map[*gitServer]string{basic: "Basic ", both: modern} {
		server.wants(u.tokens["work"])
		u.git("ls-remote", server.URL+"/a.git")
		if sent := server.look(); len(sent) == 0 || strings.TrimPrefix(sent[len(sent)-1], want) != u.tokens["work"] {
			t.Errorf("want %s, %d were sent", want, len(sent))
		}
	}
}

// Of two accounts at one server, a user name in the URL or in git's configuration chooses, and else GROAT_PROFILE. If
// nothing does, no token is sent, and what groat says then helps.
func TestGitTwoAccountsByName(t *testing.T) {
	u := newGitUser(t)
	server := newGitServer(t, `Basic realm="git"`)
	u.signIn("work", server.URL)
	u.signIn("home", server.URL)
	u.helps(server)
	repository := server.URL + "/a.git"
	as := func(user string) string { return strings.Replace(repository, "://", "://"+user+"@", 1) }
	sentence := "more than one profile lists " + server.URL + " as an API"

	u.arrives(server, as("work"), "work")
	u.arrives(server, as("home"), "home")
	hint := u.says(server, repository, sentence+": home, work")
	before := u.vars
	u.vars = append(slices.Clip(before), "GROAT_PROFILE=work")
	u.arrives(server, repository, "work")
	u.arrives(server, as("home"), "home")
	u.arrives(server, as("nobody"), "work")
	u.vars = before
	other := u.says(server, as("nobody"), sentence+`, and the user name "nobody" is none of theirs: home, work`)
	if other != "export GROAT_PROFILE=home" { // a configured user name does not replace one in the URL
		t.Error(other)
	}

	u.typed(hint)
	u.arrives(server, repository, "home")
	u.arrives(server, as("work"), "work")

	// A token that the server refuses is renewed for the profile that has it, although git asks for "oauth2" by then.
	server.wants("none")
	if r := u.run("", u.program, "ls-remote", as("work")); r.code == 0 {
		t.Error("git is content")
	}
	server.look()
	for profile, renewed := range map[string]bool{"work": true, "home": false} {
		now := strings.TrimSpace(u.groat("", "get", profile))
		if (now != u.tokens[profile]) != renewed {
			t.Errorf("another token of %s: %v", profile, !renewed)
		}
		u.tokens[profile] = now
	}
	u.arrives(server, as("work"), "work")

	// With one account left every user name gets its token: servers that do without put one into the URLs that they
	// show. But it may be the name of the account that is gone, so that groat says whose the token is.
	u.groat("", "logout", "work", "--yes")
	for _, gone := range []string{"work", "nobody"} {
		server.wants(u.tokens["home"])
		r := u.run("", u.program, "ls-remote", as(gone))
		said := "groat: git has the user name \"" + gone + "\" for " + server.URL + ", which no profile here is known by: " +
			"it got the token of profile home (export GROAT_PROFILE=home)\n"
		if r.code != 0 || len(server.look()) == 0 || r.stderr != said {
			t.Errorf("%s: %d, %q, want %q", gone, r.code, r.stderr, said)
		}
	}
	u.vars = append(slices.Clip(before), "GROAT_PROFILE=home")
	u.arrives(server, as("work"), "home")
	u.vars = before
	u.arrives(server, as("home"), "home")
	u.arrives(server, as(labClient), "home")
	u.arrives(server, repository, "home")
}

// Of two accounts at one server, the path chooses, which git sends if it is told to.
func TestGitTwoAccountsByPath(t *testing.T) {
	u := newGitUser(t)
	server := newGitServer(t, `Basic realm="git"`)
	u.signIn("work", server.URL+"/team")
	u.signIn("home", server.URL+"/me/")
	u.helps(server)
	u.typed(u.says(server, server.URL+"/team/a.git", "no profile lists all of "+server.URL+
		", and there is no path that chooses: home lists "+server.URL+"/me, work lists "+server.URL+"/team"))
	u.arrives(server, server.URL+"/team/a.git", "work")
	u.arrives(server, server.URL+"/me/b.git", "home")
	u.arrives(server, server.URL+"/me", "home")
	for _, foreign := range []string{"/teamx/a.git", "/other", "/team//a.git", "/Team/a.git"} {
		r := u.run("", u.program, "ls-remote", server.URL+foreign)
		if sent := server.look(); r.code == 0 || len(sent) > 0 || strings.Contains(r.stderr, "groat") {
			t.Errorf("%s: %d, %s, sent %d", foreign, r.code, r.stderr, len(sent))
		}
	}
	u.groat("", "login", "home", "--api", server.URL) // and the longest path first
	u.tokens["home"] = strings.TrimSpace(u.groat("", "get", "home"))
	u.arrives(server, server.URL+"/teamx/a.git", "home")
	u.arrives(server, server.URL+"/team/a.git", "work")
	u.restart()
	for _, profile := range []string{"work", "home"} {
		u.tokens[profile] = strings.TrimSpace(u.groat("", "get", profile))
	}
	u.arrives(server, server.URL+"/team/a.git", "work")
	u.arrives(server, server.URL+"/me/b.git", "home")
}
