package e2e_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/protocol"
)

// fleetEnv is an etcd with TLS and users, an authorization server that replaces refresh tokens, and machines, each with
// a home and a groatd of its own.
type fleetEnv struct {
	t      *testing.T
	etcd   *parts.Etcd
	server *server
	a      *userEnv
}

func newFleetEnv(t *testing.T) *fleetEnv {
	t.Helper()
	f := &fleetEnv{t: t, etcd: parts.StartEtcd(t, 0)}
	f.a = f.machine()
	var err error
	f.server, err = f.a.addServer("AUTH", "refresh_always=true", "rotate=true", "device_interval=1s")
	if err != nil {
		t.Fatal(err)
	}
	f.server.AddClient(sandbox.Client{ID: ownClient, Method: sandbox.None})
	return f
}

// machine starts a groatd.
func (f *fleetEnv) machine() *userEnv {
	f.t.Helper()
	m := newUserEnv(f.t, os.Getuid())
	m.add("the engine's password", f.etcd.Password)
	m.start()
	m.groat("", "keystore", "use", "sealed", "--key-file")
	return m
}

// engine are the flags that name the etcd, and its user, whose password is on stdin.
func (f *fleetEnv) engine(more ...string) []string {
	return append(more, "--ca", f.etcd.CA, "--user", f.etcd.User, "--password-stdin")
}

func (f *fleetEnv) create(m *userEnv, name string) result {
	f.t.Helper()
	args := f.engine("fleet", "create", "--etcd", strings.Join(f.etcd.Endpoints, ","), "--name", name)
	return m.run(f.etcd.Password+"\n", "groat", args...)
}

// codeOf is what the last line of a command is.
func codeOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func (f *fleetEnv) join(m *userEnv, code, name string) result {
	f.t.Helper()
	return m.run(code+"\n"+f.etcd.Password+"\n", "groat", f.engine("fleet", "join", "--code-stdin", "--name", name)...)
}

// joined is a new machine in the fleet.
func (f *fleetEnv) joined(by *userEnv, name string) *userEnv {
	f.t.Helper()
	m := f.machine()
	if r := f.join(m, codeOf(by.groat("", "fleet", "invite")), name); r.code != 0 {
		f.t.Fatalf("%s does not join: %s", name, r.stderr)
	}
	return m
}

func fleetStatus(m *userEnv) (r protocol.FleetResult) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.groat("", "fleet", "status", "--json")), &r); err != nil {
		m.t.Fatal(err)
	}
	return r
}

// comesTrue waits for what another machine has to hear of.
func comesTrue(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it was not so within %v: %s", patience, what)
		}
	}
}

// has waits until a machine has a profile.
func (f *fleetEnv) has(m *userEnv, profile string) {
	f.t.Helper()
	comesTrue(f.t, "the machine has profile "+profile, func() bool {
		return m.run("", "groat", "profile", "show", profile).code == 0
	})
}

// signIn signs a profile in on one machine, for all.
func (f *fleetEnv) signIn(m *userEnv, profile string) {
	f.t.Helper()
	s := m.startLogin("", profile, "--fleet", "--issuer", f.server.Issuer(), "--client-auth", "none", "--client-id",
		ownClient, "--grant", "device_code")
	if err := f.server.ApproveDevice(s.code()); err != nil {
		f.t.Fatal(err)
	}
	s.succeeds()
}

// renewals counts the requests with a refresh token.
func (f *fleetEnv) renewals() (n int) {
	for _, e := range f.server.Log() {
		if e.Refresh != "" {
			n++
		}
	}
	return n
}

// tokenOf is what a machine hands out.
func tokenOf(m *userEnv) string { m.t.Helper(); return m.groat("", "get", "work") }

// renew has a machine renew: a person signs in again, and the credential is proven. A token that has come from another
// machine within the last second would be taken for a new one (FLEET.md).
func (f *fleetEnv) renew(m *userEnv) {
	f.t.Helper()
	comesTrue(f.t, "the token came some time ago", func() bool {
		p := fleetStatus(m).Profiles[0]
		return time.Now().Unix()-p.RenewedAt > 2
	})
	m.groat("", "login", "work")
}

// share wants all machines to hand out one token, within the patience of the tests, and returns it.
func (f *fleetEnv) share(machines ...*userEnv) string {
	f.t.Helper()
	want := ""
	comesTrue(f.t, "all machines have one token", func() bool {
		want = tokenOf(machines[0]) // which may have the one before for a moment
		return !slices.ContainsFunc(machines[1:], func(m *userEnv) bool { return tokenOf(m) != want })
	})
	return want
}

// TestFleet is the life of a fleet: three machines on a real etcd, and a server that replaces refresh tokens and ends a
// session whose refresh token is used twice.
func TestFleet(t *testing.T) {
	f := newFleetEnv(t)
	a := f.a
	if r := f.create(a, "a"); r.code != 0 || !strings.Contains(r.stdout, "created a fleet") {
		t.Fatalf("it was not created: %s", r.stderr)
	}
	b, c := f.joined(a, "b"), f.joined(a, "c")
	f.signIn(a, "work")
	for _, m := range []*userEnv{b, c} {
		f.has(m, "work")
	}
	first := f.share(a, b, c)
	if n := f.renewals(); n != 0 {
		t.Errorf("%d renewals for a token that the sign-in has brought", n)
	}

	t.Run("one renewal for all", func(t *testing.T) {
		f.renew(b)
		comesTrue(t, "the new token is there", func() bool { return tokenOf(a) != first })
		if second := f.share(a, b, c); second == first || f.renewals() != 1 {
			t.Errorf("after a renewal: %d requests, the token is new: %t", f.renewals(), second != first)
		}
		s := fleetStatus(c)
		if s.State != "ok" || len(s.Machines) != 3 || len(s.Profiles) != 1 || s.Profiles[0].RenewedBy != "b" {
			t.Errorf("groat fleet status says %+v", s)
		}
		if text := a.groat("", "status"); !strings.Contains(text, "renewed by b") {
			t.Errorf("groat status does not say who renewed: %s", text)
		}
	})
	t.Run("a restart asks for nothing", func(t *testing.T) {
		want := tokenOf(a)
		b.restart()
		comesTrue(t, "the machine is in the fleet again", func() bool { return fleetStatus(b).State == "ok" })
		if got := tokenOf(b); got != want || f.renewals() != 1 {
			t.Errorf("after a restart it has another token (%t), with %d requests", got != want, f.renewals())
		}
	})
	t.Run("a groatd that stops stores the answer that is under way", func(t *testing.T) {
		before := f.renewals()
		comesTrue(t, "the token came some time ago", func() bool {
			return time.Now().Unix()-fleetStatus(b).Profiles[0].RenewedAt > 2
		})
		if err := f.server.control("set", url.Values{"latency": {"2s"}}); err != nil {
			t.Fatal(err)
		}
		login := b.command(t.Context(), "", "groat", "login", "work")
		if err := login.Start(); err != nil {
			t.Fatal(err)
		}
		comesTrue(t, "the request is under way", func() bool { return f.renewals() > before })
		b.restart()
		login.Wait() // whatever became of it
		if err := f.server.control("set", url.Values{"latency": {"0s"}}); err != nil {
			t.Fatal(err)
		}
		comesTrue(t, "the machine is in the fleet again", func() bool { return fleetStatus(b).State == "ok" })
		f.renew(a) // with the refresh token that the other one has stored
		f.share(a, b, c)
	})
	t.Run("this machine's own profile is not touched", func(t *testing.T) {
		own := "[profiles.home]\nprovider = \"spatiafi\"\n"
		c.put(".config/groat/config.toml", own)
		c.groat("", "reload")
		f.signIn(a, "home")
		f.has(b, "home")
		comesTrue(t, "it says that the fleet's is hidden", func() bool {
			for _, p := range fleetStatus(c).Profiles {
				if p.Profile == "home" {
					return p.Hidden
				}
			}
			return false
		})
		if c.file(".config/groat/config.toml") != own {
			t.Error("the person's file was changed")
		}
		if _, err := os.Stat(filepath.Join(c.home, ".config/groat/profiles.d/home.toml")); err == nil {
			t.Error("the fleet's profile was written beside it")
		}
		c.refused(c.run("", "groat", "login", "home", "--fleet"), 78, "this machine's own", "groat logout home")
		a.groat("", "logout", "home", "--yes")
		comesTrue(t, "a logout is for all", func() bool { return b.run("", "groat", "profile", "show", "home").code != 0 })
	})
	t.Run("a machine that is removed", func(t *testing.T) {
		b.groat("", "fleet", "remove", "c")
		comesTrue(t, "it says so", func() bool { return fleetStatus(c).State == "removed" })
		f.renew(a)
		f.share(a, b)
		c.restart()
		comesTrue(t, "it still says so", func() bool { return fleetStatus(c).State == "removed" })
		c.refused(c.run("", "groat", "get", "work"), 78, "was removed from the fleet", "groat fleet leave")
		c.groat("", "fleet", "leave", "--forget")
		if s := fleetStatus(c); s.State != "none" {
			t.Errorf("after it has left: %+v", s)
		}
		c.refused(c.run("", "groat", "get", "work"), 78, "there is no profile", "groat l")
	})
	t.Run("without the engine", func(t *testing.T) {
		want := tokenOf(a)
		for node := 1; node <= 3; node++ {
			f.etcd.Kill(t, node)
		}
		comesTrue(t, "it says that the engine does not answer", func() bool { return fleetStatus(a).State == "unreachable" })
		if tokenOf(a) != want || tokenOf(b) != want {
			t.Error("a token that was held is not handed out any more")
		}
		a.refused(a.run("", "groat", "fleet", "invite"), 75, "does not answer", "groat fleet status")
		a.refused(a.run("", "groat", "fleet", "leave"), 75, "does not answer", "groat fleet status")
		for node := 1; node <= 3; node++ {
			f.etcd.Start(t, node)
		}
		f.etcd.Await(t)
		defer func() {
			if t.Failed() {
				t.Log(a.groat("", "fleet", "status"), b.groat("", "fleet", "status"))
			}
		}()
		comesTrue(t, "it answers again", func() bool { return fleetStatus(a).State == "ok" && fleetStatus(b).State == "ok" })
		f.renew(a)
		f.share(a, b)
	})
	t.Run("a machine that leaves", func(t *testing.T) {
		if said := b.groat("", "fleet", "leave"); !strings.Contains(said, "has left the fleet") {
			t.Errorf("it says %q", said)
		}
		b.refused(b.run("", "groat", "get", "work"), 78, "there is no profile", "groat l")
		comesTrue(t, "it is a member no more", func() bool { return len(fleetStatus(a).Machines) == 1 })
		f.renew(a)
		a.groat("", "fleet", "leave")
		if left := f.etcd.Ctl(t, "get", "--prefix", "/groat/", "--keys-only"); strings.TrimSpace(left) != "" {
			t.Errorf("the last machine has left in the engine: %s", left)
		}
	})
}

// TestFleetRefuses: what cannot be is refused in two lines, and nothing has changed.
func TestFleetRefuses(t *testing.T) {
	f := newFleetEnv(t)
	a, b, c := f.a, f.machine(), f.machine()
	at := strings.Join(f.etcd.Endpoints, ",")
	other := filepath.Join(a.home, "other.pem")
	// Some other authority: that of another file.
	foreign := httptest.NewTLSServer(nil)
	foreign.Close()
	writeFile(t, other, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: foreign.Certificate().Raw})))

	a.refused(a.run("", "groat", "login", "work", "--fleet", "--provider", "spatiafi"), 78, "in no fleet",
		"groat fleet --help")
	a.refused(a.run("wrong\n", "groat", f.engine("fleet", "create", "--etcd", at)...), 78, "refused the user",
		"groat fleet create --help")
	a.refused(a.run(f.etcd.Password+"\n", "groat", "fleet", "create", "--etcd", at, "--ca", other, "--user",
		f.etcd.User, "--password-stdin"), 78, "authority that is trusted", "groat fleet create --help")
	a.refused(a.run(f.etcd.Password+"\n", "groat", "fleet", "create", "--etcd", at, "--ca", "/no-file", "--user",
		f.etcd.User, "--password-stdin"), 78, "no such file", "ls -l /no-file")
	if s := fleetStatus(a); s.State != "none" {
		t.Fatalf("after refusals it is in a fleet: %+v", s)
	}
	if r := f.create(a, "a"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	a.refused(f.create(a, "a"), 78, "in a fleet already", "groat fleet status")

	good := codeOf(a.groat("", "fleet", "invite"))
	typo := []byte(good)
	if typo[10]++; typo[10] == ':' || typo[10] == '[' {
		typo[10] = '0'
	}
	b.refused(f.join(b, string(typo), "b"), 2, "group 2 of the", "groat fleet join")
	b.refused(f.join(b, good[:len(good)-9], "b"), 2, "", "groat fleet join")
	b.refused(b.run(good+"\n"+f.etcd.Password+"\n", "groat", "fleet", "join", "--code-stdin", "--user", f.etcd.User,
		"--password-stdin"), 78, "--ca names it", "groat fleet join --help")
	b.refused(b.run(good+"\n"+f.etcd.Password+"\n", "groat", "fleet", "join", "--code-stdin", "--ca", other, "--user",
		f.etcd.User, "--password-stdin"), 78, "not the file that the fleet was created with", "ls -l")
	if r := f.join(b, good, "b"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	b.refused(f.join(b, good, "b"), 78, "in a fleet already", "groat fleet status")
	c.refused(f.join(c, good, "c"), 78, "this code was used", "groat fleet join")
	a.refused(a.run("", "groat", "fleet", "remove", "nobody"), 78, "no such machine", "groat fleet status")
	a.refused(a.run("", "groat", "fleet", "remove", "a"), 78, "the machine itself", "groat fleet leave")
	c.refused(c.run("", "groat", "fleet", "invite"), 78, "in no fleet", "groat fleet --help")
	c.refused(c.run("", "groat", "fleet", "leave"), 78, "in no fleet", "groat fleet --help")

	// Nobody answers while the only machines are stopped.
	code := codeOf(a.groat("", "fleet", "invite"))
	for _, m := range []*userEnv{a, b} {
		if err := m.daemon.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	r := f.join(c, code, "c")
	for _, m := range []*userEnv{a, b} {
		if err := m.daemon.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	c.refused(r, 75, "no machine of the fleet has answered", "groat fleet join")
	if s := fleetStatus(c); s.State != "none" {
		t.Errorf("after refusals it is in a fleet: %+v", s)
	}
}
