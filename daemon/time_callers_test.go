package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// A hundred clients, one expired profile: one request, and all have the same token.
func TestE18AHundredClientsOneExpiredProfile(t *testing.T) {
	for _, profile := range ways {
		withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
			h.everyWay(t)
			for _, p := range ways {
				h.must(t, p)
			}
			h.suspend(time.Hour)
			before := h.renewed()
			tokens := h.askAtOnce(t, 100, profile)
			if n := h.renewed() - before; n != 1 || len(tokens) != 1 {
				t.Errorf("%s: %d requests, %d tokens", profile, n, len(tokens))
			}
		})
	}
}

// A caller has no time to wait, or leaves: it hears that it is temporary, the renewal goes on, and the next has its
// token.
func TestE19AClientWithoutTime(t *testing.T) {
	for name, impatient := range map[string]func(t *testing.T, h *clockEnv){
		"no time": func(t *testing.T, h *clockEnv) {
			var none int64
			_, err := tokenFor(h.visit(t), protocol.TokenParams{Profile: "p", Wait: &none})
			if e := wantError(t, err, protocol.Temporary); e.Data.RetryAfter != 1 {
				t.Errorf("%+v", e.Data)
			}
		},
		"it leaves": func(t *testing.T, h *clockEnv) {
			c := h.visit(t)
			gone := make(chan error)
			go func() {
				_, err := tokenFor(c, protocol.TokenParams{Profile: "p"})
				gone <- err
			}()
			synctest.Wait()
			time.Sleep(time.Millisecond)
			c.Close()
			if err := <-gone; err == nil {
				t.Error("an answer after a millisecond")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				h.signIn(t, h.ofDevice("p"))
				h.must(t, "p")
				h.suspend(time.Hour)
				before := h.requests()
				impatient(t, h)
				time.Sleep(latency)
				synctest.Wait()
				if !h.holds("p") {
					t.Error("the renewal ended with its caller")
				}
				h.must(t, "p")
				if n := h.requests() - before; n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}
