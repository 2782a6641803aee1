package daemon

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// found is how long it takes at most until a network that is back is found.
const found = 30 * time.Second

// offline lets callers ask at random while the network is down: each hears that it is temporary, and when to come back.
func (h *clockEnv) offline(t *testing.T, profile string, rng *rand.Rand, d time.Duration) {
	t.Helper()
	c := h.visit(t)
	for began := time.Now(); time.Since(began) < d; {
		time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
		asked := time.Now()
		_, err := tokenFor(c, protocol.TokenParams{Profile: profile})
		e := wantError(t, err, protocol.Temporary)
		if e.Data.RetryAfter < 1 || e.Data.RetryAfter > int64(found/time.Second) {
			t.Errorf("retry after %d s", e.Data.RetryAfter)
		}
		if waited := time.Since(asked); waited > 2*time.Second {
			t.Errorf("waited %s to hear %v", waited, err)
		}
		if state := h.state(t, profile); state.State != string(protocol.Temporary) || state.Message == "" {
			t.Errorf("status says %s: %q", state.State, state.Message)
		}
	}
}

// state is what status says of a profile.
func (h *clockEnv) state(t *testing.T, profile string) protocol.ProfileStatus {
	t.Helper()
	var st protocol.StatusResult
	if err := h.visit(t).Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: profile},
		&st); err != nil {
		t.Fatal(err)
	}
	return st.Profiles[0]
}

// obedient asks as the errors say, until there is a token, and returns how long that took.
func (h *clockEnv) obedient(t *testing.T, profile string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		r, err := h.token(t, profile)
		if err == nil {
			h.good(t, r)
			return time.Since(began)
		}
		e, ok := errors.AsType[*protocol.Error](err)
		if !ok || e.Kind() != protocol.Temporary || time.Since(began) > 10*time.Minute {
			t.Fatalf("%v after %s", err, time.Since(began))
		}
		time.Sleep(time.Duration(e.Data.RetryAfter) * time.Second)
	}
}

// The machine wakes up, or groatd starts, and there is no network for a while. No caller is told to sign in, nothing is
// given up, and when the network is back there is a token soon, whether a client asked meanwhile or not.
func TestE16NoNetworkAfterASuspend(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *clockEnv){
		"suspend": func(t *testing.T, h *clockEnv) { h.suspend(8 * time.Hour) },
		"start":   func(t *testing.T, h *clockEnv) { h.start(t) },
	} {
		for _, down := range []time.Duration{10 * time.Second, 10 * time.Minute, 40 * time.Minute} {
			for _, asked := range []bool{true, false} {
				t.Run(name+", "+down.String(), func(t *testing.T) {
					withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
						for _, p := range []string{"machine", "session"} {
							if p == "machine" {
								h.signIn(t, h.ofMachine(p))
							} else {
								h.signIn(t, h.ofDevice(p))
							}
							h.must(t, p)
						}
						before := h.requests()
						h.down.Store(true)
						begin(t, h)
						if asked {
							h.offline(t, "machine", rand.New(rand.NewPCG(uint64(down), 1)), down)
							h.offline(t, "session", rand.New(rand.NewPCG(uint64(down), 2)), down)
						} else {
							time.Sleep(2 * down)
						}
						h.down.Store(false)
						for _, p := range []string{"machine", "session"} {
							if took := h.obedient(t, p); took > found+2*time.Second { // whole seconds, and a round trip
								t.Errorf("%s: a token %s after the network was back", p, took)
							}
						}
						if n := h.requests(); n != before+2 {
							t.Errorf("%d requests", n-before)
						}
						time.Sleep(time.Hour)
						h.must(t, "session")
					})
				})
			}
		}
	}
}

// No client asks while the network is away and for some time after: a token that was in use before is there for the
// next request.
func TestE16TheNetworkIsBackAndNoClientAsks(t *testing.T) {
	withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
		h.machines(t, 5)
		h.down.Store(true)
		h.suspend(20 * time.Minute)
		time.Sleep(10 * time.Minute)
		h.down.Store(false)
		time.Sleep(found + 5*time.Second)
		for _, p := range []string{"m0", "m1", "m2", "m3", "m4"} {
			if !h.holds(p) {
				t.Errorf("%s has no token yet", p)
			}
		}
	})
}

// The network comes and goes, for longer and for shorter than a request takes.
func TestE16AFlappingNetwork(t *testing.T) {
	for seed := range uint64(4) {
		withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
			rng := rand.New(rand.NewPCG(seed, 1))
			h.signIn(t, h.ofDevice("p"))
			h.must(t, "p")
			over := make(chan bool)
			go func() {
				defer close(over)
				for range 200 {
					h.down.Store(true)
					time.Sleep(time.Duration(rng.Int64N(int64(30 * time.Second))))
					h.down.Store(false)
					time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
				}
			}()
			served, refused := 0, 0
			c := h.visit(t)
			for asking := true; asking; {
				r, err := tokenFor(c, protocol.TokenParams{Profile: "p"})
				if err != nil {
					wantError(t, err, protocol.Temporary)
					refused++
				} else {
					h.good(t, r)
					served++
				}
				select {
				case <-over:
					asking = false
				case <-time.After(5 * time.Second):
				}
			}
			if served == 0 {
				t.Errorf("seed %d: served %d times, refused %d times", seed, served, refused)
			}
			if took := h.obedient(t, "p"); took > found+2*time.Second {
				t.Errorf("seed %d: a token %s after the network was back for good", seed, took)
			}
		})
	}
}
