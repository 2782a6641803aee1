package grant_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
)

// The server's Date corrects a wrong clock: one refused request, one retry, and from then on none is refused.
func TestWrongClock(t *testing.T) {
	for _, c := range []struct {
		wrong time.Duration
		first int // requests for the first token
	}{
		{0, 1}, {20 * time.Second, 1}, {-20 * time.Second, 1},
		{time.Hour, 2}, {-time.Hour, 2}, {23 * time.Hour, 2}, {-23 * time.Hour, 2},
	} {
		t.Run(c.wrong.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := inBubble(t)
				b.wrong = c.wrong
				token, err := b.token(t)
				if err != nil || token.Lifetime < 838*time.Second || token.Lifetime > 839*time.Second {
					t.Fatalf("%v, %v", token.Lifetime, err)
				}
				if n := b.server.Count(sandbox.SpatiafiTokenPath); n != c.first {
					t.Fatalf("%d requests", n)
				}
				// What was learned lasts, also while the machine's clock is put right and wrong again.
				for _, wrong := range []time.Duration{c.wrong, 0, -c.wrong} {
					b.wrong = wrong
					time.Sleep(10 * time.Minute)
					if _, err := b.token(t); err != nil {
						t.Fatal(err)
					}
				}
				if n := b.server.Count(sandbox.SpatiafiTokenPath); n != c.first+3 || b.endpoint.Requests() != int64(n) {
					t.Errorf("%d requests in all, counted %d", n, b.endpoint.Requests())
				}
			})
		})
	}
}

// A clock that is wrong by more than a day is not corrected. It is no reason to give the credential up either: the
// error names both clocks, and all is well once this machine's is right.
func TestG2AClockThatIsWrongByMoreThanADay(t *testing.T) {
	for _, wrong := range []time.Duration{25 * time.Hour, -25 * time.Hour, 365 * 24 * time.Hour, -365 * 24 * time.Hour,
		10 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := inBubble(t)
			b.wrong = wrong
			for range 3 {
				before := b.server.Count(sandbox.SpatiafiTokenPath)
				_, err := b.token(t)
				e := wantClass(t, err, grant.TransientSlow)
				if !errors.Is(err, grant.ErrClock) || e.Action() != grant.RetrySeldom || !e.Answered() {
					t.Errorf("%v, %v", err, e.Action())
				}
				for _, clock := range []time.Time{time.Now(), b.now().Wall} {
					if !strings.Contains(err.Error(), clock.UTC().Format("2006-01-02 15:04")) {
						t.Errorf("%v does not say %v", err, clock)
					}
				}
				if n := b.server.Count(sandbox.SpatiafiTokenPath) - before; n != 1 {
					t.Errorf("%d requests", n)
				}
				time.Sleep(time.Minute)
			}
			b.wrong = 0
			if _, err := b.token(t); err != nil || b.endpoint.ClockOffset() != 0 {
				t.Errorf("%v, corrected by %v", err, b.endpoint.ClockOffset())
			}
		})
	}
}

// A wrong secret with a wrong clock costs one request more, not a loop; with a right clock, none.
func TestWrongSecretAndWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t)
		b.wrong = time.Hour
		b.server.SetClientSecret(clientID, "another")
		for _, want := range []int{2, 3} {
			_, err := b.token(t)
			wantClass(t, err, grant.InvalidClient)
			if n := b.server.Count(sandbox.SpatiafiTokenPath); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		}
	})
}

// The clock is no reason to ask again where no assertion was sent, or where the server did not speak of the client.
func TestWrongClockAloneRepeatsNothing(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"scope": sandbox.Refuse(400, "invalid_scope"), "busy": sandbox.Busy(503, ""), "page": sandbox.HTML(403),
	} {
		synctest.Test(t, func(t *testing.T) {
			b := inBubble(t)
			b.wrong = time.Hour
			b.server.Script(sandbox.SpatiafiTokenPath, f)
			if _, err := b.token(t); err == nil || b.server.Count(sandbox.SpatiafiTokenPath) != 1 {
				t.Errorf("%s: %v, %d requests", name, err, b.server.Count(sandbox.SpatiafiTokenPath))
			}
		})
	}
}

// A day at the real numbers: what Remaining promises, the API accepts.
func TestLifetimeIsNeverPromisedTooLong(t *testing.T) {
	for name, set := range map[string]map[string]any{
		"all three": nil,
		"only exp":  {"expires_in": nil, "expires_at": nil},
		"only at":   {"expires_in": nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := inBubble(t)
			b.server.SetLatency(300 * time.Millisecond)
			for range 96 {
				b.server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Set: set})
				token, err := b.token(t)
				if err != nil {
					t.Fatal(name, err)
				}
				if token.Lifetime < 838*time.Second || token.LifetimeAssumed {
					t.Fatalf("%s: %v", name, token.Lifetime)
				}
				time.Sleep(token.Remaining(b.now()) - 700*time.Millisecond) // the call itself takes 0.3 s
				if _, err := b.endpoint.Userinfo(t.Context(), token); err != nil {
					t.Fatalf("%s: refused while it should be good for 0.7 s: %v", name, err)
				}
				time.Sleep(1234 * time.Millisecond) // another fraction of a second each time
			}
		})
	}
}

// A request that was sent is counted from then, however late the answer comes.
func TestAgeIsCountedFromSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t)
		b.server.Script(sandbox.SpatiafiTokenPath, sandbox.Fault{Delay: 9 * time.Second})
		token, err := b.token(t)
		if err != nil {
			t.Fatal(err)
		}
		if left := token.Remaining(b.now()); left > 830*time.Second {
			t.Errorf("%v left", left)
		}
	})
}
