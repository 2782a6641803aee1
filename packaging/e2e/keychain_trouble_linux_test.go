package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/packaging/testing/parts"
)

// trouble is something that keeps a keychain from being read.
type trouble struct {
	name string
	// start starts a keychain that is well. begin and end are the trouble's.
	start func(t *testing.T) (bus string, begin, end func(), standIn *parts.StandIn)
	state string // of the keystore, in status
	code  int    // what groat get ends with where there is no token
	error string
	hint  string
}

// ofGnome is a trouble that gnome-keyring can be in.
func ofGnome(begin, end func(*parts.SecretService, testing.TB)) func(*testing.T) (string, func(), func(),
	*parts.StandIn) {
	return func(t *testing.T) (string, func(), func(), *parts.StandIn) {
		s := parts.StartSecretService(t)
		return s.Address, func() { begin(s, t) }, func() { end(s, t) }, nil
	}
}

// ofStandIn is one that it cannot be brought into.
func ofStandIn(b parts.Behaviour) func(*testing.T) (string, func(), func(), *parts.StandIn) {
	return func(t *testing.T) (string, func(), func(), *parts.StandIn) {
		s := parts.StartStandIn(t)
		return s.Address, func() { s.Behave(b) }, func() { s.Behave(parts.Behaviour{}) }, s
	}
}

var troubles = []trouble{
	{"D1 it is locked", ofGnome((*parts.SecretService).Lock, (*parts.SecretService).Unlock), "locked", 77,
		"the keystore is locked", "groat unlock"},
	{"D3 its bus dies and comes back", ofGnome((*parts.SecretService).KillBus, (*parts.SecretService).RestartBus),
		"unavailable", 75, "the keystore is not available", "groat keystore"},
	{"D4 it is stopped with SIGSTOP", ofGnome((*parts.SecretService).Pause, (*parts.SecretService).Resume),
		"unavailable", 75, "the keystore is not available", "groat keystore"},
	{"it is killed", ofGnome((*parts.SecretService).Kill, (*parts.SecretService).Restart), "unavailable", 75,
		"the keystore is not available", "groat keystore"},
	{"every answer comes 10 s late", ofStandIn(parts.Behaviour{Delay: 10 * time.Second}), "unavailable", 75,
		"the keystore is not available", "groat keystore"},
	{"its dialogs are not answered", ofStandIn(parts.Behaviour{Locked: true, Unlock: parts.Unanswered}), "locked", 77,
		"the keystore is locked", "groat unlock"},
	{"it wants to be asked before it gives an item",
		ofStandIn(parts.Behaviour{ItemsLocked: true, Unlock: parts.Unanswered}),
		"locked", 77, "it asks before it lets groat read its own items", "groat unlock"},
	{"every answer is an error", ofStandIn(parts.Behaviour{Unreadable: true}), "unavailable", 75,
		"the keystore is not available", "groat keystore"},
}

// The keychain cannot be read: while groatd runs, and when it starts. No request waits for it longer than its limit,
// what is held is served at once, the state can be seen, nobody is asked anything, and a person's login is refused
// before anything is typed. When the cause has gone, all is well again by itself: nobody unlocks, restarts or asks
// anything of groat.
func TestTheKeychainCannotBeRead(t *testing.T) {
	t.Parallel()
	atOnce(t, troubles, func(x trouble) string { return x.name }, func(t *testing.T, x trouble) {
		bus, begin, end, standIn := x.start(t)
		k := newKeychainEnv(t, bus)
		k.login("held")
		k.login("cold")
		k.restart()
		token := k.token("held")

		begin()
		k.suffers(x)
		if standIn != nil && standIn.AtOnce() > 1 {
			t.Errorf("%d calls were out at once, want one", standIn.AtOnce())
		}
		for range 10 {
			if k.served("held") != token {
				t.Error("another token is served than the one that is held")
			}
		}
		k.restart() // which takes no longer than ever
		k.refused(k.run("", "groat", "get", "held"), x.code, x.error, x.hint)
		k.wantDegraded("held", x.error)
		if standIn != nil && standIn.Asked() != 0 {
			t.Errorf("%d dialogs were opened and nobody had asked for one", standIn.Asked())
		}

		asked := k.tokens()
		end()
		k.heals()
		until(t, "the token that was asked for in vain",
			func() (int, bool) { n := k.tokens() - asked; return n, n > 0 })
		k.restart()
		if n := k.tokens() - asked; n != 1 {
			t.Errorf("the server was asked %d times, want once: nobody has asked for the other profile", n)
		}
		for _, profile := range []string{"held", "cold"} { // nothing is lost
			k.token(profile)
		}
	})
}

// suffers asks everything of a groatd whose keychain cannot be read.
func (k *keychainEnv) suffers(x trouble) {
	k.t.Helper()
	var all sync.WaitGroup
	for range 8 { // of which one at most asks the keychain
		all.Go(func() { k.refused(k.run("", "groat", "get", "cold"), x.code, x.error, x.hint) })
	}
	all.Wait()
	k.wantDegraded("cold", x.error)
	if got := k.report().Keystore; got.Use != "keychain" || got.State != x.state || got.Message == "" {
		k.t.Errorf("status says of the keystore: %+v", got)
	}
	asked := k.tokens()
	k.refused(k.run(k.secret+"\n", "groat", k.loginArgs("new")...), x.code, x.error, x.hint)
	if s := k.run("", "groat", "import", "--from", k.planted(), "--yes"); s.code == 0 ||
		!strings.Contains(s.stdout+s.stderr, x.error) {
		k.t.Errorf("groat import ended with %d: %s%s", s.code, s.stdout, s.stderr)
	}
	if k.tokens() != asked {
		k.t.Error("a server was asked for what could not have been stored")
	}
}
