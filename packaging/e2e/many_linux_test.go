package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/pages"
)

const manyMachines = "packaging/ELSEWHERE.md"

// shell runs a block of a page in the home. What is named there is what the test has: etcd1.example.org is the etcd, and
// ssh runs its command on the other machine.
func (f *fleetEnv) shell(m, other *userEnv, stdin, text string) string {
	f.t.Helper()
	for _, on := range []*userEnv{m, other} {
		authority, err := os.ReadFile(f.etcd.CA)
		if err != nil {
			f.t.Fatal(err)
		}
		on.put("ca.pem", string(authority))
	}
	password := filepath.Join(m.runtime, "password.txt") // the home is searched for secrets
	writeFile(f.t, password, f.etcd.Password+"\n")
	defer os.Remove(password)
	text = strings.ReplaceAll(text, "https://etcd1.example.org:2379", strings.Join(f.etcd.Endpoints, ","))
	text = strings.ReplaceAll(text, "password.txt", password)
	remote := fmt.Sprintf("ssh() { shift; (cd %s && env -i %s \"$@\"); }\n", other.home,
		"'"+strings.Join(other.variables(), "' '")+"'")
	r := m.run(stdin, "/bin/sh", "-c", "cd \"$HOME\"\n"+remote+text)
	if r.code != 0 {
		f.t.Fatalf("%s\n%s%s", text, r.stdout, r.stderr)
	}
	return r.stdout
}

// TestManyMachines runs the blocks of the page for a fleet.
func TestManyMachines(t *testing.T) {
	f := newFleetEnv(t)
	a, b := f.a, f.machine()
	f.shell(a, b, "", pages.Find(t, manyMachines, "groat fleet create").Text)
	f.shell(a, b, "", pages.Find(t, manyMachines, "(groat fleet invite").Text)
	login, rest, _ := strings.Cut(pages.Find(t, manyMachines, "groat login work --fleet").Text, "\n")
	login = strings.ReplaceAll(login, "you@example.com", person+" --secret-stdin --auth-server "+f.server.URL())
	f.shell(a, b, a.password+"\n", login)
	want := strings.TrimSpace(tokenOf(a))
	if got := f.shell(a, b, "", rest); !strings.Contains(got, want) || !strings.Contains(got, "profile work, renewed by") {
		t.Errorf("it prints %q", got)
	}
	f.has(b, "work")
	f.share(a, b)
	if n := f.server.Count(sandbox.SpatiafiTokenPath); n != 1 {
		t.Errorf("%d requests for a token that two machines have", n)
	}
}

// TestTwoMachinesWithoutAFleet: a client's pair may be signed in on each machine, and a session that was copied ends.
func TestTwoMachinesWithoutAFleet(t *testing.T) {
	m := newRotatingEnv(t)
	other := newUserEnv(t, os.Getuid())
	other.start()
	other.groat("", "keystore", "use", "sealed", "--key-file")
	for _, on := range []*userEnv{m.userEnv, other} {
		on.groat(m.secret+"\n", "login", "pair", "--issuer", m.server.Issuer(), "--client-id", labClient,
			"--secret-stdin")
	}
	for range 2 {
		for _, on := range []*userEnv{m.userEnv, other} {
			on.groat("", "login", "pair") // proves it by another token
		}
	}
	if first, second := m.groat("", "get", "pair"), other.groat("", "get", "pair"); first == second {
		t.Error("two machines have one token")
	}

	// A copy of the state directory.
	if err := other.stopDaemon(); err != nil {
		t.Fatal(err)
	}
	other.run("", "/bin/sh", "-c", "cd "+other.home+" && rm -r .local .config && cp -a "+m.home+"/.local "+m.home+"/.config "+other.home)
	other.start()
	m.groat("", "login", "work") // it renews
	other.refused(other.run("", "groat", "get", "work"), 4, "", "groat login work")
}
