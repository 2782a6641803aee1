package daemon

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A Copernicus session ends after an hour without a renewal. Nobody uses it from Friday evening to Monday morning, and
// it is alive then, also where groatd was started again in between; forty programs that ask at once have had one
// sign-in between them all.
func TestACopernicusSessionOutlivesAWeekend(t *testing.T) {
	const weekend = 64 * time.Hour
	o := sandbox.Options{
		Dialect: sandbox.Copernicus, Clients: []sandbox.Client{{ID: "cdse-public", Method: sandbox.None}},
	}
	inBubble(t, o, func(t *testing.T, h *env, store *faultyStore) {
		if err := h.server.Set("idle", "1h"); err != nil {
			t.Fatal(err)
		}
		state := t.TempDir()
		restart := func() {
			old := h.Daemon
			if err := old.Close(t.Context()); err != nil {
				t.Error(err)
			}
			h.Daemon = newDaemon(t, Options{
				Config: old.Config, Keystore: store, HTTP: old.HTTP, Now: old.Now, StateDir: state,
			})
		}
		restart()
		_, err := h.visit(t).Login(t.Context(), protocol.LoginParams{
			Profile: "sat", Provider: "copernicus", AuthServer: h.server.URL(), Username: person,
		}, func(_ context.Context, p protocol.Prompt) (protocol.LoginSecret, error) {
			if p.Optional { // there is no second factor
				return protocol.LoginSecret{}, nil
			}
			return protocol.NewLoginSecret([]byte(password)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		everybodyAsks := func() {
			var programs sync.WaitGroup
			for range 40 {
				programs.Go(func() {
					if _, err := h.token(t, "sat"); err != nil {
						t.Error(err)
					}
				})
			}
			programs.Wait()
		}
		everybodyAsks()
		time.Sleep(weekend / 2)
		restart()
		time.Sleep(weekend / 2)
		synctest.Wait()
		everybodyAsks()

		signIns, renewals := 0, 0
		for _, e := range h.server.Log() {
			switch e.GrantType {
			case "password":
				signIns++
			case "refresh_token":
				renewals++
			}
		}
		most := int(weekend/(48*time.Minute)) + 12 // 48 minutes: a fifth of the idle time is left
		if signIns != 1 || renewals > most || renewals < most-24 {
			t.Errorf("%d sign-ins and %d renewals, want 1 and about %d", signIns, renewals, most-12)
		}
		st := h.statusOf(t, "sat")
		if left := time.Until(time.Unix(st.SessionIdleEndsAt, 0)); left < 50*time.Minute || left > time.Hour ||
			st.SessionEndsAt != 0 {
			t.Errorf("the session is said to end in %s if it is unused, and at %d in any case", left, st.SessionEndsAt)
		}
	})
}
