package daemon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/wire"
	"github.com/groat-dev/groat/protocol"
)

// The machine sleeps for eight hours. No caller gets a token that expired meanwhile, the first who asks has a fresh
// token after one round trip, and the other profiles' tokens are renewed by and by.
func TestE12Suspend(t *testing.T) {
	withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
		const others = 20
		h.signIn(t, h.ofDevice("session"))
		h.must(t, "session")
		h.machines(t, others)
		dead := h.must(t, "m0")
		before := h.requests()
		synctest.Wait() // an owner that still looks at its plan would see the time after
		h.suspend(8 * time.Hour)
		resumed := time.Now()
		for i := range others {
			if h.holds("m" + strconv.Itoa(i)) {
				t.Fatal("a token that died in the suspend would be handed out")
			}
		}
		tokens := h.askAtOnce(t, 100, "m0")
		if took := time.Since(resumed); took != latency || len(tokens) != 1 || tokens[dead.AccessToken] != 0 ||
			h.requests() != before+1 {
			t.Errorf("%d tokens after %s and %d requests", len(tokens), took, h.requests()-before)
		}
		h.must(t, "m0")
		time.Sleep(time.Minute)
		if n := h.requests(); n != before+others+1 {
			t.Errorf("%d requests for %d profiles", n-before, others+1)
		}
		at := h.asked(before + 1)
		if over := at[len(at)-1].Sub(at[0]); over < 15*time.Second {
			t.Errorf("profiles without a request were renewed within %s", over)
		}
		for i := range others {
			h.must(t, "m"+strconv.Itoa(i))
		}
		h.must(t, "session")
		if n := h.requests(); n != before+others+1 {
			t.Errorf("%d requests, though all were renewed", n-before)
		}
	})
}

// A short suspend: the token that is still good is handed out, and is as much older as the machine has slept.
func TestE12AShortSuspend(t *testing.T) {
	withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
		h.signIn(t, h.ofMachine("p"))
		first := h.must(t, "p")
		for slept := int64(0); slept < 540; slept += 60 { // 0.60 L
			again := h.must(t, "p")
			if again.AccessToken != first.AccessToken || again.ExpiresIn != first.ExpiresIn-slept {
				t.Errorf("%d s left after %d s of sleep, %d before", again.ExpiresIn, slept, first.ExpiresIn)
			}
			h.suspend(time.Minute)
		}
	})
}

// Between finding a token and writing the answer the machine may sleep too.
func TestE12ATokenThatDiesOnItsWayOut(t *testing.T) {
	withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
		h.signIn(t, h.ofMachine("p"))
		found, ok := h.broker.Cached(broker.Query{Profile: "p", MinTTL: broker.Unset})
		if !ok {
			t.Fatal("no token")
		}
		line := string(wire.AppendToken(nil, []byte("1"), found, "p", wire.Asked{}, h.now()))
		if !strings.Contains(line, found.Access.Reveal()) {
			t.Errorf("%s", line)
		}
		h.suspend(8 * time.Hour)
		line = string(wire.AppendToken(nil, []byte("1"), found, "p", wire.Asked{}, h.now()))
		if strings.Contains(line, found.Access.Reveal()) || !strings.Contains(line, `"kind":"temporary"`) ||
			!strings.Contains(line, `"retry_after":1`) {
			t.Errorf("%s", line)
		}
	})
}

// The answer comes, late: its token is as old as the request, and if it is dead another one is asked for.
func TestE13SuspendWhileTheAnswerIsOnItsWay(t *testing.T) {
	for _, c := range []struct {
		slept    time.Duration
		requests int
	}{{10 * time.Second, 1}, {5 * time.Minute, 1}, {8 * time.Hour, 2}} {
		t.Run(c.slept.String(), func(t *testing.T) {
			withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
				h.signIn(t, h.ofDevice("p")) // its refresh token is good for one use
				h.cool("p")
				before := h.requests()
				release := h.hold()
				client := h.visit(t)
				came := make(chan protocol.TokenResult)
				go func() {
					r, err := tokenFor(client, protocol.TokenParams{Profile: "p"})
					if err != nil {
						t.Error(err)
					}
					came <- r
				}()
				time.Sleep(time.Second)
				h.suspend(c.slept)
				time.Sleep(time.Second)
				release()
				r := <-came
				h.good(t, r)
				if n := h.requests() - before; n != c.requests {
					t.Errorf("%d requests", n)
				}
				if left := 900 - int64(c.slept/time.Second) - 4; c.requests == 1 &&
					(r.ExpiresIn < left || r.ExpiresIn > left+2) {
					t.Errorf("%d s left, %s after the request", r.ExpiresIn, c.slept+2*time.Second)
				}
				for range 3 { // no refresh token was lost
					time.Sleep(15 * time.Minute)
					h.must(t, "p")
				}
			})
		})
	}
}

// The connection breaks while the machine sleeps. What the server has done cannot be known: nothing is given up, one
// retry comes soon, and only a server that had replaced the refresh token and forgives nothing ends the session.
func TestE13SuspendAndTheConnectionBreaks(t *testing.T) {
	servers := map[string]sandbox.Refresh{
		"no rotation": {Always: true}, "strict": {Always: true, Rotate: true},
		"30 s grace": {Always: true, Rotate: true, Overlap: 30 * time.Second},
		"until used": {Always: true, Rotate: true, UntilUsed: true},
	}
	lost := []string{"strict, after-handling, 10s", "strict, after-handling, 8h0m0s",
		"30 s grace, after-handling, 8h0m0s"}
	for name, mode := range servers {
		for _, cut := range []sandbox.Cut{sandbox.CutAfterBody, sandbox.CutAfterHandling} {
			for _, slept := range []time.Duration{10 * time.Second, 8 * time.Hour} {
				what := fmt.Sprintf("%s, %s, %s", name, cut, slept)
				t.Run(what, func(t *testing.T) {
					withClock(t, sandbox.Options{Refresh: mode}, func(t *testing.T, h *clockEnv) {
						h.signIn(t, h.ofDevice("p"))
						h.cool("p")
						h.server.Script(h.server.TokenPath(), sandbox.Fault{Cut: cut, Delay: 2 * time.Second})
						came := h.asking(t, "p")
						time.Sleep(time.Second)
						h.suspend(slept)
						e := wantError(t, <-came, protocol.Temporary)
						if e.Data.RetryAfter < 1 || e.Data.RetryAfter > 5 {
							t.Errorf("the quick retry in %d s", e.Data.RetryAfter)
						}
						time.Sleep(time.Duration(e.Data.RetryAfter) * time.Second)
						r, err := h.token(t, "p")
						if slices.Contains(lost, what) {
							wantError(t, err, protocol.LoginRequired)
							if !strings.Contains(err.Error(), "by one that never arrived") {
								t.Error(err)
							}
							return
						}
						if err != nil {
							t.Fatal(err)
						}
						h.good(t, r)
					})
				})
			}
		}
	}
}

// The clocks come apart by less than a suspend, again and again, and no client asks: the token is renewed before its
// end.
func TestE15TheBootClockRunsAhead(t *testing.T) {
	for _, jump := range []time.Duration{50 * time.Millisecond, 1900 * time.Millisecond, 2100 * time.Millisecond,
		time.Minute} {
		withClock(t, sandbox.Options{}, func(t *testing.T, h *clockEnv) {
			h.signIn(t, h.ofMachine("p"))
			for range 30 * 60 / 5 {
				time.Sleep(5 * time.Second)
				h.suspend(jump)
				synctest.Wait()
				if jump < time.Minute && !h.holds("p") {
					t.Fatalf("jumps of %s: no token, %s after the last request", jump,
						h.truth().Sub(h.asked(h.requests() - 1)[0]))
				}
			}
			h.must(t, "p")
		})
	}
}
