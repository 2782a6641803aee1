package daemon

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"github.com/groat-dev/groat/protocol/frame"
)

// A server says with its first answer that the sign-in ends in ten days, and its renewals do not move that: "status",
// "profiles" and "token" say so, and the log warns once, a day before, also where groatd is started again.
func TestWhenTheSignInEndsIsShownAndLogged(t *testing.T) {
	const left = 10 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		store, state := &faultyStore{memory: memory{&keystore.Memory{}}}, t.TempDir()
		h := newBubbleEnv(t, sandbox.Options{TokenLifetime: time.Hour, Latency: 300 * time.Millisecond}, store)
		if err := h.server.Set("rotate", "false"); err != nil {
			t.Fatal(err)
		}
		restart, logged := h.restartsIn(t, state, store)
		restart()
		h.server.Script(h.server.TokenPath(), sandbox.Fault{
			Set: map[string]any{"refresh_token_expires_in": int64(left / time.Second)},
		})
		h.signIn(t, h.ofDevice("p"))
		end := time.Now().Add(left).Unix()

		warnings := func() (n int) {
			for _, e := range logged.All() {
				if strings.HasPrefix(e.Message, "a sign-in ends soon") {
					n++
				}
			}
			return n
		}
		for day := range 10 {
			time.Sleep(23 * time.Hour)
			if _, err := h.token(t, "p"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if want := min(max(day-8, 0), 1); warnings() != want {
				t.Errorf("day %d: %d warnings, want %d", day, warnings(), want)
			}
			restart()
		}

		if !h.statusOf(t, "p").SessionEndsSoon {
			t.Error("status does not say that the end is near")
		}
		var list protocol.ProfilesResult
		if err := h.visit(t).Call(t.Context(), protocol.MethodProfiles, struct{}{}, &list); err != nil {
			t.Fatal(err)
		}
		got, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		for name, at := range map[string]int64{
			"status": h.statusOf(t, "p").SessionEndsAt, "profiles": list.Profiles[0].SessionEndsAt,
			"token": got.SessionEndsAt,
		} {
			if off := at - end; off < -2 || off > 2 {
				t.Errorf("%s says that it ends %d s from when it does", name, off)
			}
		}
	})
}

// As many warnings as an answer has fit a line, whatever the profiles are called.
func TestWarningsFitALine(t *testing.T) {
	var r protocol.WarningsResult
	for range mostWarnings {
		r.Sessions = append(r.Sessions, protocol.SessionWarning{Profile: strings.Repeat("x", 64), EndsAt: 1 << 50})
	}
	if line, err := json.Marshal(r); err != nil || len(line) > frame.MaxLine-1024 {
		t.Errorf("%d bytes, %v", len(line), err)
	}
}
