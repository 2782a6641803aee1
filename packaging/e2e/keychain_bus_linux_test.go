package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// There is no session bus, and nothing says where one would be. None is started; and when one comes up where it
// belongs, it is found by itself.
func TestD2NoBus(t *testing.T) {
	t.Parallel()
	service := parts.StartSecretService(t)
	k := newKeychainEnv(t, service.Address)
	k.login("work")
	programs, mark := t.TempDir(), filepath.Join(t.TempDir(), "launched")
	for _, name := range []string{"dbus-launch", "dbus-daemon", "dbus-run-session", "gnome-keyring-daemon"} {
		if err := os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho $0 >>"+mark+"\n"),
			0o755); err != nil {
			t.Fatal(err)
		}
	}
	k.vars = []string{"DBUS_SESSION_BUS_ADDRESS=", "DISPLAY=:97", "PATH=" + programs + ":" + bin + ":/usr/bin:/bin"}
	k.restart()
	const theErr = "the keystore is not available: there is no D-Bus session"
	k.refused(k.run("", "groat", "get", "work"), 75, theErr, "groat keystore")
	k.refused(k.run(k.secret+"\n", "groat", k.loginArgs("new")...), 75, theErr, "groat keystore")
	k.wantDegraded("work", theErr)
	if s := k.run("", "groat", "unlock"); s.code != 75 {
		t.Errorf("groat unlock ended with %d: %s", s.code, s.stderr)
	}

	socket := strings.TrimPrefix(service.Address, "unix:path=")
	if err := os.Link(socket, filepath.Join(k.runtime, "bus")); err != nil {
		t.Fatal(err)
	}
	k.heals()
	k.token("work")
	if text, err := os.ReadFile(mark); err == nil {
		t.Errorf("it started %s", text)
	}
}

// A keychain asks a person before a program overwrites what another connection has written, as KeePassXC does. The
// request does not wait for the person, the dialog is opened once and not again by itself, what was obtained is used
// meanwhile; and whoever agrees late is believed.
func TestTheDialogOfAnOverwrite(t *testing.T) {
	t.Parallel()
	service := parts.StartStandIn(t)
	k := newKeychainEnv(t, service.Address)
	k.server.AddClient(sandbox.Client{ID: "other-client", Secret: k.secret})
	k.login("work")
	k.restart() // and so, by another connection
	service.Behave(parts.Behaviour{Overwrite: parts.Unanswered, Create: parts.Agreed, Delete: parts.Agreed})
	k.login("work")
	if n := service.Standing(); n != 0 {
		t.Fatalf("%d dialogs were opened for what is there already", n)
	}
	asked := service.Asked()
	other := k.loginArgs("work")
	other[slices.Index(other, labClient)] = "other-client"
	other = append(other, "--replace")
	k.refused(k.run(k.secret+"\n", "groat", other...), 75, "if the keychain shows a dialog, answer it",
		"groat login work")
	for range 5 {
		k.served("work")
	}
	k.wantDegraded("work", "in groatd's memory only")
	if n := service.Standing(); n != 1 {
		t.Errorf("%d dialogs stand, want one", n)
	}
	service.Reply(t, true)
	k.heals()
	if n := service.Asked() - asked; n != 2+1 { // the login's probe made an item and deleted it
		t.Errorf("%d questions were asked, want that one and the probe's two", n)
	}
	if got := service.Stored("work"); len(got) != 1 || !strings.Contains(got[0], "other-client") {
		t.Error("what is stored is not what was agreed to")
	}
	k.restart()
	k.token("work")
}

// A person unlocks the keychain through groat: then, and only then, is a dialog opened.
func TestD1APersonUnlocks(t *testing.T) {
	t.Parallel()
	service := parts.StartStandIn(t)
	k := newKeychainEnv(t, service.Address)
	k.login("work")
	service.Behave(parts.Behaviour{Locked: true, Unlock: parts.Unanswered})
	k.restart()
	k.refused(k.run("", "groat", "get", "work"), 77, "the keystore is locked", "groat unlock")
	unlocked := make(chan result, 1)
	go func() { unlocked <- k.run("", "groat", "unlock") }()
	until(t, "a dialog", func() (int, bool) { return 0, service.Standing() == 1 })
	if s := k.promptly("get", "work"); s.code != 77 {
		t.Errorf("while the dialog stands groat get ended with %d: %s", s.code, s.stderr)
	}
	service.Reply(t, true)
	if s := <-unlocked; s.code != 0 {
		t.Errorf("groat unlock ended with %d: %s", s.code, s.stderr)
	}
	k.heals()
	k.token("work")
}
