package e2e_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// shownByPython is what a program in Python, a notebook or a debugger shows of the module: values, errors with their
// stacks, pickles, the log of everything, and the process itself. It asks for tokens and prints none.
const shownByPython = `
import logging, os, pickle, sys, traceback
sys.path.insert(0, sys.argv[1])
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
import groat

token = groat.get("machine")
kept = [token, groat.auth("machine"), groat.login("machine"), groat._magic("status"), groat._current()]
for value in kept:
    print(value, repr(value), getattr(value, "_repr_html_", str)())
    try:
        print(pickle.dumps(value, 0))
    except TypeError as e:
        print(e)
print(groat.status(), groat.profiles(), groat.ready("machine"), groat.reject("canary.no.such.token", "machine"))
refused = sys.stdin.read()
for call in (
    lambda: groat.get("nowhere"),
    lambda: groat.get("machine", min_ttl=10**6),
    lambda: groat.token("machine", scope=refused),
    lambda: groat.login("machine", password=refused),
    lambda: groat.login("machine", client_secret=refused),
    lambda: groat.login(refused),
    lambda: groat.request("login_input", {"login_id": "x", "value": refused}),
    lambda: groat.request("unlock", {"passphrase": refused}),
    lambda: groat.request("reject", {"profile": refused, "access_token": token.access_token}),
):
    try:
        print(call())
    except Exception:
        traceback.print_exc()
print(dict(os.environ), open("/proc/self/cmdline").read(), open("/proc/self/environ").read())
`

// testPythonModule searches what the Python module shows of itself, with a secret in the wrong places.
func testPythonModule(t *testing.T, v *watchedEnv) {
	v = v.in(t)
	c := exec.CommandContext(t.Context(), debianPython, "-I", "-B", "-c", shownByPython, parts.Python(t))
	c.Env, c.Stdin = v.environ(), strings.NewReader(v.wrong)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	v.search("the Python module", said.String(), nothing)
	text := said.String()
	if n := strings.Count(text, "Traceback"); n != 9 || !strings.Contains(text, "signed in: profile machine") {
		t.Errorf("%d calls failed:\n%s", n, text)
	}
}
