package e2e_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hintPassphrase protects the sealed keystore of the person who follows the hints.
const hintPassphrase = "seven plain words that nobody would guess"

// provocation is a fault, and a person who types what groat says until it is gone.
type provocation struct {
	name  string
	rows  []string // of the table of errors (hintRows): the sentences that are met on the way
	make  func(f *follower)
	vars  string // what the person's shell says first
	typed string // the command that fails
	stdin string
	types []string // at a terminal, as packaging/proof/typist.py takes it
	wants string   // in its sentence
	// person is what is typed for a hint that leaves something to the person: a name, a file.
	person map[string]string
	// itself is set where the hint is the command that was meant; after is what the person types once they have looked.
	itself bool
	after  string
	// shows is in what the hint prints, where it shows the fault and does not end it: mend does, or what is typed after.
	shows string
	mend  func(f *follower)
}

// follower is a person who does what the second line says.
type follower struct {
	*userEnv
	sandbox *server
	state   string
	release func() // what [follower.holdLock] holds
}

// saysTwoLines matches an error of groat's or groatd's, after whatever else was said.
var saysTwoLines = regexp.MustCompile(`(?:^|\n)groatd?: error: (.*)\ngroatd?: hint: (.*)\n`)

// ofTheShell matches a command that changes the shell it is typed in.
var ofTheShell = regexp.MustCompile(`^(unset|export|cd|eval)\b`)

// follow types a command that fails, then each hint, and the command again: at most three hints, no sentence twice, and
// in the end nothing fails.
func (f *follower) follow(t *testing.T, p provocation) {
	if p.make != nil {
		p.make(f)
	}
	said, shell, command, stdin := map[string]bool{}, p.vars, p.typed, p.stdin
	var result result
	if p.types != nil {
		result = f.atTerminal(shell+command, p.types)
	} else {
		result = f.run(stdin, "/bin/sh", "-c", shell+command)
	}
	if result.code == 0 {
		t.Fatalf("%s does not fail", command)
	}
	for step := 1; ; step++ {
		m := saysTwoLines.FindStringSubmatch(result.stderr)
		switch {
		case m == nil:
			t.Fatalf("step %d: %d, %q", step, result.code, result.stderr)
		case step == 1 && !strings.Contains(m[1], p.wants):
			t.Errorf("%q, want %q", m[1], p.wants)
		case said[m[1]]:
			t.Fatalf("step %d: again %q (%s)", step, m[1], m[2])
		case step > 3:
			t.Fatalf("three hints did not help: %q (%s)", m[1], m[2])
		}
		said[m[1]] = true
		hint := m[2]
		if typed, ok := p.person[hint]; ok {
			hint = typed
		}
		t.Logf("%s\n  %s", m[1], hint)
		if ofTheShell.MatchString(hint) {
			shell += hint + " && "
		} else if hint == "groatd" { // it stays in the foreground of another terminal
			f.start()
		} else {
			hint, stdin := f.secretsIn(hint)
			result = f.run(stdin, "/bin/sh", "-c", shell+hint)
			switch {
			case p.shows != "":
				if shown := result.stdout + result.stderr; !strings.Contains(shown, p.shows) {
					t.Errorf("%s shows %q, want %q", hint, shown, p.shows)
				}
			case result.code != 0:
				continue // with what that says
			case p.itself:
				return
			}
		}
		if p.mend != nil {
			p.mend(f)
		}
		if p.after != "" {
			command = p.after
		}
		if result = f.run(stdin, "/bin/sh", "-c", shell+command); result.code == 0 {
			return
		}
	}
}

// secretsIn is a hint as a script types it, with what a terminal would ask for on stdin.
func (f *follower) secretsIn(hint string) (typed, stdin string) {
	hint = strings.ReplaceAll(hint, "YOU", person)
	switch {
	case strings.HasSuffix(hint, " --cancel"):
	case strings.HasPrefix(hint, "groat login lab"):
		return hint + " --secret-stdin", f.secret + "\n"
	case strings.Contains(hint, "groat login"):
		return hint + " --secret-stdin", f.password + "\n"
	case strings.HasSuffix(hint, " --passphrase"):
		return hint + "-stdin", hintPassphrase + "\n"
	case hint == "groat unlock", strings.HasPrefix(hint, "groat backup"):
		return hint + " --passphrase-stdin", hintPassphrase + "\n"
	}
	return hint, hintPassphrase + "\n"
}

func (f *follower) stop() {
	f.t.Helper()
	f.groat("", "stop")
}

func (f *follower) profile(name string) string {
	return filepath.Join(f.home, ".config", "groat", "profiles.d", name+".toml")
}

// write writes a file that is the person's.
func (f *follower) write(path, text string) {
	f.t.Helper()
	writeFile(f.t, path, text)
	f.own(path, f.uid)
}

// TestEveryHintWorksWhenTyped: whatever fails, a person who types the second line, and the one after it, comes through.
// One home is led through all of it, so that each fault is met in a place that is in use.
func TestEveryHintWorksWhenTyped(t *testing.T) {
	t.Parallel()
	f := &follower{userEnv: newUserEnv(t, stranger)}
	f.vars = []string{"GROAT_NO_AUTOSTART=", "EDITOR=" + filepath.Join(f.home, "editor")}
	t.Cleanup(func() {
		if out, err := f.command(context.Background(), "", "groat", "stop", "--force").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	f.state = filepath.Join(f.home, ".local", "state", "groat")
	var err error
	if f.sandbox, err = f.addServer("AUTH"); err != nil {
		t.Fatal(err)
	}
	editor := filepath.Join(f.home, "editor") // it knows what the file should have said
	f.write(editor, "#!/bin/sh\nfor last; do :; done\ncp \"$last.good\" \"$last\"\n")
	if err := os.Chmod(editor, 0o700); err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, p := range slices.Concat(f.provocations(), f.installations(), f.servers(), f.terminals()) {
		for _, row := range p.rows {
			met[row] = true
		}
		t.Run(p.name, func(t *testing.T) {
			f.t = t
			f.follow(t, p)
		})
		f.t = t
		if t.Failed() {
			return // the next one would be met in another place than it is made for
		}
	}
	t.Run("the table", func(t *testing.T) { checkHintRows(t, met) })
}

// loseTheKey keeps the credentials in a sealed file with a key file, and loses that.
func loseTheKey(f *follower) {
	f.groat(hintPassphrase+"\n", "unlock", "--passphrase-stdin")
	f.groat("", "keystore", "move", "sealed", "--key-file")
	f.stop()
	keys, err := filepath.Glob(f.state + "/*.key")
	if err != nil || len(keys) != 1 || os.Remove(keys[0]) != nil {
		f.t.Fatal(keys, err)
	}
}

func (f *follower) provocations() []provocation {
	signIn := "groat login work --provider spatiafi --username " + person + " --auth-server " + f.sandbox.URL()
	kept := filepath.Join(f.home, "kept.groat")
	hand := "provider = \"spatiafi\"\nauth_server = \"" + f.sandbox.URL() + "\"\n"
	return []provocation{
		{name: "no keystore works by itself", rows: []string{"keystore.ErrUndecided", "protocol.Error"},
			typed: signIn + " --secret-stdin", stdin: f.password + "\n", wants: "no keystore is chosen"},
		{name: "the keystore is locked", rows: []string{"keystore.ErrLocked"}, make: (*follower).stop,
			typed: "groat get work", wants: "locked"},
		{name: "nothing on stdin", rows: []string{"groat-commands.errStdin"}, make: func(f *follower) {
			f.stop()
			f.write(filepath.Join(f.home, "passphrase"), hintPassphrase)
		}, typed: "groat unlock --passphrase-stdin </dev/null", wants: "it is empty", itself: true,
			person: map[string]string{"groat unlock --passphrase-stdin < FILE": "groat unlock --passphrase-stdin < " +
				f.home + "/passphrase"}},
		{name: "one passphrase for two", rows: []string{"groat-commands.errTwoPassphrases"}, make: func(f *follower) {
			f.write(filepath.Join(f.home, "two"), hintPassphrase+"\nanother passphrase")
			f.write(filepath.Join(f.home, "back"), "another passphrase\n"+hintPassphrase)
		}, typed: "groat keystore passphrase --passphrase-stdin <passphrase", vars: "cd && ", wants: "must hold two lines",
			itself: true, person: map[string]string{"groat keystore passphrase --passphrase-stdin < FILE": "groat keystore " +
				"passphrase --passphrase-stdin <two && groat keystore passphrase --passphrase-stdin <back"}},
		{name: "what protects the keystore is none", rows: []string{"groat-commands.errKeyNotKind"},
			typed: "groat keystore move key-file", wants: "protects the sealed keystore", itself: true},
		{name: "no such profile", rows: []string{"profile.UnknownError", "broker.ErrUnknown"},
			typed: "groat get nosuch", wants: `"nosuch"`, after: "groat get work"},
		{name: "too long", rows: []string{"broker.TooLong"}, typed: "groat get work --min-ttl 9000", itself: true},
		{name: "no hook", rows: []string{"protocol.Error"}, make: func(f *follower) {
			hooks := filepath.Join(f.home, ".config", "groat", "hooks")
			f.dir(hooks, 0o700, f.uid)
			f.write(filepath.Join(hooks, "note.good"), "#!/bin/sh\n")
		}, typed: "groat export work --token-file ~/kept.token --on-change note && groat export --stop --all",
			wants: "there is no hook note"},
		{name: "a profile by hand", rows: []string{"keystore.ErrNotFound"},
			make:  func(f *follower) { f.write(f.profile("hand"), hand) },
			typed: "groat get hand", wants: "is not signed in"},
		{name: "a wrong file", rows: []string{"config.Error"}, make: func(f *follower) {
			f.stop()
			f.write(f.profile("hand")+".good", f.file(".config/groat/profiles.d/hand.toml"))
			f.write(f.profile("hand"), "nonsense = 1\n")
		}, typed: "groat get hand", wants: "unknown key"},
		{name: "a restart that is refused", rows: []string{"groat-commands.errNotReplaced"}, make: func(f *follower) {
			f.groat("", "list")
			f.write(filepath.Join(f.home, ".config", "groat", "config.toml"), "oops\n")
			f.write(filepath.Join(f.home, ".config", "groat", "config.toml.good"), "")
		}, typed: "groat restart", wants: "no groatd has taken the place"},
		{name: "two profiles for git",
			rows:  []string{"groat-commands.errSetupProfile", "groat-commands.errSetupUnasked"},
			typed: "groat setup git", wants: "say which profile is meant", itself: true},
		{name: "one file for two", rows: []string{"groat-commands.errSameAPI"}, typed: "groat helper gdal work hand",
			wants: "both list", itself: true},
		{name: "nobody to ask", rows: []string{"groat-commands.errNoTerminal"}, typed: "groat logout hand",
			wants: "there is no terminal", itself: true},
		{name: "a slip", rows: []string{"groat-commands.errUnknownCommand"}, typed: "groat lst",
			wants: `there is no command "lst"`, itself: true},
		{name: "no such flag", rows: []string{"groat-commands.errUsage"}, typed: "groat whoami --nope",
			wants: "has no flag --nope", after: "groat list"},
		{name: "git's variables", rows: []string{"groat-commands.errGitCount"}, vars: "export GIT_CONFIG_COUNT=x; ",
			typed: "groat run work -- true", wants: "GIT_CONFIG_COUNT"},
		{name: "no token", rows: []string{"groat-commands.errRefusedInput"},
			typed: "printf 'a b' | groat get work --refused", wants: "no token",
			vars: "TOKEN=$(groat get work); ", itself: true},
		{name: "no user manager", rows: []string{"groat-commands.errNoUserManager"}, typed: "groat service logs",
			wants: "no systemd user manager", itself: true},
		{name: "no systemd", rows: []string{"groat-commands.errNoServiceManager"}, vars: "export PATH=" + bin + "; ",
			typed: "groat service restart", wants: "there is no systemd here", itself: true},
		{name: "a service elsewhere", rows: []string{"groat-commands.errServicePlace"}, itself: true,
			typed: "GROAT_SOCKET=/tmp/s groat service logs", wants: "the environment names others"},
		{name: "no program", rows: []string{"groat-commands.errProgram"},
			typed: "groat run work -- " + filepath.Join(f.home, "passphrase"), wants: "cannot be run", after: "groat run work -- true"},
		{name: "nothing to take back", rows: []string{"groat-commands.errNotSetUp"}, typed: "groat setup git work --undo",
			wants: "nothing to take back", itself: true},
		{name: "keyring's arguments", rows: []string{"report.KeyringUsage"}, typed: "groat helper keyring get",
			itself: true},
		{name: "kubectl's variable", rows: []string{"report.ExecInfo"}, vars: "export KUBERNETES_EXEC_INFO=x; ",
			typed: "groat helper kubectl work", itself: true},
		{name: "an API of nobody", rows: []string{"groat-commands.errSetupAPI"}, itself: true,
			typed: "groat setup git work --api https://api.example.org", wants: "does not list"},
		{name: "an API key", rows: []string{"report.StaticKey"}, make: func(f *follower) {
			f.groat("dummy-key\n", "login", "key", "--provider", "climateengine-key", "--secret-stdin")
		}, typed: "groat get key", wants: "an API key", itself: true},
		{name: "an API key that is refused", rows: []string{"broker.ErrSameToken"}, make: func(f *follower) {
			f.run("dummy-key", "groat", "get", "key", "--refused")
		}, typed: "groat get key --output header", wants: "has refused the key",
			person: map[string]string{"groat login key": "printf another-key | groat login key"}},
		// The credential is given up only where the file can go, too.
		{name: "a closed directory of profiles", rows: []string{"config.Error"}, make: func(f *follower) {
			f.groat("dummy-key\n", "login", "closed", "--provider", "climateengine-key", "--secret-stdin")
			f.dir(filepath.Dir(f.profile("closed")), 0o500, f.uid)
		}, typed: "groat logout closed --yes", wants: "cannot be written",
			after: "groat get closed --output header && groat logout closed --yes"},
		{name: "a full disk", rows: []string{"report.CannotWrite"}, typed: "groat get work >/dev/full",
			wants: "cannot write the answer", after: "groat get work"},
		{name: "no such tool", rows: []string{"groat-commands.errUnknownTool"}, typed: "groat setup gti work",
			wants: "gti", after: "groat setup git work --dry-run"},
		{name: "a login and its end", rows: []string{"groat-commands.errCancelAlone"},
			typed: "groat login work --cancel --replace", wants: "goes with no flag", itself: true},
		{name: "what only memory has", rows: []string{"groat-commands.errWouldLose"}, make: func(f *follower) {
			f.groat("dummy-key\n", "login", "mem", "--provider", "climateengine-key", "--ephemeral", "--secret-stdin")
		}, typed: "groat stop", wants: "would lose", itself: true},
		{name: "another socket", rows: []string{"autostart.HeldElsewhere"},
			make:  func(f *follower) { f.groat("", "list") },
			typed: "GROAT_SOCKET=" + filepath.Join(f.runtime, "s", "agent.sock") + " groat list",
			wants: "names another socket", itself: true},
		{name: "no passphrase to change", rows: []string{"groat-commands.errNoPassphrase"},
			typed: "groat keystore passphrase", wants: "has no passphrase", itself: true},
		{name: "a backup that is there", rows: []string{"groat-commands.errBackupExists"}, make: func(f *follower) {
			f.groat(hintPassphrase+"\n", "backup", kept, "--passphrase-stdin")
		}, typed: "groat backup " + kept + " --passphrase-stdin", stdin: hintPassphrase + "\n", wants: "exists already",
			itself: true},
		{name: "a backup that is not", rows: []string{"groat-commands.errNoBackup"}, itself: true,
			typed: "groat restore " + kept + ".old --passphrase-stdin", stdin: hintPassphrase + "\n",
			wants: "does not exist"},
		{name: "a directory that has gone", rows: []string{"groat-commands.errWorkingDirectory"}, itself: true,
			vars:  "mkdir ~/gone && cd ~/gone && rmdir ~/gone; unset PWD; ",
			typed: "groat restore x --passphrase-stdin", stdin: hintPassphrase + "\n"},
		{name: "a log that others may write", rows: []string{"groat-commands.errLog"}, make: func(f *follower) {
			if err := os.Chmod(filepath.Join(f.state, "groatd.log"), 0o666); err != nil {
				f.t.Fatal(err)
			}
		}, typed: "groat logs", wants: "the log cannot be read"},
		{name: "not in the backup", rows: []string{"groat-commands.errNotInBackup"}, itself: true,
			typed: "groat restore " + kept + " --replace nosuch --passphrase-stdin", stdin: hintPassphrase + "\n",
			wants: "the backup has no profile", person: map[string]string{
				"groat restore " + kept: "groat restore " + kept + " --passphrase-stdin"}},
		{name: "another passphrase", rows: []string{"protocol.Error"}, itself: true,
			typed: "groat restore " + kept + " --passphrase-stdin", stdin: "another passphrase\n",
			wants: "the passphrase does not fit the backup " + kept, person: map[string]string{
				"groat restore " + kept: "groat restore " + kept + " --passphrase-stdin"}},
		{name: "no backup", rows: []string{"protocol.Error"}, itself: true,
			typed: "groat restore " + filepath.Join(f.home, ".bashrc"),
			make:  func(f *follower) { f.write(filepath.Join(f.home, ".bashrc"), "alias ll='ls -l'\n") },
			wants: "/.bashrc is no backup of groat's"},
		{name: "a socket's path", rows: []string{"report.NoRoute"}, vars: "export GROAT_SOCKET=s/agent.sock; ",
			typed: "groat list", wants: "is not absolute"},
		{name: "an open directory", rows: []string{"autostart.BadDirectory", "groat-commands.failStart"},
			make: func(f *follower) {
				f.stop()
				f.dir(filepath.Dir(f.link()), 0o755, f.uid)
			}, typed: "groat list", wants: "cannot be used"},
		{name: "a closed state directory", rows: []string{"autostart.Refused"}, make: func(f *follower) {
			f.stop()
			f.dir(f.state, 0o500, f.uid)
		}, typed: "groat list", wants: "groatd refuses"},
		{name: "a variable", rows: []string{"keystore.VariableError", "keystore.ErrConflict"}, make: (*follower).stop,
			vars: "export GROAT_KEYSTORE=magic; ", typed: "groat list", wants: "groatd refuses"},
		{name: "nobody may start it", rows: []string{"autostart.Forbidden"}, make: (*follower).stop,
			vars: "export GROAT_NO_AUTOSTART=1; ", typed: "groat list", wants: "forbids starting it"},
		{name: "another place's groatd", rows: []string{"report.OtherPlace"}, make: func(f *follower) {
			if err := f.stopDaemon(); err != nil {
				f.t.Fatal(err)
			}
			b := filepath.Join(f.home, "b")
			f.dir(b, 0o700, f.uid)
			other := f.run("", "/bin/sh", "-c", "HOME="+b+" XDG_CONFIG_HOME="+b+" XDG_STATE_HOME="+b+" GROAT_SOCKET="+
				f.socket()+" groat list")
			if other.code != 0 {
				f.t.Fatal(other.stderr)
			}
		}, typed: "groat list", wants: "is another place's"},
		{name: "a key that is lost", rows: []string{"keystore.ErrUnavailable", "keystore.GoneError"}, make: loseTheKey,
			typed: "groat get work", wants: "is gone"},
		{name: "a client that is refused", rows: []string{"grant.Error", "grant.InvalidClient", "broker.Unavailable"},
			make: func(f *follower) {
				var now struct {
					Client string `json:"client_id"`
				}
				said := f.groat("", "login", "work", "--json")
				if err := json.Unmarshal([]byte(said), &now); err != nil || now.Client == "" {
					f.t.Fatal(said, err)
				}
				f.stop()
				disabled := url.Values{"id": {now.Client}, "disabled": {"true"}}
				if err := f.sandbox.control("client", disabled); err != nil {
					f.t.Fatal(err)
				}
			}, typed: "groat get work", wants: "does not accept"},
	}
}
