package e2e_test

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// installations are faults of an installation of the person's own, in part below the home.
func (f *follower) installations() []provocation {
	part := filepath.Join(f.home, "part")
	path := "PATH=" + part + ":/usr/bin:/bin; "
	sh := func(script string) func(f *follower) {
		return func(f *follower) {
			f.t.Helper()
			f.run("", "groat", "stop")
			if r := f.run("", "/bin/sh", "-c", script); r.code != 0 {
				f.t.Fatal(r.stderr)
			}
		}
	}
	again := func(program string) string {
		return "cp " + filepath.Join(bin, program) + " " + part + " && groat list"
	}
	return []provocation{
		{name: "half an installation", rows: []string{"report.NoCommands"},
			make: sh("mkdir " + part + " && cp " + bin + "/groat " + bin + "/groatd " + part), vars: path,
			typed: "groat list", wants: "is installed in part", shows: part + "/groatd",
			after: again("groat-commands")},
		{name: "a program that is empty", rows: []string{"report.CannotHandOver"},
			make: sh(": >" + part + "/groat-commands"),
			vars: path, typed: "groat list", wants: "cannot go on as groat-commands", shows: part + "/groat-commands",
			after: again("groat-commands")},
		{name: "a program of everybody", rows: []string{"report.UnsafeCommands"},
			make: sh("chmod 777 " + part + "/groat-commands"), vars: path, typed: "groat list",
			wants: "could be changed by others", shows: "-rwxrwxrwx",
			after: "chmod 755 " + part + "/groat-commands && groat list"},
		{name: "groat by another name", rows: []string{"groat-commands.errNoGroat"},
			make: sh("mv " + part + "/groat " + part + "/g"), vars: "PATH=/usr/bin:/bin; ",
			typed: part + "/g setup git work --dry-run", wants: "groat is not on PATH", mend: sh("mv " + part + "/g " +
				part + "/groat"), person: map[string]string{"command -v groat": "export PATH=" + part + ":$PATH"},
			after: "groat setup git work --dry-run"},
		{name: "no groatd", rows: []string{"autostart.NoProgram"}, make: sh("rm " + part + "/groatd"), vars: path,
			typed: "groat list", wants: "neither beside groat nor on PATH", shows: part + "/groat\n",
			after: again("groatd")},
		{name: "a groatd of another system", rows: []string{"autostart.NotSpawned"},
			make: sh("printf '\\177ELF' >" + part + "/groatd"), vars: path, typed: "groat list", wants: "cannot start",
			shows: "groatd: ", after: again("groatd")},
		{name: "a groatd that cannot run", rows: []string{"autostart.Ended"},
			make: sh("printf '#!/bin/sh\\necho no library >&2\\nexit 127\\n' >" + part + "/groatd"), vars: path,
			typed: "groat list", wants: "ended at its start", shows: "no library", after: again("groatd")},
	}
}

// servers are the answers of servers, and what keeps groatd from them. The profile lab is a client's.
func (f *follower) servers() []provocation {
	answers := func(fault sandbox.Fault) func(f *follower) {
		return func(f *follower) {
			f.stop()
			f.sandbox.Script(f.sandbox.TokenPath(), fault)
		}
	}
	refuses := func(code string) sandbox.Fault {
		return sandbox.Fault{Status: http.StatusBadRequest, Body: `{"error":"` + code + `"}`}
	}
	well := func(f *follower) {
		f.sandbox.ClearFaults()
		if err := f.sandbox.up(); err != nil {
			f.t.Fatal(err)
		}
		f.stop() // it would wait before it asks again
	}
	return []provocation{
		{name: "a request that is refused", rows: []string{"grant.Misconfigured"}, make: func(f *follower) {
			f.groat("", "stop")
			f.groat(f.secret+"\n", "login", "lab", "--issuer", f.sandbox.Issuer(), "--client-id", labClient,
				"--client-auth", "client_secret_post", "--secret-stdin")
			answers(refuses("unauthorized_client"))(f)
		}, typed: "groat get lab", wants: "unauthorized_client"},
		{name: "a grant that is refused", rows: []string{"grant.Refused"}, make: answers(refuses("invalid_grant")),
			typed: "groat get lab", wants: "invalid_grant"},
		{name: "a server in trouble", rows: []string{"broker.Outage"},
			make:  answers(sandbox.Fault{Status: http.StatusServiceUnavailable, Times: -1}),
			typed: "groat get lab", shows: "503", mend: well},
		{name: "a server that is down", make: func(f *follower) {
			f.stop()
			f.sandbox.down()
		}, typed: "groat get lab", wants: "cannot be reached", shows: "connection refused", mend: well},
		{name: "two tokens that are refused", rows: []string{"broker.ErrRejected"},
			typed: "groat get lab | groat get lab --refused | groat get lab --refused | groat get lab --refused",
			wants: "has refused two tokens", shows: "lab", mend: well, after: "groat get lab"},
		{name: "no API of GDAL's", rows: []string{"groat-commands.errNoAPIs"}, typed: "groat helper gdal lab",
			wants: "lists no API", person: map[string]string{
				"groat login lab --api https://HOST": "groat login lab --api https://api.example.org"}},
		{name: "a socket that is closed", rows: []string{"report.dialFailed"}, make: func(f *follower) {
			f.groat("", "list")
			if err := os.Chmod(f.socket(), 0); err != nil {
				f.t.Fatal(err)
			}
		}, typed: "groat get lab", wants: "permission denied", shows: "s---------", mend: func(f *follower) {
			if err := os.Chmod(f.socket(), 0o600); err != nil {
				f.t.Fatal(err)
			}
		}},
		{name: "no ID token", rows: []string{"broker.NoIDToken"}, typed: "groat get lab --id-token", itself: true},
		{name: "no home, and a socket", rows: []string{"groat-commands.errForeignPlace"},
			vars:  "unset HOME; export GROAT_SOCKET=" + f.socket() + "; ",
			typed: "groat logs", wants: "the environment names none", itself: true},
		{name: "a log of nobody's", rows: []string{"groat-commands.errNoLogPlace"}, make: (*follower).stop,
			vars:  "unset HOME; export GROAT_SOCKET=" + filepath.Join(f.runtime, "none", "agent.sock") + "; ",
			typed: "groat logs", wants: "which home directory is yours", itself: true},
		{name: "a lock of another program's", rows: []string{"autostart.LockHeld"}, make: (*follower).holdLock,
			typed: "groat list", wants: "holds the lock", shows: "sleep", mend: func(f *follower) { f.release() }},
		{name: "a closed runtime directory", rows: []string{"groat-commands.errRuntimeDir"}, make: func(f *follower) {
			f.groat("", "list")
			f.dir(filepath.Dir(f.socket()), 0o500, f.uid)
		}, typed: "groat run lab -- true", wants: "the file cannot be written"},
		{name: "a broken profile", rows: []string{"groat-commands.errSetupBroken"}, make: func(f *follower) {
			f.stop()
			f.write(f.profile("hand"), "nonsense = 1\n")
		}, typed: "groat setup git hand --dry-run", wants: "unknown key"},
	}
}

// TestAGroatdThatHangsIsEnded: groat stop waits for an answer, which takes its time, and so has a home of its own.
func TestAGroatdThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	f := &follower{userEnv: newUserEnv(t, stranger)}
	hung := f.start()
	f.follow(t, provocation{make: func(f *follower) {
		if err := hung.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			f.t.Fatal(err)
		}
		f.daemon = nil // it does not end as the others do
	}, typed: "groat stop", wants: "does not answer"})
}

// terminals are the answers of a person who is asked.
func (f *follower) terminals() []provocation {
	lab := "groat login lab-two --issuer " + f.sandbox.Issuer() + " --client-id " + labClient +
		" --client-auth client_secret_post"
	slips := []string{"New passphrase: =a", "The same again: =b"}
	return []provocation{
		{name: "a setup that is declined", rows: []string{"groat-commands.errSetupDeclined"}, typed: "groat setup git work",
			types: []string{"groat: write this? [y/N] =n"}, wants: "not confirmed", itself: true},
		{name: "a secret that no flag names", rows: []string{"groat-commands.failStdinWaits"}, typed: lab,
			stdin: f.secret + "\n", wants: "no flag says that it is the secret", itself: true},
		{name: "an empty line", rows: []string{"groat-commands.errNothingTyped"}, typed: "groat login lab-three",
			types: []string{"(issuer): ="}, wants: "nothing was typed", itself: true, person: map[string]string{
				"groat login lab-three": strings.Replace(lab, "two", "three", 1)}},
		{name: "a passphrase and a slip", rows: []string{"groat-commands.errPassphrasesDiffer"},
			typed: "groat keystore move sealed --passphrase", types: slices.Repeat(slips, 3),
			wants: "passphrases differ", itself: true},
		{name: "an old passphrase that is none", rows: []string{"groat-commands.errOldPassphrase"}, vars: "cd && ",
			typed: "groat keystore passphrase", types: []string{"assphrase: =wrong"}, wants: "old passphrase does not fit",
			itself: true, person: map[string]string{"groat keystore passphrase": "groat keystore passphrase " +
				"--passphrase-stdin <two && groat keystore passphrase --passphrase-stdin <back"}},
		{name: "a logout that is not meant", rows: []string{"groat-commands.errNotConfirmed"}, typed: "groat logout work",
			types: []string{"[y/N] =n"}, wants: "nothing was forgotten", shows: "work", after: "groat logout work --yes"},
	}
}

// holdLock holds the lock of the state directory, which then names nobody, until release.
func (f *follower) holdLock() {
	f.t.Helper()
	f.run("", "groat", "stop")
	lock := filepath.Join(f.state, "lock")
	f.write(lock, "")
	c := f.command(f.t.Context(), "", "/usr/bin/flock", "--no-fork", lock, "/bin/sh", "-c", "echo held; exec sleep 600")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.release = func() {
		c.Process.Kill()
		c.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		f.t.Fatal(line, err)
	}
}

// atTerminal types a command at a terminal of its own, and what it asks for. What is shown is the result's stderr.
func (f *follower) atTerminal(command string, types []string) result {
	f.t.Helper()
	typist, err := filepath.Abs("../proof/typist.py")
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := os.ReadFile(typist)
	if err != nil {
		f.t.Fatal(err)
	}
	args := slices.Concat([]string{"-"}, types, []string{"--", "/bin/sh", "-c", command})
	r := f.run(string(text), "/usr/bin/python3", args...)
	return result{code: r.code, stderr: strings.ReplaceAll(r.stdout+r.stderr, "\r\n", "\n")}
}
