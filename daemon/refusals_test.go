package daemon

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// refused is a fleet whose person is blocked, and who has been told so.
func refusedIncident(t *testing.T) *incident {
	i := newIncident(t)
	i.server.BlockUser(person, true)
	i.ask(t)
	wantError(t, i.refused.Load(), protocol.LoginRequired)
	return i
}

func (i *incident) requests() int { return i.server.Count(i.server.TokenPath()) }

// nothingRemembered is what that file says then.
const nothingRemembered = `{"version":1,"profiles":{}}`

func (i *incident) remembered() string { return filepath.Join(i.state, "refusals.json") }

func TestARefusalOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		said, before := *i.refused.Load(), i.requests()
		for range 20 { // a groatd that is started again and again
			i.restart(t)
			i.ask(t)
		}
		if n := i.requests() - before; n != 0 {
			t.Errorf("%d requests by 20 daemons", n)
		}
		if now := i.refused.Load(); now.Kind() != said.Kind() || now.Message != said.Message ||
			now.Hint() != said.Hint() {
			t.Errorf("the daemon says %v (%s), its predecessor said %v (%s)", now, now.Hint(), &said, said.Hint())
		}
		info, err := os.Stat(i.remembered())
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if left, _ := filepath.Glob(filepath.Join(i.state, "refusals.json.*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		item := stored(t, i.store, "p")
		text, _ := os.ReadFile(i.remembered())
		for _, secret := range []string{item.RefreshToken.Reveal(), sandbox.Digest(item.RefreshToken.Reveal()),
			password} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a secret, or what is made of one, is in %s", text)
			}
		}
	})
}

// Whatever changes the credential or the configuration, and whatever a person does, is a reason to ask again.
func TestARefusalIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, i *incident)
		gone bool // the profile
	}{
		{"by a proof", func(t *testing.T, i *incident) {
			if r := i.signIn(t, protocol.LoginParams{Profile: "p"}); r.Outcome != protocol.AlreadySignedIn {
				t.Errorf("%+v", r)
			}
		}, false},
		{"by another sign-in", func(t *testing.T, i *incident) {
			if r := i.signIn(t, protocol.LoginParams{Profile: "p",
				ClientID: "other-app"}); r.Outcome != protocol.SignedIn {
				t.Errorf("%+v", r)
			}
		}, false},
		{"by a logout", func(t *testing.T, i *incident) {
			if err := i.visit(t).Call(t.Context(), protocol.MethodLogout,
				protocol.LogoutParams{Profile: "p", Yes: true}, nil); err != nil {
				t.Error(err)
			}
		}, true},
		{"by another configuration", func(t *testing.T, i *incident) {
			i.configure(t, "scope = \"openid\"\n")
			if err := i.Reload(); err != nil {
				t.Error(err)
			}
		}, false},
		{"by another configuration, read at the start", func(t *testing.T, i *incident) {
			i.configure(t, "scope = \"openid\"\n")
			i.restart(t)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := refusedIncident(t)
				i.restart(t) // it is the restored one that is forgotten
				i.server.BlockUser(person, false)
				c.do(t, i)
				i.restart(t) // and it stays forgotten
				_, err := i.Daemon.broker.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset})
				if c.gone != errors.Is(err, broker.ErrUnknown) || !c.gone && err != nil {
					t.Errorf("afterwards: %v", err)
				}
				i.Daemon.Close(t.Context())
				if text, err := os.ReadFile(i.remembered()); err != nil || string(text) != nothingRemembered {
					t.Errorf("the file has %s, %v", text, err)
				}
			})
		})
	}
}

// configure adds a line to what the profile's configuration says.
func (i *incident) configure(t *testing.T, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(i.config, "profiles.d", "p.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, line); err != nil {
		t.Error(err)
	}
	f.Close()
}

// A proof that fails is no reason to forget: the daemon may be ended in the middle of it.
func TestAProofThatFailsForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		i.restart(t)
		before := i.requests()
		_, err := i.broker.Verify(t.Context(), "p")
		if err == nil || i.requests() != before+1 {
			t.Errorf("%v after %d requests", err, i.requests()-before)
		}
		i.restart(t)
		i.ask(t)
		if i.requests() != before+1 {
			t.Errorf("%d requests", i.requests()-before)
		}
	})
}

// Retry-After outlives the daemon too, and no clock makes it longer.
func TestAWishOutlivesTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIncident(t)
		i.server.Script(i.server.TokenPath(), sandbox.Busy(http.StatusTooManyRequests, "600"))
		i.ask(t)
		before := i.requests()
		time.Sleep(5 * time.Minute)
		for range 5 {
			i.restart(t)
			i.ask(t)
		}
		if e := i.refused.Load(); i.requests() != before || e.Kind() != protocol.Temporary ||
			e.Data.RetryAfter < 250 || e.Data.RetryAfter > 370 {
			t.Errorf("%d requests, then %+v", i.requests()-before, e.Data)
		}
		time.Sleep(6 * time.Minute)
		if _, err := i.broker.Token(t.Context(), broker.Query{Profile: "p", MinTTL: broker.Unset}); err != nil {
			t.Error(err)
		}
	})
}

// A groatd that ends right after a new credential was stored, before it has told any client: its successor does not
// hold against the new one what a server has said of the old one.
func TestARefusalDoesNotSpeakForTheNextCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := refusedIncident(t)
		i.restart(t)
		i.server.BlockUser(person, false)
		var atThatMoment []byte
		look := func() { atThatMoment, _ = os.ReadFile(i.remembered()) }
		i.store.(*faultyStore).write.Store(&look)
		if r := i.signIn(t, protocol.LoginParams{Profile: "p", ClientID: "other-app"}); r.Outcome != protocol.SignedIn {
			t.Fatalf("%+v", r)
		}
		i.store.(*faultyStore).write.Store(nil)
		if string(atThatMoment) != nothingRemembered {
			t.Errorf("when the new credential was stored the file said %s", atThatMoment)
		}
	})
}
