package daemon

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// A session that ends with its token ends soon once that does.
func TestASessionThatEndsWithItsTokenEndsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleEnv(t, sandbox.Options{}, memory{&keystore.Memory{}})
		if err := h.server.Set("refresh_always", "false"); err != nil {
			t.Fatal(err)
		}
		h.signIn(t, h.ofDevice("p"))
		was := h.statusOf(t, "p")
		time.Sleep(time.Duration(was.ExpiresIn-was.Lifetime/2+1) * time.Second)
		now := h.statusOf(t, "p")
		if !was.Last || was.SessionEndsSoon || !now.Last || !now.SessionEndsSoon {
			t.Errorf("%+v, and then %+v", was, now)
		}
	})
}

// A sign-in without a refresh token does not outlive groatd, and "status" says so at once after a restart: also after a
// second one, and until a person signs in again.
func TestASignInWithoutARefreshTokenNeedsALoginAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &incident{store: &faultyStore{memory: memory{&keystore.Memory{}}}, asking: make(chan struct{}, 1),
			state: t.TempDir()}
		i.env = newBubbleEnv(t, sandbox.Options{}, i.store)
		if err := i.server.Set("refresh_always", "false"); err != nil {
			t.Fatal(err)
		}
		i.client = i.HTTP
		i.restart(t)
		i.signIn(t, i.ofDevice("p"))
		for range 2 {
			if got := i.statusOf(t, "p"); got.State != "fresh" || !got.Last {
				t.Errorf("before: %+v", got)
			}
			for range 2 {
				i.restart(t)
				if got := i.statusOf(t, "p"); got.State != string(protocol.LoginRequired) || got.Hint != "groat login p" {
					t.Errorf("after a restart: %+v", got)
				}
			}
			i.signIn(t, protocol.LoginParams{Profile: "p"})
		}
	})
}

// What would end with groatd is said, for a person who would end it: not of a session that can be renewed, of one that
// has ended already, nor twice of one that is in memory only.
func TestStatusSaysWhichSignInsEndWithGroatd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newBubbleEnv(t, sandbox.Options{}, durable{&faultyStore{memory: memory{&keystore.Memory{}}}})
		h.signIn(t, h.ofDevice("renewed"))
		h.signIn(t, h.ofMachine("machine"))
		want := func(unsaved, handed []string) {
			t.Helper()
			st, err := h.visit(t).Status(t.Context(), "")
			if err != nil || !slices.Equal(st.Unsaved, unsaved) || !slices.Equal(st.HandedOver, handed) {
				t.Errorf("%q and %q, %v, want %q and %q", st.Unsaved, st.HandedOver, err, unsaved, handed)
			}
		}
		want(nil, nil)
		if err := h.server.Set("refresh_always", "false"); err != nil {
			t.Fatal(err)
		}
		h.signIn(t, h.ofDevice("q"))
		h.signIn(t, h.ofDevice("p"))
		want(nil, []string{"it keeps sign-ins without a refresh token in memory only: p, q"})
		if why := h.KeepsFromHandover(t.Context()); why != nil {
			t.Errorf("it does not hand them over: %+v", why)
		}
		brief := h.ofDevice("brief")
		brief.Ephemeral = true
		h.signIn(t, brief)
		want([]string{"it keeps profiles in memory only: brief"},
			[]string{"it keeps sign-ins without a refresh token in memory only: p, q"})
		time.Sleep(time.Duration(h.statusOf(t, "p").Lifetime+1) * time.Second)
		want([]string{"it keeps profiles in memory only: brief"}, nil)
	})
}
