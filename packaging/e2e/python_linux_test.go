package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// The Python module (protocol/python) is tested by its own tests, in Python; here is what they need: a groatd, an
// authorization server, and Debian's Python without anything of the person's.

// debianPython is the Python that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// pythonUser has the profile work, which lists the sandbox at which it is signed in as an API, and a groatd.
type pythonUser struct {
	*userEnv
	auth *server
}

// newPythonUser signs in at a sandbox with the options.
func newPythonUser(t *testing.T, options ...string) *pythonUser {
	tier.Needs(t, "python3")
	u := &pythonUser{userEnv: newUserEnv(t, os.Getuid())}
	auth, err := u.addServer("AUTH", options...)
	if err != nil {
		t.Fatal(err)
	}
	u.auth = auth
	u.vars = append(u.vars, "GROAT_TEST_API="+auth.URL(), "no_proxy=127.0.0.0/8")
	u.start()
	u.groat("", "keystore", "use", "sealed", "--key-file")
	u.signInFor("work", auth.URL())
	return u
}

// signInFor makes a profile of the sandbox's that lists an API.
func (u *pythonUser) signInFor(profile, api string) {
	u.t.Helper()
	u.groat(u.secret, "login", profile, "--token-url", u.auth.URL()+"/token", "--client-id", labClient,
		"--client-auth", "client_secret_basic", "--api", api, "--secret-stdin")
}

// freeAPI is an address at which a test listens as an API, from now on GROAT_TEST_API: one of this test's alone, as
// startServer's are.
func (u *pythonUser) freeAPI() string {
	n := loopbacks.Add(1)
	api := fmt.Sprintf("http://127.%d.%d.%d:8000", 1+os.Getpid()%250, n/250, 1+n%250)
	u.vars = append(u.vars, "GROAT_TEST_API="+api)
	return api
}

// unittest runs tests of protocol/python/tests: modules, their classes, or single ones. Nothing may be warned of.
// GROAT_PYTHON is another Python to run them, which need not see more of the machine's files than those in /tmp.
func (u *pythonUser) unittest(names ...string) {
	u.t.Helper()
	copied := filepath.Join(u.home, "protocol")
	if _, err := os.Lstat(copied); err != nil {
		for _, dir := range []string{parts.Python(u.t), "../../protocol/testdata"} {
			if err := os.CopyFS(filepath.Join(copied, filepath.Base(dir)), os.DirFS(dir)); err != nil {
				u.t.Fatal(err)
			}
		}
		page, err := os.ReadFile("../../protocol/PROTOCOL.md")
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, "PROTOCOL.md"), page, 0o600)
		}
		if err != nil {
			u.t.Fatal(err)
		}
	}
	python := cmp.Or(os.Getenv("GROAT_PYTHON"), debianPython)
	r := u.run("", python, append([]string{"-I", "-B", "-W", "error", filepath.Join(copied, "python", "tests")},
		names...)...)
	if r.code != 0 {
		u.t.Errorf("%q ended with %d:\n%s%s", names, r.code, r.stdout, r.stderr)
	}
}

// The module is typed, also as the oldest Python that the module is for reads them.
func TestPythonTypes(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "mypy")
	cache := t.TempDir()
	for _, version := range []string{"3.9", "3.11"} {
		c := exec.CommandContext(t.Context(), "mypy", "--strict", "--no-error-summary", "--cache-dir", cache,
			"--python-version", version, "groat")
		c.Dir = parts.Python(t)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("as Python %s: %v\n%s", version, err, out)
		}
	}
}

// The module alone: the protocol's vectors, its connections, and all that is wrong before groatd is asked.
func TestPythonModule(t *testing.T) {
	t.Parallel()
	tier.Needs(t, "python3")
	tier.NeedsRoot(t) // a trap of another user's
	(&pythonUser{userEnv: newUserEnv(t, os.Getuid())}).unittest("test_vectors", "test_module")
}

// The module gets tokens, replaces one that an API refuses, says what is wrong, and goes on with the next groatd, which
// it has groat start.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	u := newPythonUser(t)
	u.vars = append(u.vars, "GROAT_NO_AUTOSTART=")
	for _, profile := range []string{"lab", "kept"} { // for a logout
		u.signInFor(profile, u.auth.URL())
	}
	u.groat(u.password+"\n", "login", "apps", "--provider", "spatiafi", "--username", person, "--auth-server",
		u.auth.URL(), "--secret-stdin")
	u.unittest("test_logout")
	u.unittest("test_login", "test_daemon")
	u.daemon.wait() // another one serves by now, which the environment ends
	u.daemon = nil
}

// Each HTTP library sends the token to the API that the profile lists, once more after a 401, and nowhere else.
func TestPythonAuth(t *testing.T) {
	t.Parallel()
	u := newPythonUser(t)
	api := u.freeAPI()
	u.signInFor("work", api)
	for i := range 30 { // groatd replaces a token once a minute: each test that has one refused has its own profile
		u.signInFor(fmt.Sprint("p", i), api)
	}
	u.groat("dummy", "login", "key", "--provider", "climateengine-key", "--header", "X-Key", "--api", api,
		"--secret-stdin")
	u.unittest("test_auth")
}
