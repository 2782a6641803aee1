package e2e_test

import (
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/packaging/testing/parts"
)

// refusal is a trouble in which a keychain takes nothing.
type refusal struct {
	name  string
	start func(t *testing.T) (bus string, begin, end func(), standIn *parts.StandIn)
	code  int
	// declined: somebody may have said no, so only a person's own action tries again.
	declined bool
}

// ofDisk is a trouble of gnome-keyring's disk.
func ofDisk(begin, end func(*parts.SecretService, testing.TB)) func(*testing.T) (string, func(), func(),
	*parts.StandIn) {
	return func(t *testing.T) (string, func(), func(), *parts.StandIn) {
		s := parts.StartSecretServiceOnDisk(t)
		return s.Address, func() { begin(s, t) }, func() { end(s, t) }, nil
	}
}

// mode gives the directory of the keyring's files a mode and an owner.
func mode(mode os.FileMode, uid int) func(*parts.SecretService, testing.TB) {
	return func(s *parts.SecretService, t testing.TB) {
		if err := os.Chmod(s.Files(), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(s.Files(), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}

var refusals = []refusal{
	{"disk full", ofDisk((*parts.SecretService).Fill, (*parts.SecretService).Free), 75, false},
	{"disk read-only", ofDisk((*parts.SecretService).ReadOnly, (*parts.SecretService).ReadWrite), 75, false},
	// gnome-keyring says nothing else of a quota than of a full disk. This kernel has no quota to be had.
	{"quota", ofStandIn(parts.Behaviour{Refuse: dbus.NewError("org.freedesktop.DBus.Error.Failed",
		[]any{"Couldn't create item: An error occurred on the device"})}), 75, false},
	{"wrong mode", ofGnome(mode(0o500, 0), mode(0o700, 0)), 75, false},
	{"wrong owner", ofGnome(mode(0o700, stranger), func(s *parts.SecretService, t testing.TB) {
		mode(0o700, 0)(s, t)
		s.Kill(t) // which does not look again by itself
		s.Restart(t)
	}), 75, false},
	{"D1 locked", ofGnome((*parts.SecretService).Lock, (*parts.SecretService).Unlock), 77, false},
	{"D4 stopped with SIGSTOP", ofGnome((*parts.SecretService).Pause, (*parts.SecretService).Resume), 75, false},
	{"killed", ofGnome((*parts.SecretService).Kill, (*parts.SecretService).Restart), 75, false},
	{"D3 the bus dies and comes back", ofGnome((*parts.SecretService).KillBus, (*parts.SecretService).RestartBus), 75,
		false},
	{"D5 its dialog is dismissed", ofStandIn(parts.Behaviour{Create: parts.Dismissed}), 75, true},
	{"its dialog is not answered", ofStandIn(parts.Behaviour{Create: parts.Unanswered}), 75, true},
	{"D20 it keeps nothing", ofStandIn(parts.Behaviour{Forget: true}), 75, true},
	{"D20 it keeps something else", ofStandIn(parts.Behaviour{Alter: true}), 75, true},
}

// A person has signed in, and at the very end the keychain refuses what came of it. It is in groatd's memory then, is
// used, and is said to be there only; and it is stored as soon as the keychain takes it.
func TestTheKeychainRefusesAtTheEnd(t *testing.T) {
	t.Parallel()
	atOnce(t, refusals, func(x refusal) string { return x.name }, func(t *testing.T, x refusal) {
		bus, begin, end, standIn := x.start(t)
		k := newKeychainEnv(t, bus)
		k.login("first")

		k.server.Script("/token", sandbox.Fault{Delay: 3 * time.Second}) // in which it happens
		asked := k.tokens()
		over := make(chan result, 1)
		go func() { over <- k.run(k.secret+"\n", "groat", k.loginArgs("work")...) }()
		until(t, "the login's request", func() (int, bool) { return 0, k.tokens() > asked })
		begin()
		k.refused(<-over, x.code, "profile work is signed in, but its credential could not be stored: the keystore",
			"groat login work")

		asked = k.tokens()
		k.served("work")
		k.served("first")
		k.wantDegraded("work", "the newest credential is in groatd's memory only: the keystore")
		if x.declined {
			questions := standIn.Asked()
			k.refused(k.run("", "groat", "login", "work"), x.code,
				"is signed in, but its credential could not be stored", "groat login work")
			asked = k.tokens() // the login has proved it
			if standIn.Asked() > questions+1 {
				t.Errorf("the person was asked %d times for one login", standIn.Asked()-questions)
			}
		}
		if k.tokens() != asked {
			t.Error("the server was asked again")
		}
		end()
		if x.declined {
			standIn.Reply(t, true) // whoever sees the dialog now
			until(t, "a login that stores it", func() (result, bool) {
				s := k.run("", "groat", "login", "work")
				return s, s.code == 0
			})
		}
		k.heals()
		k.restart()
		for _, profile := range []string{"first", "work"} {
			k.token(profile)
		}
	})
}
