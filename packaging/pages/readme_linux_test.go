package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
	"github.com/groat-dev/groat/packaging/testing/tier"
)

// The README's blocks that are known by how they begin.
const (
	installs = "make demo"
	onServer = "groat keystore use sealed"
)

// wants are texts that must be on the screen after the block that begins so.
var wants = map[string][]string{
	installs: {"signed in: profile work", "HTTP 200", "renewed, and nobody had to wait", "50 processes, 1 token",
		"Requests that this cost the server: 1.", "still exists at"},
	"groat login work":        {"signed in: profile work", "created: App Credentials"},
	onServer:                  {"keystore: sealed (key: passphrase), ok", "code: ", "signed in: profile quake"},
	"groat login  ":           {"climateengine", "already signed in: profile work", "you@example.com"},
	"groat login sat":         {"signed in: profile sat", "signed in: profile lab", "signed in: profile team"},
	"groat get work --min-tt": {`"access_token"`, "Authorization: dummy"},
	"groat setup":             {"SET UP FOR", `[credential "https://git.example.org"]`, "refs/heads/main"},
	"groat keystore  ":        {"keychain", "keystore: sealed (key: passphrase), ok"},
}

// TestReadme does what the README says, block by block, each as it is printed: on a terminal, with a person who
// answers what is asked, in a network in which the providers' names lead to sandboxes. What is to be installed comes
// first; then the order is the page's. A block that another test runs by Find is left to it.
func TestReadme(t *testing.T) {
	tier.Needs(t, "curl", "git", "gnome-keyring", "root")
	blocks, all := Blocks(t, "README.md"), claims(t)
	s := newServers(t)
	n := newNetwork(t, s.hosts())
	desktop := newMachine(t, n, "DBUS_SESSION_BUS_ADDRESS="+parts.StartSecretService(t).Address, "DISPLAY=:0")
	Checkout(t, desktop.work)
	desktop.write("groat/secret.txt", password+"\n", 0o600)
	desktop.write("home/.local/bin/xdg-open", "#!/bin/sh\nexec curl -sSfL -o /dev/null \"$1\"\n", 0o755)
	wanted := map[string]bool{}
	run := func(m *machine, b Block) {
		t.Helper()
		began := time.Now()
		shown := m.run(b)
		t.Logf("README.md:%d: %s", b.Line, time.Since(began).Round(time.Millisecond))
		for begins, texts := range wants {
			if !strings.HasPrefix(b.Text, begins) {
				continue
			}
			wanted[begins] = true
			for _, want := range texts {
				if !strings.Contains(shown, want) {
					t.Errorf("README.md:%d does not show %q:\n%s", b.Line, want, shown)
				}
			}
		}
	}
	install := Find(t, "README.md", installs)
	run(desktop, install)
	desktop.nothingLeft()
	for _, b := range blocks {
		switch {
		case b.Line == install.Line:
		case claimed(all, b) != "":
		case strings.HasPrefix(b.Text, onServer):
			server := newMachine(t, n, "SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22")
			server.work = desktop.work
			server.copyPrograms(desktop)
			run(server, b)
			// What the block says of each start of the server.
			server.endDaemon()
			_, unlock, _ := strings.Cut(b.Text, "groat unlock")
			run(server, Block{Page: b.Page, Line: b.Line, Text: "groat unlock" + unlock + "groat get quake\n"})
		default:
			run(desktop, b)
		}
	}
	for begins := range wants {
		if !wanted[begins] {
			t.Errorf("the README has no block that begins with %q", begins)
		}
	}
	desktop.inlineCommands()
	for _, server := range s.all() {
		for _, e := range server.Log() {
			if e.Status >= 400 {
				t.Errorf("a server answered %s %s with %d", e.Method, e.Path, e.Status)
			}
		}
	}
}

// inlineCommand matches a command within a sentence.
var inlineCommand = regexp.MustCompile("`(groatd? [^`]*)`")

// inlineCommands asks groat for the help of each command that the README names within a sentence. Those of groatd it
// runs.
func (m *machine) inlineCommands() {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(Root(), "README.md"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, found := range inlineCommand.FindAllStringSubmatch(string(text), -1) {
		command := found[1]
		if strings.HasPrefix(command, "groat ") {
			command += " --help"
		}
		m.run(Block{Page: "README.md", Text: command + "\n"})
	}
}

// nothingLeft wants no file and no process of the demo.
func (m *machine) nothingLeft() {
	m.t.Helper()
	if left, err := os.ReadDir(m.tmp); err != nil || len(left) > 0 {
		m.t.Errorf("the demo left files behind: %v %v", left, err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, m.work+"/") {
			m.t.Errorf("the demo left a process behind: %s is %s", link, exe)
		}
	}
}

// copyPrograms installs what another machine has.
func (m *machine) copyPrograms(from *machine) {
	m.t.Helper()
	for _, name := range []string{"groat", "groat-commands", "groatd"} {
		program, err := os.ReadFile(filepath.Join(from.dir, "home/.local/bin", name))
		if err != nil {
			m.t.Fatal(err)
		}
		m.write("home/.local/bin/"+name, string(program), 0o755)
	}
}
