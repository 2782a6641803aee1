package daemon

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/packaging/testing/described"
	"github.com/groat-dev/groat/protocol"
)

// account signs a profile in with a client of its own, for an API. Its token is "token-of-" and the server's name.
func (h *env) account(t *testing.T, o *described.Server, profile, client, api string) {
	t.Helper()
	_, _, err := h.sign(t, protocol.LoginParams{Profile: profile, TokenURL: o.URL + "/token", ClientID: client,
		ClientAuth: "client_secret_post", Resources: []string{api}}, "")
	if err != nil {
		t.Fatal(err)
	}
}

// whose asks for a token and returns the profile that answers, or the error.
func (h *env) whose(t *testing.T, target, username string) (string, *protocol.Error) {
	t.Helper()
	r, err := h.client(t).Token(t.Context(), protocol.TokenParams{Target: target, Username: username})
	if err != nil {
		return "", wantError(t, err, protocol.UnknownProfile)
	}
	return r.Profile, nil
}

// A user name chooses a profile by its name, or by what its credential says of the client and the person. Where nothing
// chooses the error has the choices.
func TestAUserNameChoosesAnAccount(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	one, two := described.New(t, "one"), described.New(t, "two")
	h.account(t, one, "work", "client-1", "https://git.example")
	h.account(t, two, "home", "client-2", "https://git.example")
	h.account(t, described.New(t, "three"), "solo", "client-3", "https://alone.example")
	item := stored(t, h.Store, "home")
	item.Username = "alice@example.org"
	if err := h.Store.Set(t.Context(), "home", item); err != nil {
		t.Fatal(err)
	}
	choices := map[string]string{"home": "https://git.example", "work": "https://git.example"}
	for username, want := range map[string]string{
		"work": "work", "home": "home", "client-1": "work", "client-2": "home", "alice@example.org": "home",
		"": "", "bob": "", "Client-1": "",
	} {
		got, e := h.whose(t, "https://git.example/x", username)
		if got != want || e != nil && (!maps.Equal(e.Data.Choices, choices) ||
			!strings.HasSuffix(e.Message, ": home, work") ||
			strings.Contains(e.Message, `"bob"`) != (username == "bob")) {
			t.Errorf("%q: %q, %+v", username, got, e)
		}
	}
	// Where nothing but the user name has chosen, a reply says that the name is nobody's.
	for _, c := range []struct {
		profile, username string
		unknown           bool
	}{{"", "gone", true}, {"", "solo", false}, {"", "client-3", false}, {"solo", "gone", false}, {"", "", false}} {
		r, err := h.client(t).Token(t.Context(), protocol.TokenParams{Profile: c.profile,
			Target: "https://alone.example/x", Username: c.username})
		if err != nil || r.Profile != "solo" || r.UsernameUnknown != c.unknown {
			t.Errorf("%+v: %q, %v, %v", c, r.Profile, r.UsernameUnknown, err)
		}
	}
	// What is not there is nobody's.
	if err := h.Store.Delete(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	if got, _ := h.whose(t, "https://git.example/", "client-2"); got != "" {
		t.Error(got)
	}
	// A refused token says whose it is.
	for token, want := range map[string]string{"token-of-one": "work", "token-of-three": ""} {
		var wait int64
		params := protocol.TokenParams{Target: "https://git.example/", Wait: &wait}
		_, err := h.client(t).Reject(t.Context(), params, token)
		kind := protocol.UnknownProfile
		if want != "" {
			kind = protocol.Temporary
		}
		if e := wantError(t, err, kind); want != "" && !strings.HasSuffix(e.Hint(), want) {
			t.Errorf("%s: %v, %s", token, err, e.Hint())
		}
	}
}

// While a keystore cannot be read a user name may be anybody's: no other account's token is handed out for it, also
// where that token is in memory, and the error says why.
func TestAUserNameThatCannotBeDecided(t *testing.T) {
	for _, fault := range []error{keystore.ErrLocked, keystore.ErrUnavailable, keystore.ErrCorrupt} {
		m := &failingStore{memory: memory{&keystore.Memory{}}}
		h := newEnvWith(t, sandbox.Options{}, m)
		one, two := described.New(t, "one"), described.New(t, "two")
		h.account(t, one, "work", "client-1", "https://git.example/team")
		h.account(t, two, "home", "client-2", "https://git.example")
		ask := func(username string) (string, error) {
			r, err := h.client(t).Token(t.Context(), protocol.TokenParams{Target: "https://git.example/team/x",
				Username: username})
			return r.Profile, err
		}
		if got, err := ask("client-2"); got != "home" || err != nil {
			t.Fatal(got, err)
		}
		m.err.Store(&fault)
		for username, want := range map[string]string{"client-2": "", "client-1": "", "home": "home", "": "work"} {
			got, err := ask(username)
			if e, is := errors.AsType[*protocol.Error](err); got != want || want == "" && (!is || e.Hint() == "" ||
				e.Data.Kind == protocol.UnknownProfile) {
				t.Errorf("%v, %q: %q, %v", fault, username, got, err)
			}
		}
		m.err.Store(nil)
	}
}

// A credential is sealed for the path of an API, as for its origin: an edited file takes its tokens nowhere else, and
// may narrow where they go.
func TestF20AnEditedPath(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	o := described.New(t, "named")
	signMachine(t, h, o, "https://git.example/team", "https://all.example")
	if item := stored(t, h.Store, "lab"); len(item.APIs) != 2 || item.APIs[0] != "https://git.example:443/team" {
		t.Errorf("sealed for %q", item.APIs)
	}
	goes := func(target string, kind protocol.Kind) *protocol.Error {
		t.Helper()
		err := h.forTarget(t, target)
		if kind == "" {
			if err != nil {
				t.Errorf("%s: %v", target, err)
			}
			return nil
		}
		return wantError(t, err, kind)
	}
	goes("https://git.example/team/a.git", "")
	goes("https://git.example/me/a.git", protocol.UnknownProfile)
	h.edit(t, "lab", func(text string) string {
		text = strings.Replace(text, "'https://git.example/team'", "'https://git.example'", 1)
		return strings.Replace(text, "'https://all.example'", "'https://all.example/only'", 1)
	})
	goes("https://git.example/team/a.git", "")
	for _, path := range []string{"me/a.git", "team/../me", ""} {
		target := "https://git.example/" + path
		if e := goes(target, protocol.Config); e.Hint() != "groat login lab --api https://git.example" {
			t.Errorf("%s: %s", target, e.Hint())
		}
	}
	goes("https://all.example/only/x", "")
	goes("https://all.example/more", protocol.UnknownProfile)
	r, a, err := h.sign(t, protocol.LoginParams{Profile: "lab"}, "")
	if said := strings.Join(a.notices, ""); err != nil || r.Outcome != protocol.AlreadySignedIn ||
		!strings.Contains(said, "lists https://git.example,") || strings.Contains(said, "all.example") {
		t.Errorf("%+v, said %q: %v", r, a.notices, err)
	}
	if _, _, err := h.sign(t, typed(t, "groat login lab --api https://git.example"), ""); err != nil {
		t.Fatal(err)
	}
	goes("https://git.example/me/a.git", "")
}

// Whose account a user name is, is looked for as long as the caller waits, or a second: then no further credential is
// read.
func TestAnAccountIsNotLookedForWithoutEnd(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		for _, name := range []string{"a", "b", "c", "d"} {
			p := h.ofMachine(name)
			p.Resources = []string{"https://git.example"}
			h.signIn(t, p)
		}
		read, none := 0, int64(0)
		slow := func() {
			read++
			time.Sleep(600 * time.Millisecond)
		}
		store.read.Store(&slow)
		_, err := h.visit(t).Token(t.Context(), protocol.TokenParams{Target: "https://git.example/x",
			Username: "nobody", Wait: &none})
		if e := wantError(t, err, protocol.Temporary); !strings.Contains(e.Message, `"nobody"`) || read != 2 {
			t.Errorf("%d were read: %v", read, e)
		}
		store.read.Store(nil)
	})
}

// The listings name the account of each credential: the person, by what they typed or what the ID token says, or the
// client. A credential is read for that once, also by a groatd that was started again, and not while the store fails.
func TestListingsNameTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const out = "out"
		store := &faultyStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		client := h.HTTP
		person := h.ofDevice("person")
		person.Scope = "openid email"
		h.signIn(t, person)
		h.signIn(t, h.ofDevice("nameless"))
		h.signIn(t, h.ofMachine("machine"))
		h.signIn(t, h.ofMachine(out))
		if err := h.visit(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: out, Yes: true},
			nil); err != nil {
			t.Fatal(err)
		}
		listed := func() map[string]string {
			t.Helper()
			st, err := h.visit(t).Status(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			ps, err := h.visit(t).Profiles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]string{}
			for i, p := range st.Profiles {
				if names[p.Profile] = p.Account; ps.Profiles[i].Account != p.Account {
					t.Errorf("status and profiles differ: %+v, %+v", p, ps.Profiles[i])
				}
			}
			return names
		}
		want := map[string]string{"person": "alice@example.com", "nameless": "", "machine": "machine"}
		if got := listed(); !maps.Equal(got, want) {
			t.Errorf("after the sign-ins: %v", got)
		}
		h.Close(t.Context())
		h.restart(t, store, client)
		reads := 0
		count := func() { reads++ }
		store.read.Store(&count)
		for range 2 {
			if got := listed(); !maps.Equal(got, want) || reads != len(want) {
				t.Errorf("after a restart: %v, %d reads", got, reads)
			}
		}
		if got := h.statusOf(t, "person").Account; got != want["person"] || reads != len(want) {
			t.Errorf("status of one: %q, %d reads", got, reads)
		}

		h.Close(t.Context())
		h.restart(t, store, client)
		const once = accountTime + time.Millisecond
		slow := func() { time.Sleep(once) } // whatever the deadline is
		store.read.Store(&slow)
		began := time.Now()
		st, err := h.visit(t).Status(t.Context(), "")
		if took := time.Since(began); err != nil || len(st.Profiles) != len(want) || took != once {
			t.Errorf("a slow store holds a listing up for %s: %v", took, err)
		}
		store.read.Store(nil)
	})
}

// A store that fails is asked again after a pause only.
func TestListingsLeaveAFailingStoreAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &failingStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, sandbox.Options{}, m)
		client := h.HTTP
		h.signIn(t, h.ofMachine("machine"))
		h.Close(t.Context())
		h.restart(t, m, client)
		m.err.Store(&keystore.ErrLocked)
		for _, wait := range []time.Duration{0, accountPause - 2*time.Second} {
			time.Sleep(wait)
			if got := h.statusOf(t, "machine").Account; got != "" {
				t.Errorf("after %s: %q", wait, got)
			}
			m.err.Store(nil)
		}
		time.Sleep(3 * time.Second)
		if got := h.statusOf(t, "machine").Account; got != "machine" {
			t.Errorf("after the pause: %q", got)
		}
	})
}

// Whoever unlocks the keystore sees at once whose the credentials are.
func TestListingsNameTheAccountsAfterAnUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &failingStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, sandbox.Options{}, m)
		client := h.HTTP
		h.signIn(t, h.ofMachine("machine"))
		h.Close(t.Context())
		h.restart(t, m, client)
		m.err.Store(&keystore.ErrLocked)
		if got := h.statusOf(t, "machine").Account; got != "" {
			t.Errorf("locked: %q", got)
		}
		m.err.Store(nil)
		if err := h.visit(t).Call(t.Context(), protocol.MethodUnlock, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := h.statusOf(t, "machine").Account; got != "machine" {
			t.Errorf("unlocked: %q", got)
		}
	})
}

// A client that its provider has created and refuses now is replaced by the command that the hint has: as whom the
// person has signed in is known.
func TestTheHintOfARefusedClientMakesAnother(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, _ *faultyStore) {
		params := protocol.LoginParams{Profile: "geo", Provider: "spatiafi", AuthServer: h.server.URL(),
			Username: person}
		withPassword := func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
			return protocol.NewLoginSecret([]byte(password)), nil
		}
		first, err := h.visit(t).Login(t.Context(), params, withPassword)
		if err != nil {
			t.Fatal(err)
		}
		h.server.DisableClient(first.ClientID, true)
		h.cool("geo")
		_, err = h.token(t, "geo")
		want := "groat login geo --username " + person + " --new-client"
		if e := wantError(t, err, protocol.LoginRequired); e.Hint() != want || h.statusOf(t, "geo").Hint != want {
			t.Errorf("%q, and in the status %q; want %q", e.Hint(), h.statusOf(t, "geo").Hint, want)
		}
		again := protocol.LoginParams{Profile: "geo", Username: person, NewClient: true}
		if _, err := h.visit(t).Login(t.Context(), again, withPassword); err != nil {
			t.Error(err)
		}
		if _, err := h.token(t, "geo"); err != nil {
			t.Error(err)
		}
	})
}
