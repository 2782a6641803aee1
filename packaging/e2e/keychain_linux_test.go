package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/groat-dev/groat/keystore/keychain"
)

// Here groatd has a keychain, and the keychain does everything that a keychain may do. Where gnome-keyring can be made
// to do it, it is that; where it cannot, a stand-in is.

// keychainEnv is a userEnv whose credentials are in a keychain, and a server that gives tokens for them.
type keychainEnv struct {
	*userEnv
	server *server
}

// newKeychainEnv is one whose groatd runs.
func newKeychainEnv(t *testing.T, bus string) *keychainEnv {
	t.Helper()
	k := &keychainEnv{userEnv: newUserEnv(t, os.Getuid())}
	k.vars = []string{"DBUS_SESSION_BUS_ADDRESS=" + bus}
	var err error
	if k.server, err = k.addServer("as"); err != nil {
		t.Fatal(err)
	}
	k.start()
	return k
}

// atOnce runs subtests beside each other, more than there are processors: nearly all that they do is wait.
func atOnce[T any](t *testing.T, rows []T, name func(T) string, f func(*testing.T, T)) {
	t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, 8)
	for _, row := range rows {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(name(row), func(t *testing.T) { f(t, row) })
		})
	}
	all.Wait()
}

// loginArgs is the login of a machine, whose secret is the only thing that is typed.
func (k *keychainEnv) loginArgs(profile string) []string {
	return []string{"login", profile, "--token-url", k.server.URL() + "/token", "--client-auth", "client_secret_post",
		"--client-id", labClient, "--secret-stdin"}
}

// planted is a file with a key of another program's, to be imported.
func (k *keychainEnv) planted() string {
	k.t.Helper()
	file := filepath.Join(k.home, ".planet.json")
	if err := os.WriteFile(file, []byte(`{"PL_API_KEY":"PLAK-dummy"}`), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return file
}

// login is one that succeeds. On a machine that is very busy a keychain that is well may need more than its limit.
func (k *keychainEnv) login(profile string) {
	k.t.Helper()
	until(k.t, "a login", func() (result, bool) {
		s := k.run(k.secret+"\n", "groat", k.loginArgs(profile)...)
		return s, s.code == 0
	})
}

// token is a profile's, which must come: as with login, perhaps not at once.
func (k *keychainEnv) token(profile string) string {
	k.t.Helper()
	return until(k.t, "a token of "+profile, func() (result, bool) {
		s := k.run("", "groat", "get", profile)
		return s, s.code == 0
	}).stdout
}

// served is a profile's token that is held, whatever the keychain does: it comes at once.
func (k *keychainEnv) served(profile string) string {
	k.t.Helper()
	s := k.promptly("get", profile)
	if s.code != 0 {
		k.t.Errorf("the token of %s that is held is not served: %d, %s", profile, s.code, s.stderr)
	}
	return s.stdout
}

// tokens is how many tokens the server was asked for.
func (k *keychainEnv) tokens() int { return k.server.Count("/token") }

// promptly runs groat, which must not wait for the keychain: waiting would take keychain.Limit each time. On a machine
// that is very busy it may take that long without waiting, so the fastest of three runs counts.
func (k *keychainEnv) promptly(args ...string) (s result) {
	k.t.Helper()
	fastest := keychain.Limit
	for try := 0; try < 3 && fastest >= keychain.Limit; try++ {
		begin := time.Now()
		s = k.run("", "groat", args...)
		fastest = min(fastest, time.Since(begin))
	}
	if fastest >= keychain.Limit {
		k.t.Errorf("groat %s waited for the keychain", strings.Join(args, " "))
	}
	return s
}

// report is what "groat status --json" says.
type report struct {
	Keystore struct{ Use, State, Message string }
	Profiles []reported
}

type reported struct {
	Profile, State, Message, Hint string
	Degraded                      bool
}

func (k *keychainEnv) report() report {
	k.t.Helper()
	s := k.run("", "groat", "status", "--json")
	var r report
	if err := json.Unmarshal([]byte(s.stdout), &r); err != nil || s.code != 0 {
		k.t.Fatalf("groat status ended with %d: %v: %s%s", s.code, err, s.stdout, s.stderr)
	}
	return r
}

// wantDegraded makes sure that a person sees what is wrong with a profile.
func (k *keychainEnv) wantDegraded(profile, message string) {
	k.t.Helper()
	for _, p := range k.report().Profiles {
		if p.Profile == profile && p.Degraded && strings.Contains(p.Message, message) && p.Hint != "" {
			return
		}
	}
	k.t.Errorf("status does not say of %s that it is degraded, with %q and a hint: %+v", profile, message,
		k.report().Profiles)
}

// heals waits until status says that nothing is degraded any more. It asks for no token, and nothing else of groatd.
func (k *keychainEnv) heals() {
	k.t.Helper()
	until(k.t, "a status in which all is well", func() (report, bool) {
		r := k.report()
		ill := func(p reported) bool { return p.Degraded || p.Message != "" }
		return r, r.Keystore.State == "ok" && !slices.ContainsFunc(r.Profiles, ill)
	})
}
