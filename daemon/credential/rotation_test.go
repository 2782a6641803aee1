package credential

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
)

// When a server ends a session, the refusal is explained by what this machine knows of the refresh token: also after a
// restart, and when a person tries again.
func TestWhyASessionIsLost(t *testing.T) {
	unreadable := sandbox.Fault{Set: map[string]any{"access_token": nil, "refresh_token": nil}}
	for _, c := range []struct {
		name    string
		mode    sandbox.Refresh
		faults  []sandbox.Fault       // of the token endpoint
		spoil   func(t *crashHarness) // before the process starts
		explain []error               // all of which are in the chain
		not     []error
	}{
		{
			name: "the answer was lost", mode: strict, faults: []sandbox.Fault{{Cut: sandbox.CutAfterHandling}},
			explain: []error{broker.ErrRotationLost, keystore.ErrUnanswered}, not: []error{broker.ErrInterrupted},
		},
		{
			name: "the answer could not be read", mode: strict, faults: []sandbox.Fault{unreadable},
			explain: []error{broker.ErrRotationLost, keystore.ErrUnanswered}, not: []error{broker.ErrInterrupted},
		},
		{
			name: "the answer was lost, then the server was down", mode: strict,
			faults:  []sandbox.Fault{{Cut: sandbox.CutAfterHandling}, sandbox.Busy(503, "")},
			explain: []error{broker.ErrRotationLost, keystore.ErrUnanswered}, not: []error{broker.ErrInterrupted},
		},
		{
			name: "a process ended in between", mode: strict, spoil: (*crashHarness).presentAndEnd,
			explain: []error{broker.ErrRotationLost, keystore.ErrUnanswered, broker.ErrInterrupted},
		},
		{
			name: "the newest record is damaged", mode: strict, spoil: (*crashHarness).renewAndDamage,
			explain: []error{broker.ErrRotationLost, keystore.ErrNewestDamaged}, not: []error{broker.ErrInterrupted},
		},
		{
			name: "the server was down, and then ended the session", mode: strict,
			faults: []sandbox.Fault{
				sandbox.Busy(503, ""), sandbox.Refuse(400, "invalid_grant"), sandbox.Refuse(400, "invalid_grant"),
			},
			not: []error{broker.ErrRotationLost},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCrashHarness(t, c.mode, "", kill)
				r.signIn()
				if c.spoil != nil {
					c.spoil(r)
				}
				r.server.Script(r.server.TokenPath(), c.faults...)
				p := r.start()
				if err := p.recover(); err != nil {
					t.Fatal(err)
				}
				for range c.faults {
					p.get(t)
					time.Sleep(time.Minute)
				}
				for _, verify := range []bool{false, true} {
					_, err := p.get(t)
					if verify {
						_, err = p.b.Verify(t.Context(), "p")
					}
					if _, ok := errors.AsType[*broker.Unavailable](err); !ok {
						t.Fatalf("got %v, want an Unavailable", err)
					}
					if refusal, ok := errors.AsType[*grant.Error](err); !ok || refusal.Code != "invalid_grant" {
						t.Fatalf("the server's refusal is not in %v", err)
					}
					for _, want := range c.explain {
						if !errors.Is(err, want) {
							t.Errorf("%v does not say: %v", err, want)
						}
					}
					for _, not := range c.not {
						if errors.Is(err, not) {
							t.Errorf("%v says: %v", err, not)
						}
					}
				}
				if st, _ := p.b.Status("p"); len(c.explain) > 0 && !errors.Is(st.Err, c.explain[len(c.explain)-1]) {
					t.Errorf("the status says %v", st.Err)
				}
				p.end()
				if c.mode == strict && len(c.explain) > 0 { // a new sign-in knows nothing of it
					r.signIn()
					again := r.start()
					again.mustGet(t)
					again.end()
				}
			})
		})
	}
}

// strict is a server that takes each refresh token once.
var strict = sandbox.Refresh{Always: true, Rotate: true, KeepFamily: true}

// end ends a process in good order.
func (p *process) end() {
	p.harness.t.Helper()
	if err := errors.Join(p.b.Close(p.harness.t.Context()), p.store.Close()); err != nil {
		p.harness.t.Error(err)
	}
}

// presentAndEnd runs a process that sends its request and ends before the answer arrives.
func (t *crashHarness) presentAndEnd() {
	t.t.Helper()
	t.server.Script(t.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterHandling})
	p := t.start()
	p.get(t.t)
	p.kill()
}

// renewAndDamage runs a process that renews, and then flips a bit of the newest record.
func (t *crashHarness) renewAndDamage() {
	t.t.Helper()
	p := t.start()
	p.mustGet(t.t)
	p.end()
	path := filepath.Join(t.dir, "sealed")
	data, err := os.ReadFile(path)
	if err != nil {
		t.t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.t.Fatal(err)
	}
}

// A refresh token that the server does not replace is not in doubt once an answer has come, whatever it was.
func TestAnAnswerSettlesTheDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		faults    []sandbox.Fault
		unsettled bool
	}{
		"a token":                       {nil, false},
		"a refusal":                     {[]sandbox.Fault{sandbox.Refuse(400, "invalid_grant")}, false},
		"an outage":                     {[]sandbox.Fault{sandbox.Busy(503, "")}, false},
		"none":                          {[]sandbox.Fault{{Cut: sandbox.CutAfterBody}}, true},
		"none, and then an outage":      {[]sandbox.Fault{{Cut: sandbox.CutAfterBody}, sandbox.Busy(503, "")}, true},
		"none, and then a token":        {[]sandbox.Fault{{Cut: sandbox.CutAfterBody}}, false},
		"one without an access token":   {[]sandbox.Fault{{Set: map[string]any{"access_token": nil}}}, true},
		"a page from somewhere between": {[]sandbox.Fault{sandbox.HTML(403)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newCrashHarness(t, sandbox.Refresh{Always: true}, "", kill)
				r.signIn()
				r.server.Script(r.server.TokenPath(), c.faults...)
				p := r.start()
				p.get(t)
				for r.server.Count(r.server.TokenPath()) < 1+len(c.faults) {
					time.Sleep(time.Second)
				}
				if name == "none, and then a token" {
					time.Sleep(10 * time.Second)
				}
				synctest.Wait()
				names, err := p.pending.InDoubt(t.Context())
				if err != nil || (len(names) > 0) != c.unsettled {
					t.Errorf("in doubt: %v, %v", names, err)
				}
				p.end()
			})
		})
	}
}

// What an earlier process left in doubt is renewed at once and in every outage, although no caller waits, but not for
// ever.
func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCrashHarness(t, sandbox.Refresh{Always: true, Rotate: true, Overlap: 30 * time.Second}, "", kill)
		r.signIn()
		r.presentAndEnd()
		r.server.Script(r.server.TokenPath(), sandbox.Busy(503, ""), sandbox.Busy(503, "")) // while it comes back, too
		p := r.start()
		if err := p.recover(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if st, _ := p.b.Status("p"); !st.Held {
			t.Errorf("no token after 20 s, but %v", st.Err)
		}
		requests := p.Requests()
		time.Sleep(24 * time.Hour)
		if n := p.Requests(); n != requests {
			t.Errorf("%d requests for no caller", n-requests)
		}
		p.end()
	})
	synctest.Test(t, func(t *testing.T) {
		r := newCrashHarness(t, strict, "", kill)
		r.signIn()
		r.presentAndEnd()
		down := sandbox.Busy(503, "")
		down.Times = -1
		r.server.Script(r.server.TokenPath(), down)
		p := r.start()
		if err := p.recover(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + 5*time.Minute)
		requests := p.Requests()
		time.Sleep(24 * time.Hour)
		if n := p.Requests(); requests < 10 || n != requests {
			t.Errorf("%d requests in the first hour of an outage, %d after it", requests, n-requests)
		}
		p.end()
	})
}

// Where the file cannot be written the newest refresh token is held in memory, the status says so, and it is not spent
// ahead of time before it is stored.
func TestARotationThatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCrashHarness(t, strict, "", badSync)
		r.signIn()
		p := r.start()
		p.disk.begin(badSync)
		p.mustGet(t)
		if st, _ := p.b.Status("p"); !errors.Is(st.Degraded, keystore.ErrUnavailable) {
			t.Errorf("the status says %v", st.Degraded)
		}
		time.Sleep(12 * time.Minute) // after the renewal point, before the last tenth
		if st, _ := p.b.Status("p"); !errors.Is(st.Err, keystore.ErrUnavailable) || p.Requests() != 1 {
			t.Errorf("the status says %v after %d requests", st.Err, p.Requests())
		}
		p.disk.mu.Lock()
		p.disk.failing = false
		p.disk.mu.Unlock()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if st, _ := p.b.Status("p"); st.Degraded != nil || st.Err != nil || p.Requests() != 2 {
			t.Errorf("the status says %v, %v after %d requests", st.Degraded, st.Err, p.Requests())
		}
		p.kill()
		again := r.start()
		again.mustGet(t)
		again.end()
	})
}
