package daemon

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// logged has the env's daemon replaced by one that writes to a log, and returns what is new in that, "message profile"
// each, at every call.
func (h *env) logged(t *testing.T, store testKeystore) (news func() []string, all *observer.ObservedLogs) {
	core, all := observer.New(zap.InfoLevel)
	old := h.Daemon
	if err := old.Close(t.Context()); err != nil {
		t.Error(err)
	}
	h.Daemon = newDaemon(t, Options{Config: old.Config, Keystore: store, HTTP: old.HTTP, Now: old.Now,
		Log: zap.New(core), StateDir: t.TempDir()})
	seen := 0
	return func() (lines []string) {
		synctest.Wait()
		entries := all.All()
		for _, e := range entries[seen:] {
			line := e.Message
			if name, ok := e.ContextMap()["profile"]; ok {
				line += " " + fmt.Sprint(name)
			}
			lines = append(lines, line)
		}
		seen = len(entries)
		return lines
	}, all
}

func wantLines(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s, the log says\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (h *env) wantSummary(t *testing.T, want string) {
	t.Helper()
	if got := h.Summary(); got != want {
		t.Errorf("the summary is %q, want %q", got, want)
	}
}

// A login that lacks a parameter, as at a terminal that asks for it then, is no failure; a wrong call is one and has a
// word for its kind, as what a server or a keystore refuses has its own.
func TestTheLogOfALoginThatFails(t *testing.T) {
	inBubble(t, sandbox.Options{}, func(t *testing.T, h *env, store *faultyStore) {
		news, all := h.logged(t, store)
		login := func(p protocol.LoginParams) {
			t.Helper()
			p.Profile, p.AuthServer = "work", h.server.URL()
			_, err := h.visit(t).Login(t.Context(), p, func(context.Context, protocol.Prompt) (protocol.LoginSecret, error) {
				return protocol.NewLoginSecret([]byte("wrong")), nil
			})
			if err == nil {
				t.Error("it has succeeded")
			}
		}
		login(protocol.LoginParams{Provider: "spatiafi"})
		wantLines(t, "without a user name", news())
		login(protocol.LoginParams{Provider: "spatiafi", Username: person, Grant: "nonsense"})
		login(protocol.LoginParams{Provider: "spatiafi", Username: person})
		wantLines(t, "after two failures", news(), "a login failed work", "a login failed work")
		var kinds []any
		for _, e := range all.All() {
			kinds = append(kinds, e.ContextMap()["kind"])
		}
		if want := []any{"invalid_params", string(protocol.LoginRequired)}; !slices.Equal(kinds, want) {
			t.Errorf("the kinds are %q, want %q", kinds, want)
		}
	})
}

// A night: an outage of three hours, in which programs ask all the time, a session that ends, and a sign-in.
func TestTheEventLogOfANight(t *testing.T) {
	inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, store *faultyStore) {
		news, all := h.logged(t, store)
		h.wantSummary(t, "0 profiles")
		h.signIn(t, h.ofDevice("work"))
		wantLines(t, "after a sign-in", news(), "a login succeeded work")
		h.wantSummary(t, "1 profile")
		ask := func(times int, every time.Duration) {
			for range times {
				h.token(t, "work")
				time.Sleep(every)
			}
		}
		ask(60, time.Minute)
		wantLines(t, "in a good hour", news())

		down := sandbox.HTML(http.StatusBadGateway)
		down.Times = -1
		h.server.Script(h.server.TokenPath(), down)
		ask(3*60, time.Minute)
		lines := news()
		wantLines(t, "in an outage of three hours", lines, "a token request has failed and is tried again work",
			"token requests still fail and are tried again work", "token requests still fail and are tried again work")
		h.wantSummary(t, "1 profile") // time alone ends it
		for _, e := range all.FilterMessageSnippet("fail").All()[:len(lines)] {
			said := e.ContextMap()
			if said["kind"] != "temporary" || !strings.Contains(fmt.Sprint(said["error"]), "502") || said["retry_in"] == nil {
				t.Errorf("%s: %v", e.Message, said)
			}
		}
		h.server.ClearFaults()
		ask(60, time.Minute)
		wantLines(t, "after it", news(), "tokens come again work")

		select {
		case <-h.SummaryChanged():
		default:
		}
		h.server.BlockUser(person, true)
		ask(90, time.Minute)
		wantLines(t, "after a refusal", news(), "a login is needed work", "a login is still needed work")
		h.wantSummary(t, "1 profile, 1 needs you: groat login work")
		select {
		case <-h.SummaryChanged():
		default:
			t.Error("the change of the summary is not told")
		}
		h.server.BlockUser(person, false)
		h.signIn(t, h.ofDevice("work"))
		wantLines(t, "after another sign-in", news(), "a login succeeded work")
		h.wantSummary(t, "1 profile")
		if err := h.visit(t).Call(t.Context(), protocol.MethodLogout, protocol.LogoutParams{Profile: "work", Yes: true},
			nil); err != nil {
			t.Fatal(err)
		}
		wantLines(t, "after a logout", news(), "a profile was forgotten work")
		h.wantSummary(t, "0 profiles")
	})
}

// closable is a keystore that can be closed: for reading, and that is known or not, or for writing.
type closable struct {
	faultyStore
	unreadable, hidden atomic.Bool
}

func (c *closable) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if c.unreadable.Load() {
		return keystore.Item{}, keystore.ErrLocked
	}
	return c.faultyStore.Get(ctx, profile)
}

func (c *closable) Status(ctx context.Context) keystore.Status {
	st := c.memory.Status(ctx)
	if c.unreadable.Load() && !c.hidden.Load() {
		st.State = "locked"
	}
	return st
}

// A keystore that is closed is one line for all profiles, and one when it is open again.
func TestTheEventLogOfAKeystore(t *testing.T) {
	for name, c := range map[string]struct {
		close func(store *closable, closed bool)
		says  string
	}{
		"locked": {func(c *closable, closed bool) { c.unreadable.Store(closed) }, "the keystore is locked: groat unlock"},
		"locked, though it seems open": {func(c *closable, closed bool) { c.hidden.Store(true); c.unreadable.Store(closed) },
			"the keystore is locked: groat unlock"},
		"not writable": {func(c *closable, closed bool) { c.unwritable.Store(closed) },
			"the keystore cannot be used: groat keystore"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sandbox.Options{TokenLifetime: 15 * time.Minute}, func(t *testing.T, h *env, _ *faultyStore) {
				store := &closable{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}}}
				news, _ := h.logged(t, store)
				for _, name := range []string{"a", "b", "c"} {
					h.signIn(t, h.ofDevice(name))
				}
				news()
				c.close(store, true)
				for range 60 * 12 {
					for _, name := range []string{"a", "b", "c"} {
						h.token(t, name)
					}
					time.Sleep(watchEvery)
					h.lookAfterKeystore()
				}
				wantLines(t, "while it is closed", news(), "the keystore cannot be used")
				h.wantSummary(t, "3 profiles, and "+c.says)
				c.close(store, false)
				for range 6 {
					time.Sleep(watchEvery)
					h.lookAfterKeystore()
				}
				wantLines(t, "once it is open", news(), "the keystore can be used again")
				h.wantSummary(t, "3 profiles")
			})
		})
	}
}

// What the service manager shows names the command of the one profile that needs a person.
func TestSummaryOfWrongFiles(t *testing.T) {
	h := newEnv(t, sandbox.Options{})
	for _, step := range []struct{ name, text, want string }{
		{"good", "provider = \"spatiafi\"\n", "1 profile"},
		{"bad", "x = 1\n", "2 profiles, 1 needs you: groat status bad"},
		{"A B", "x = 1\n", "3 profiles, 2 need you: groat status"},
	} {
		h.write(t, "profiles.d/"+step.name+".toml", step.text)
		if err := h.Reload(); err != nil {
			t.Fatal(err)
		}
		h.wantSummary(t, step.want)
	}
}
