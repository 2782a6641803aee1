package daemon

import (
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
