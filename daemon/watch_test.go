package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/protocol"
)

// seen watches a profile on a connection of its own until the test ends; the channel gets what it is told.
func (h *env) seen(t *testing.T, c *protocol.Client, profile string) (told <-chan protocol.Change) {
	t.Helper()
	changes := make(chan protocol.Change, 64)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		over <- c.Watch(ctx, protocol.WatchParams{Profile: profile}, func(c protocol.Change) error {
			changes <- c
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) && !errors.Is(err, protocol.ErrClosed) {
			t.Errorf("the watch ended with %v", err)
		}
	})
	return changes
}

// next returns what is told next.
func next(t *testing.T, told <-chan protocol.Change, event string) protocol.Change {
	t.Helper()
	return nextWithin(t, patience, told, event)
}

func nextWithin(t *testing.T, limit time.Duration, told <-chan protocol.Change, event string) protocol.Change {
	t.Helper()
	select {
	case c := <-told:
		if c.Event != event {
			t.Fatalf("told of %+v, want %q", c, event)
		}
		return c
	case <-time.After(limit):
		t.Fatalf("%q is not told", event)
	}
	return protocol.Change{}
}

// A day of one profile: a renewal that nobody asked for, an outage and its end, a sign-in that the server takes back, a
// new one, and the logout. Each is told once, when it happens, and no token is.
func TestAWatcherIsToldWhatHappens(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
		h.signIn(t, h.ofDevice("p"))
		first, err := h.token(t, "p")
		if err != nil {
			t.Fatal(err)
		}
		told := h.seen(t, h.visit(t), "p")
		soon := func(event string) protocol.Change { return nextWithin(t, time.Hour, told, event) }
		if now := soon(""); now.State != "fresh" || now.ExpiresAt != first.ExpiresAt || now.At == 0 {
			t.Errorf("at first: %+v", now)
		}
		renewed := soon(protocol.EventRenewed)
		if renewed.ExpiresAt <= first.ExpiresAt || renewed.ExpiresIn < 800 || renewed.State != "fresh" {
			t.Errorf("renewed: %+v", renewed)
		}

		down := sandbox.Busy(503, "")
		down.Times = -1
		h.server.Script("/token", down)
		if c := soon(protocol.EventBlocked); c.State != "fresh" || c.Message == "" {
			t.Errorf("blocked: %+v", c)
		}
		if c := soon(protocol.EventExpired); c.State != "temporary" || c.ExpiresAt != 0 {
			t.Errorf("expired: %+v", c)
		}
		h.server.ClearFaults()
		soon(protocol.EventRenewed)

		h.server.Script("/token", sandbox.Refuse(400, "invalid_grant"))
		if c := soon(protocol.EventBlocked); c.Hint != "groat login p" || c.State != "fresh" {
			t.Errorf("refused: %+v", c)
		}
		if c := soon(protocol.EventExpired); c.State != "login_required" {
			t.Errorf("a person must sign in: %+v", c)
		}
		h.signIn(t, h.ofDevice("p"))
		synctest.Wait()
		for {
			c := <-told
			if c.Event == protocol.EventRenewed {
				break
			}
			if c.Event != protocol.EventForgotten && c.Event != protocol.EventHealed {
				t.Errorf("at a new sign-in: %+v", c)
			}
		}
		var out protocol.LogoutResult
		if err := h.visit(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "p", Yes: true},
			&out); err != nil || !out.Forgotten {
			t.Fatalf("%+v, %v", out, err)
		}
		soon(protocol.EventRemoved)
		h.signIn(t, h.ofDevice("p"))
		soon(protocol.EventAdded)
		soon(protocol.EventRenewed)
	})
}

// A profile that is configured by hand stays, and is watched on, when it is logged out.
func TestAWatchSurvivesThatAProfileIsReplaced(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	told := h.seen(t, h.client(t), "work")
	next(t, told, "")
	h.cool("work")
	next(t, told, protocol.EventForgotten)
	if _, err := h.client(t).Token(t.Context(), protocol.TokenParams{Profile: "work"}); err != nil {
		t.Fatal(err)
	}
	next(t, told, protocol.EventRenewed)
}

// 500 watchers of a profile are told of a rotation within 100 ms of who caused it, or within four times what 500 answers
// take on this machine, and cost no goroutine before.
func TestFiveHundredWatchersAreToldAtOnce(t *testing.T) {
	const watchers = 500
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	c := h.client(t)
	token, err := c.Token(t.Context(), protocol.TokenParams{Profile: "work"})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*raw, watchers)
	for i := range all {
		all[i] = dialRaw(t, h.socket)
		all[i].say(t, `{"jsonrpc":"2.0","id":1,"method":"profiles"}`+"\n")
		all[i].hear(t)
	}
	begun, answers := time.Now(), sync.WaitGroup{}
	for _, w := range all {
		answers.Go(func() {
			w.say(t, `{"jsonrpc":"2.0","id":1,"method":"profiles"}`+"\n")
			w.hear(t)
		})
	}
	answers.Wait()
	limit := max(100*time.Millisecond, 4*time.Since(begun))
	before := runtime.NumGoroutine()
	for _, w := range all {
		w.say(t, `{"jsonrpc":"2.0","id":1,"method":"watch"}`+"\n")
		if line, _ := w.hear(t); !strings.Contains(line, `"state":"fresh"`) {
			t.Fatal(line)
		}
	}
	if more := runtime.NumGoroutine() - before; more > watchers/10 {
		t.Errorf("%d watches run %d goroutines", watchers, more)
	}
	heard := make(chan time.Time, watchers)
	for _, w := range all {
		go func() {
			defer func() { heard <- time.Now() }()
			for {
				line, open := w.hear(t)
				if !open || strings.Contains(line, token.AccessToken) {
					t.Errorf("a watcher heard %q", line)
				}
				if !open || strings.Contains(line, `"event":"renewed"`) {
					return
				}
			}
		}()
	}
	if _, err := c.Reject(t.Context(), protocol.TokenParams{Profile: "work"}, token.AccessToken); err != nil {
		t.Fatal(err)
	}
	renewed, last := time.Now(), time.Duration(0)
	for range watchers {
		last = max(last, (<-heard).Sub(renewed))
	}
	if last > limit {
		t.Errorf("the last of %d watchers was told %v after the rotation, not within %v", watchers, last, limit)
	}
}

// A watch ends with its connection, and with the connection's input: nothing of it is left.
func TestAWatchEndsWithItsConnection(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	if _, err := h.login(t, "work", nil); err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, h.socket)
	for id := range 2 { // the second is answered, and not another watch
		c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"watch"}`+"\n", id))
		var a answer
		line, _ := c.hear(t)
		if err := json.Unmarshal([]byte(line), &a); err != nil || a.Result == nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if line, open := c.hear(t); open {
		t.Errorf("the connection goes on: %s", line)
	}
	if n := h.changes.Watched(); n != 0 {
		t.Errorf("%d profiles are still watched", n)
	}
}

// A connection watches a bounded number of profiles.
func TestAConnectionWatchesSixtyFourProfiles(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	h.crowd(t, maxWatches+1)
	c := h.client(t)
	all, err := c.Profiles(t.Context())
	if err != nil || len(all.Profiles) != maxWatches+1 {
		t.Fatalf("%d profiles, %v", len(all.Profiles), err)
	}
	for i, p := range all.Profiles {
		err := c.Call(t.Context(), protocol.MethodWatch, protocol.WatchParams{Profile: p.Profile}, nil)
		if refused, ok := errors.AsType[*protocol.Error](err); (i == maxWatches) != ok ||
			ok && refused.Code != protocol.CodeInvalidParams {
			t.Errorf("%d: %v", i, err)
		}
	}
}
