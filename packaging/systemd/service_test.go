package systemd_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/attack"
	"github.com/groat-dev/groat/packaging/pages"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// person is an ordinary user with a user manager, who has groat and groatd in a directory of their own on their PATH.
type person struct {
	*agent
	server *sandbox.Server
	// system is the user of a service of the system's, who has no session; empty is the user of the manager.
	system string
}

const (
	personBin = parts.TesterHome + "/.local/bin"
	stateDir  = parts.TesterHome + "/.local/state/groat"
)

func newPerson(t *testing.T) *person {
	t.Helper()
	p := &person{agent: &agent{UserManager: parts.StartUserManager(t)}}
	p.groat = personBin + "/groat"
	bin := parts.Binaries(t)
	p.Run(t, "install", "-D", "-t", personBin, bin+"/groat", bin+"/groat-commands", bin+"/groatd")
	p.server = sandbox.New(sandbox.Options{Clients: []sandbox.Client{{ID: clientID, Secret: secret}}})
	if err := p.server.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.server.Close()
		if t.Failed() {
			t.Logf("the journal:\n%s", p.Journal(t))
		}
	})
	return p
}

// sh runs a script as it is typed, which must succeed.
func (p *person) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := p.try(t, script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

func (p *person) try(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := p.Command(t, "sh", "-e", "-c", "PATH=$HOME/.local/bin:$PATH\n"+script)
	if p.system != "" {
		cmd = p.RootCommand(t, "setpriv", "--reuid", p.system, "--regid", p.system, "--init-groups", "env", "-i",
			"HOME=/home/"+p.system, "PATH=/usr/bin:/bin", "GROAT_NO_AUTOSTART=1", "sh", "-e", "-c", script)
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// signIn uses groat once: it starts groatd, which is no service yet.
func (p *person) signIn(t *testing.T, keystore string) {
	t.Helper()
	p.sh(t, "groat keystore use "+keystore)
	p.sh(t, fmt.Sprintf("echo %s | groat login unit --token-url %s "+
		"--client-auth client_secret_basic --client-id %s --secret-stdin",
		secret, p.server.URL()+p.server.TokenPath(), clientID))
}

func (p *person) requests() int { return p.server.Count(p.server.TokenPath()) }

// daemons returns the process ids of all that are groatd.
func (p *person) daemons(t *testing.T) []string {
	t.Helper()
	out, _ := p.Command(t, "pgrep", "-x", "groatd").Output() // 1 where there is none
	return strings.Fields(string(out))
}

// The recipe works as it is printed, after groat has been used: the token is the same, no server is asked, and one
// groatd runs.
func TestM8TheRecipeAsPrinted(t *testing.T) {
	p := newPerson(t)
	p.signIn(t, "sealed --key-file")
	token := p.sh(t, "groat get")
	before, asked := p.daemons(t), p.requests()
	if len(before) != 1 {
		t.Fatalf("processes %v run before", before)
	}
	install := pages.Find(t, "README.md", "groat service install").Text
	t.Log(p.sh(t, install))
	for range 2 {
		if got := p.sh(t, "groat get"); got != token {
			t.Error("another token")
		}
		p.want(t, "ActiveState", "active")
		if now := p.daemons(t); len(now) != 1 || now[0] != p.property(t, "MainPID") || now[0] == before[0] {
			t.Errorf("processes %v run, before it was %v", now, before)
		}
		p.sh(t, install) // again, which changes nothing
	}
	if n := p.requests(); n != asked {
		t.Errorf("%d token requests, want none", n-asked)
	}
	p.want(t, "NRestarts", "0")
	if exec := p.property(t, "ExecStart"); !strings.Contains(exec, personBin+"/groatd") {
		t.Errorf("it runs %s", exec)
	}
	if journal := p.Journal(t); strings.Contains(journal, token) || strings.Contains(journal, secret) {
		t.Error("the journal holds a secret")
	}

	p.verbs(t, token)

	// And back.
	t.Log(p.sh(t, "groat service uninstall"))
	if out := p.sh(t, "ls -A ~/.config/systemd/user; groat service uninstall"); strings.Contains(out, "groatd") &&
		strings.Contains(out, ".s") {
		t.Errorf("left behind: %s", out)
	}
	if p.sh(t, "groat get") == "" || len(p.daemons(t)) != 1 {
		t.Errorf("processes %v run", p.daemons(t))
	}
	p.want(t, "LoadState", "not-found")
}

// verbs tries what there is for a service that is installed. A restart changes the process and nothing else.
func (p *person) verbs(t *testing.T, token string) {
	t.Helper()
	asked := p.requests()
	files := attack.WatchOpenFiles(strings.TrimSpace(token), "groatd", "groat-commands", "systemd")
	until, caller := make(chan struct{}), sync.WaitGroup{}
	caller.Go(func() {
		for {
			select {
			case <-until:
				return
			default:
			}
			if got, err := p.try(t, "groat get"); got != token {
				t.Errorf("a caller meanwhile: %v", err)
			}
		}
	})
	for _, restart := range []string{"groat service restart", "groat restart"} {
		before := p.property(t, "MainPID")
		if out := p.sh(t, restart); !strings.Contains(out, "with the access tokens of the one before") {
			t.Errorf("%s: %s", restart, out)
		}
		if got := p.sh(t, "groat get"); got != token {
			t.Errorf("%s: another token", restart)
		}
		now := p.property(t, "MainPID")
		p.await(t, "one groatd", func() bool { d := p.daemons(t); return len(d) == 1 && d[0] == now })
		if now == before {
			t.Errorf("%s: process %s runs, as before", restart, now)
		}
	}
	close(until)
	caller.Wait()
	if found, looked := files.Stop(); len(found) > 0 || looked == 0 {
		t.Errorf("of %d open files these have the token: %v", looked, found)
	}
	if n := p.requests(); n != asked {
		t.Errorf("%d token requests, want none", n-asked)
	}
	out := p.sh(t, "groat service status")
	for _, want := range []string{"socket   active", "groatd   active (running), pid " + p.property(t, "MainPID"),
		"since ", "release "} {
		if !strings.Contains(out, want) {
			t.Errorf("the status is without %q:\n%s", want, out)
		}
	}
	// The journal is in memory, and for the group systemd-journal, where no system is booted that keeps one for each user.
	if !p.Booted() {
		if out, err := p.try(t, "groat logs"); err == nil ||
			!strings.Contains(out, "hint: sudo journalctl _UID=4242 ") {
			t.Errorf("%v\n%s", err, out)
		}
		p.asRoot(t, "chmod -R a+rX /run/log/journal")
	}
	for _, logs := range []string{"groat logs", "groat service logs -n 0"} {
		if out := p.sh(t, logs); !strings.Contains(out, "took over from another groatd") || strings.Contains(out, token) {
			t.Errorf("%s:\n%s", logs, out)
		}
	}
	for range 2 {
		t.Log(p.sh(t, "groat service stop"))
		p.want(t, "ActiveState", "inactive")
		p.sh(t, "groat service status")
		p.want(t, "ActiveState", "inactive") // to look starts nothing
	}
	for range 2 {
		t.Log(p.sh(t, "groat service start"))
		p.want(t, "ActiveState", "active")
	}
	p.sh(t, "systemctl --user stop groatd.socket groatd.service")
	if out, err := p.try(t, "groat service status"); err == nil || !strings.HasSuffix(out, "hint: groat service start") {
		t.Errorf("%v\n%s", err, out)
	}
	p.sh(t, "groat service start; groat stop; groat service status; groat get")
}

// Where the first groatd holds what only its memory has, it goes on. groat says so, its hint undoes the service, and
// nothing is lost; or the person ends it, and the service is there.
func TestM2WhatOnlyMemoryHas(t *testing.T) {
	p := newPerson(t)
	p.signIn(t, "memory")
	token, first := p.sh(t, "groat get"), p.daemons(t)
	out, err := p.try(t, "groat service install")
	if err == nil || !strings.Contains(out, "it keeps credentials in memory only") ||
		!strings.HasSuffix(out, "hint: groat service uninstall") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := p.try(t, "groat get"); err == nil || !strings.Contains(out, "in memory only") ||
		!strings.HasSuffix(out, "hint: kill "+first[0]) {
		t.Errorf("%v\n%s", err, out)
	}
	p.sh(t, "groat service uninstall")
	if got := p.sh(t, "groat get"); got != token {
		t.Error("another token")
	}
	if now := p.daemons(t); len(now) != 1 || now[0] != first[0] {
		t.Errorf("processes %v run, want %v", now, first)
	}
	p.try(t, "groat service install")
	p.sh(t, "kill "+first[0])
	p.await(t, "the service holds the lock", func() bool {
		out, _ := p.try(t, "groat status")
		return !strings.Contains(out, "another groatd")
	})
	p.want(t, "ActiveState", "active")
	if now := p.daemons(t); len(now) != 1 || now[0] != p.property(t, "MainPID") {
		t.Errorf("processes %v run", now)
	}
	// The service is not ended by its removal either, while it has something that is nowhere else.
	p.signIn(t, "memory")
	out, err = p.try(t, "groat service uninstall")
	if err == nil || !strings.Contains(out, "would lose what is nowhere else") ||
		!strings.HasSuffix(out, "hint: groat service uninstall --force") {
		t.Errorf("%v\n%s", err, out)
	}
	p.want(t, "ActiveState", "active")
	p.sh(t, "groat service uninstall --dry-run --force; groat service uninstall --force")
	p.want(t, "LoadState", "not-found")
}

// A groatd of a version without a hand-over is named, and the hint leads to the service.
func TestM5AnOlderGroatd(t *testing.T) {
	p := newPerson(t)
	p.signIn(t, "sealed --key-file")
	first := p.daemons(t)
	p.sh(t, fmt.Sprintf(`record=$(sed 's/,"handover":"[^"]*"//' %[1]s/lock); printf '%%s\n' "$record" >%[1]s/lock`,
		stateDir))
	out, err := p.try(t, "groat service install")
	if err == nil || !strings.Contains(out,
		"another groatd runs (pid "+first[0]+"), which cannot hand over to this one") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = p.try(t, "groat get")
	_, hint, ok := strings.Cut(out, "hint: ")
	if err == nil || !ok {
		t.Fatalf("%v\n%s", err, out)
	}
	p.sh(t, hint)
	p.await(t, "the service answers", func() bool { _, err := p.try(t, "groat get"); return err == nil })
	if now := p.daemons(t); len(now) != 1 || now[0] != p.property(t, "MainPID") {
		t.Errorf("processes %v run", now)
	}
}

// Nothing is changed where groat would have to overwrite something, or where the service would be of no use.
func TestM9WhereNoServiceIsInstalled(t *testing.T) {
	p := newPerson(t)
	const units = parts.TesterHome + "/.config/systemd/user"
	for name, c := range map[string]struct{ script, says string }{
		"a unit of the person's": {"mkdir -p " + units + "; echo '[Service]' >" + units +
			"/groatd.service; groat service install", "was not written by groat"},
		"a masked unit": {"mkdir -p " + units + "; ln -s /dev/null " + units +
			"/groatd.socket; groat service install", "was not written by groat"},
		"another's, to be removed": {"mkdir -p " + units + "; echo '[Service]' >" + units +
			"/groatd.service; groat service uninstall", "was not written by groat"},
		"another place": {"GROAT_STATE_DIR=/home/tester/x groat service install",
			"the environment names others"},
		"a socket elsewhere": {"GROAT_SOCKET=/run/user/4242/s groat service install",
			"the environment names others"},
		"no systemctl": {"PATH=$HOME/.local/bin groat service install", "there is no systemd here"},
		"no user manager": {"XDG_RUNTIME_DIR=/nonexistent DBUS_SESSION_BUS_ADDRESS= groat service install",
			"there is no systemd user manager here; groat starts groatd by itself\ngroat: hint: groat status"},
		"another home": {"HOME=/tmp groat service install",
			"groat: hint: HOME=" + parts.TesterHome + " groat service install"},
		"another home, back": {"HOME=/tmp GROAT_CONFIG=/tmp/c groat service uninstall",
			"groat: hint: env -u GROAT_CONFIG HOME=" + parts.TesterHome + " groat service uninstall"},
		"a path for no unit": {
			`mkdir "$HOME/a\"b"; cp ~/.local/bin/groat* "$HOME/a\"b"; PATH=/usr/bin:/bin; ` +
				`"$HOME/a\"b/groat" service install`, "no unit can name"},
		"M14 a directory others may write": {"mkdir -p " + units + "; chmod 777 " + units + "; groat service install",
			"may be written by others"},
		"M14 a path that is not UTF-8": {`d="$HOME/$(printf 'a\377')"; mkdir "$d"; cp ~/.local/bin/groat* "$d"; ` +
			`PATH=/usr/bin:/bin; "$d/groat" service install`, "no unit can name"},
	} {
		t.Run(name, func(t *testing.T) {
			before := p.sh(t, "ls -lR "+units+" 2>/dev/null || true")
			out, err := p.try(t, c.script)
			if err == nil || !strings.Contains(out, c.says) || !strings.Contains(out, "groat: hint: ") {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(c.script, units) {
				p.sh(t, "rm -r "+units)
			} else if after := p.sh(t, "ls -lR "+units+" 2>/dev/null || true"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
	plan := p.sh(t, "groat service install --dry-run")
	if !strings.Contains(plan, "ExecStart="+personBin+"/groatd\n") ||
		!strings.Contains(plan, "would run systemctl --user enable --now groatd.socket") {
		t.Error(plan)
	}
	p.sh(t, "test ! -e "+units)
	// A path that has to be quoted.
	p.sh(t, `mkdir "$HOME/100% own"; mv ~/.local/bin/groat* "$HOME/100% own"; "$HOME/100% own/groat" service install`)
	if exec := p.property(t, "ExecStart"); !strings.Contains(exec,
		filepath.Join(parts.TesterHome, "100% own", "groatd")) {
		t.Errorf("it runs %s", exec)
	}
	p.want(t, "ActiveState", "active")
}
