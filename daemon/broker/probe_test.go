package broker

import (
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// A server says for a day that it does not know the client, and then it does: callers who never stop asking cause a
// request after 1, 2, 4, 8 and 16 hours, and have a token again without a sign-in.
func TestARefusedClientIsProbed(t *testing.T) {
	for name, wish := range map[string]Query{"the default token": {}, "a scope": {Scope: "read"}} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *env, b *Broker) {
				w.refuse(always(refusal(grant.InvalidClient, "invalid_client")))
				begin := time.Now()
				for time.Since(begin) < 24*time.Hour {
					wantUnavailable(t, askFor(t, b, wish))
					time.Sleep(time.Minute)
				}
				if n := w.count(); n < 6 || n > 8 { // two, and for a scope two more; 1 h, 3 h, 7 h, 15 h
					t.Errorf("%d requests in a day", n)
				}
				w.refuse(nil)
				for time.Since(begin) < 34*time.Hour {
					if askFor(t, b, wish) == nil {
						break
					}
					time.Sleep(time.Minute)
				}
				if err := askFor(t, b, wish); err != nil {
					t.Error("after the next probe:", err)
				}
				if st, _ := b.Status("p"); wish.Scope == "" && st.Err != nil {
					t.Error("the status says", st.Err)
				}
			})
		})
	}
}

// Other words than invalid_client are no reason to ask again: the server knows what it says.
func TestWhatIsNotProbed(t *testing.T) {
	for _, answer := range []error{
		refusal(grant.InvalidClient, "unauthorized_client"), refusal(grant.InvalidClient, ""),
		refusal(grant.Refused, "invalid_grant"), refusal(grant.Refused, "access_denied"),
		refusal(grant.Misconfigured, "unauthorized_client"),
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.refuse(always(answer))
			for range 3 * 24 * 60 {
				wantUnavailable(t, askFor(t, b, Query{}))
				time.Sleep(time.Minute)
			}
			if n := w.count(); n > 2 {
				t.Errorf("%v: %d requests in three days", answer, n)
			}
		})
	}
}

// What is known of a refused client outlives the process: how often it was asked about, and when it may be again. A
// process that is started after that asks once.
func TestAProbeOutlivesTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		left     time.Duration // until the next probe, at the start
		requests int           // in two hours
		next     time.Duration // then
	}{
		"a probe that is due in an hour": {time.Hour, 1, 8 * time.Hour},
		"one that was due":               {-time.Hour, 1, 8 * time.Hour},
		"one that is far":                {8 * time.Hour, 0, 8 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *env, b *Broker) {
				w.refuse(always(refusal(grant.InvalidClient, "invalid_client")))
				b.Restore("p", Remembered{Blocks: []Block{{
					Whole: true, Disabled: true, Probes: 3, Failures: 4,
					Err:  refusal(grant.InvalidClient, "invalid_client"),
					Wait: max(c.left, 0), Until: clock.Instant{Wall: time.Now().Add(c.left)},
				}}})
				if st, _ := b.Status("p"); st.Err == nil {
					t.Error("the status says that nothing is wrong")
				}
				for range 2 * 60 {
					wantUnavailable(t, askFor(t, b, Query{}))
					time.Sleep(time.Minute)
				}
				if n := w.count(); n != c.requests {
					t.Errorf("%d requests", n)
				}
				if st, _ := b.Status("p"); st.RetryIn > c.next || st.RetryIn < c.next-3*time.Hour {
					t.Errorf("the next is in %s", st.RetryIn)
				}
			})
		})
	}
}
