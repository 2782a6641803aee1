package systemd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/groat-dev/groat/packaging/pages"
)

const elsewhere = "packaging/ELSEWHERE.md"

// The key of the encrypted file is a credential of the service manager's: what is stored is there after a restart,
// nobody is asked, and without the key it stays closed.
func TestTheKeyIsACredential(t *testing.T) {
	p := newPerson(t)
	p.sh(t, pages.Find(t, elsewhere, "umask 077").Text)
	p.wantsItsKey(t, "~/groat.key", "systemctl --user restart groatd.service")
	if p.Booted() {
		p.systemService(t)
	}
}

// systemService is a service of the system's, whose user has no session, with a key that only this machine decrypts.
func (p *person) systemService(t *testing.T) {
	t.Helper()
	p.asRoot(t, "/usr/sbin/useradd --uid 4243 --create-home fetch; install -t /usr/bin "+personBin+"/groat*\n"+
		"cat >/etc/systemd/system/groatd.service <<'UNIT'\n"+pages.Find(t, elsewhere, "[Unit]").Text+"UNIT\n"+
		pages.Find(t, elsewhere, "head -c 32").Text)
	fetch := &person{agent: p.agent, server: p.server, system: "fetch"}
	fetch.wantsItsKey(t, "/etc/groat.key", "systemctl restart groatd.service")
}

func (p *person) asRoot(t *testing.T, script string) {
	t.Helper()
	if out, err := p.RootCommand(t, "sh", "-e", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// wantsItsKey signs in, and restarts groatd with its key, with another one, and with its own again.
func (p *person) wantsItsKey(t *testing.T, key, restart string) {
	t.Helper()
	manage, another := p.asRoot, "head -c 32 /dev/urandom | systemd-creds encrypt --name=groat.key - "+key
	if p.system == "" {
		manage, another = func(t *testing.T, script string) { p.sh(t, script) }, "head -c 32 /dev/urandom >"+key
	}
	p.sh(t, fmt.Sprintf("echo %s | groat login unit --token-url %s --client-auth client_secret_basic --client-id %s "+
		"--secret-stdin", secret, p.server.URL()+p.server.TokenPath(), clientID))
	if out := p.sh(t, "groat keystore --json"); !strings.Contains(out, `"key":"credential"`) {
		t.Errorf("the key is another one: %s", out)
	}
	asked := p.requests()
	manage(t, restart)
	p.sh(t, "groat get")
	if n := p.requests(); n != asked+1 {
		t.Errorf("%d token requests after a restart, want one", n-asked)
	}
	manage(t, "mv "+key+" "+key+".good; "+another+"; "+restart)
	if out, err := p.try(t, "groat get"); err == nil || !strings.Contains(out, "groat: hint: ") {
		t.Errorf("with another key: %v\n%s", err, out)
	} else {
		t.Log(out)
	}
	manage(t, "mv "+key+".good "+key+"; "+restart)
	p.sh(t, "groat get")
}

// The groatd of a user who lingers starts with the machine, before a program asks.
func TestItStartsWithTheMachine(t *testing.T) {
	p := newPerson(t)
	p.signIn(t, "sealed --key-file")
	p.sh(t, "groat service install; systemctl --user enable groatd.service")
	asked := p.requests()
	p.StartAgain(t)
	p.await(t, "groatd runs", func() bool { return p.property(t, "ActiveState") == "active" })
	if now := p.daemons(t); len(now) != 1 || now[0] != p.property(t, "MainPID") {
		t.Errorf("processes %v run", now)
	}
	p.sh(t, "groat get")
	if n := p.requests(); n != asked+1 {
		t.Errorf("%d token requests, want one", n-asked)
	}
}
