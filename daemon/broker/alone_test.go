package broker

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// answersToAWish are answers of servers to a scope or an audience that they do not give, as [grant.Classify] reads
// them.
var answersToAWish = []*grant.Error{
	{Class: grant.Misconfigured, Status: 200}, // another scope than was asked for
	{Class: grant.Misconfigured, Status: 400, Code: "invalid_scope"},
	{Class: grant.Misconfigured, Status: 400, Code: "invalid_target"},
	{Class: grant.Misconfigured, Status: 400, Code: "invalid_request"},
	{Class: grant.Misconfigured, Status: 400, Code: "unsupported_grant_type"},
	{Class: grant.Misconfigured, Status: 400, Code: "unauthorized_client"},
	{Class: grant.Misconfigured, Status: 422},
	{Class: grant.Misconfigured, Status: 302},
	{Class: grant.Refused, Status: 403, Code: "access_denied"},
	{Class: grant.Refused, Status: 400, Code: "invalid_grant"},
	{Class: grant.Refused, Status: 400, Code: "consent_required"},
	{Class: grant.InvalidClient, Status: 401, Code: "invalid_client"},
	{Class: grant.InvalidClient, Status: 401, Code: "unauthorized_client"},
	{Class: grant.TransientSlow, Status: 400, Code: "scope_invalid"},
	{Class: grant.TransientSlow, Status: 400},
	{Class: grant.TransientSlow, Status: 403},
	{Class: grant.TransientSlow, Status: 404},
	{Class: grant.Transient, Status: 400, Code: "server_error"},
	{Class: grant.Transient, Status: 500, Code: "server_error"},
	{Class: grant.Transient, Status: 500},
	{Class: grant.Transient, Status: 502},
	{Class: grant.Malformed, Status: 204},
}

// wishes are a scope, an audience and both.
var wishes = []Query{{Scope: "nonsense"}, {Audience: "https://typo"}, {Scope: "nonsense", Audience: "https://typo"}}

// grantsNoWish is a server that gives the default token only.
func grantsNoWish(w *env, err error) {
	w.refuse(func(n int) error {
		if r := w.request(n - 1); r.Scope != nil || r.Audience != "" {
			return err
		}
		return nil
	})
}

// A scope or audience that fails, with whatever code, is held back alone. The default token is there at each
// moment, is renewed in time, and comes at once after a restart.
func TestAWishThatFailsIsHeldBackAlone(t *testing.T) {
	for _, answer := range answersToAWish {
		for _, wish := range wishes {
			answer.Where, answer.Reason = "auth.example.org", "said so"
			in(t, func(t *testing.T, w *env, b *Broker) {
				var left recorded
				b.Recorder = left.record
				grantsNoWish(w, answer)
				wantUnavailable(t, askFor(t, b, wish)) // before there is a default token
				for began := w.now().Boot; w.now().Boot < began+20*time.Minute; time.Sleep(6 * time.Second) {
					token, err := get(t, b, Unset)
					if err != nil {
						t.Fatalf("%v %v: the default token after %s: %v", answer, wish, w.now().Boot-began, err)
					}
					if token.Remaining(w.now()) < life/4-time.Second {
						t.Fatalf("%v %v: its renewal is late", answer, wish)
					}
					wantUnavailable(t, askFor(t, b, wish))
				}
				if st, _ := b.Status("p"); st.Err != nil {
					t.Errorf("%v %v: the status says %v", answer, wish, st.Err)
				}
				if n := w.count(); n > 3+failureBurst+int(20*time.Minute/failureInterval)+1 {
					t.Errorf("%v %v: %d requests", answer, wish, n)
				}
				afterRestart(t, w, left.last().Blocks)
			})
		}
	}
}

// afterRestart obtains the default token of a profile of which an earlier process has left Blocks.
func afterRestart(t *testing.T, w *env, left []Block) {
	t.Helper()
	text, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &left); err != nil {
		t.Fatal(err)
	}
	b := New(w.now)
	defer b.Close(t.Context())
	b.Put(map[string]Source{"p": w})
	b.Restore("p", Remembered{Blocks: left})
	began := w.now().Boot
	if _, err := get(t, b, Unset); err != nil || w.now().Boot-began > w.latency {
		t.Errorf("%v: after a restart the default token came after %s: %v", left, w.now().Boot-began, err)
	}
}

// A failure that is about every request of the profile alike holds back all of them, whatever was asked for.
func TestWhatIsNotAboutTheWishHoldsBackTheProfile(t *testing.T) {
	for _, answer := range []*grant.Error{
		{Class: grant.Transient},     // no connection
		{Class: grant.TransientSlow}, // a certificate
		{Class: grant.Ambiguous},
		{Class: grant.Transient, Status: 429},
		{Class: grant.Transient, Status: 503},
		{Class: grant.Transient, Status: 400, Code: "slow_down"},
		{Class: grant.Transient, Status: 400, Code: "temporarily_unavailable"},
		{Class: grant.Transient, Status: 429, Code: "too_many_requests"},
		{Class: grant.Malformed, Status: 200, RotationLost: true},
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.refuse(always(answer))
			wantUnavailable(t, askFor(t, b, wishes[0]))
			wantUnavailable(t, askFor(t, b, Query{}))
			if w.count() != 1 {
				t.Errorf("%v: %d requests", answer, w.count())
			}
		})
	}
}

// Where a server refuses the credential, each scope finds that out for itself only until the default token was asked
// for, which happens at once.
func TestADeadCredentialIsFoundByOneRequestMore(t *testing.T) {
	for _, answer := range []*grant.Error{
		{Class: grant.Refused, Status: 400, Code: "invalid_grant"},
		{Class: grant.InvalidClient, Status: 401, Code: "invalid_client"},
	} {
		in(t, func(t *testing.T, w *env, b *Broker) {
			w.refuse(always(answer))
			for range 300 {
				for _, wish := range wishes {
					wantUnavailable(t, askFor(t, b, wish))
				}
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			st, _ := b.Status("p")
			probes := 0
			if answer.Class == grant.InvalidClient {
				probes = 2 // after an hour, and two
			}
			if st.Err == nil || (st.RetryIn != 0) != (probes != 0) {
				t.Errorf("%v: the status says %v, in %s", answer, st.Err, st.RetryIn)
			}
			if n := w.count(); n > 4+probes {
				t.Errorf("%v: %d requests", answer, n)
			}
		})
	}
}
