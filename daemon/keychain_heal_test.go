package daemon

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// unreliableStore is a keystore in memory whose reads, writes and state the test sets.
type unreliableStore struct {
	memory
	reading, writing atomic.Pointer[error]
	written          atomic.Int64
}

func moodOf(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

func (m *unreliableStore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if err := moodOf(&m.reading); err != nil {
		return keystore.Item{}, err
	}
	return m.memory.Get(ctx, profile)
}

func (m *unreliableStore) Set(ctx context.Context, profile string, item keystore.Item) error {
	m.written.Add(1)
	if err := moodOf(&m.writing); err != nil {
		return err
	}
	return m.memory.Set(ctx, profile, item)
}

func (m *unreliableStore) Status(ctx context.Context) keystore.Status {
	if err := moodOf(&m.reading); err != nil {
		return keystore.Status{Use: "keychain", State: "locked", Message: err.Error()}
	}
	return m.memory.Status(ctx)
}

// withUnreliableStore runs f with an env whose keystore is an unreliableStore and whose daemon watches the keystore by
// itself.
func withUnreliableStore(t *testing.T, f func(t *testing.T, h *env, m *unreliableStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &unreliableStore{memory: memory{&keystore.Memory{}}}
		h := newBubbleEnv(t, sandbox.Options{}, m)
		go h.watchKeystore(t.Context())
		f(t, h, m)
	})
}

func (h *env) statusOf(t *testing.T, profile string) protocol.ProfileStatus {
	t.Helper()
	var r protocol.StatusResult
	if err := h.visit(t).Call(t.Context(), protocol.MethodStatus, protocol.StatusParams{Profile: profile},
		&r); err != nil {
		t.Fatal(err)
	}
	return r.Profiles[0]
}

// healed lets the daemon find out what has changed.
func healed() { time.Sleep(watchEvery + time.Second); synctest.Wait() }

// The keystore opens without groat's doing. A token that could not be had before is there before the next request.
func TestD1AKeystoreThatOpensByItself(t *testing.T) {
	withUnreliableStore(t, func(t *testing.T, h *env, m *unreliableStore) {
		h.signIn(t, h.ofMachine("work"))
		h.signIn(t, h.ofMachine("unused"))
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.restart(t, m, h.HTTP) // and begin anew, with a keystore that is locked
		go h.watchKeystore(t.Context())
		m.reading.Store(new(keystore.ErrLocked))
		for range 6 { // so that the next attempt is half a minute away
			_, err := h.token(t, "work")
			wantError(t, err, protocol.Locked)
			time.Sleep(watchEvery)
		}
		if s := h.statusOf(t, "work"); !s.Degraded || s.State != "locked" || s.Hint != "groat unlock" {
			t.Errorf("while it is locked: %+v", s)
		}
		asked := h.server.Count("/token")
		m.reading.Store(nil)
		healed()
		if s := h.statusOf(t, "work"); s.Degraded || s.State != "fresh" || s.Message != "" {
			t.Errorf("after it was opened: %+v", s)
		}
		if s := h.statusOf(t, "unused"); s.State != "idle" {
			t.Errorf("of a profile that was not asked for: %+v", s)
		}
		if n := h.server.Count("/token") - asked; n != 1 {
			t.Errorf("%d requests, want one", n)
		}
		if _, err := h.token(t, "work"); err != nil {
			t.Error(err)
		}
	})
}

// The keystore refuses at the very end what a person has signed in for. It is held, used, and stored as soon as that
// works.
func TestASignInThatCannotBeStored(t *testing.T) {
	for name, params := range map[string]func(*env) protocol.LoginParams{
		"session": func(h *env) protocol.LoginParams { return h.ofDevice("work") },
		"client":  func(h *env) protocol.LoginParams { return h.ofMachine("work") },
	} {
		t.Run(name, func(t *testing.T) {
			withUnreliableStore(t, func(t *testing.T, h *env, m *unreliableStore) {
				m.writing.Store(new(keystore.ErrUnavailable))
				_, err := h.visit(t).Login(t.Context(), params(h), h.willing(t))
				e := wantError(t, err, protocol.KeystoreUnavailable)
				if !strings.Contains(e.Message, "is signed in, but its credential could not be stored") ||
					!strings.Contains(e.Hint(), "groat login work") {
					t.Errorf("it says %q, %q", e.Message, e.Hint())
				}
				if _, err := h.token(t, "work"); err != nil {
					t.Errorf("what is held is not served: %v", err)
				}
				if s := h.statusOf(t, "work"); !s.Degraded || s.State != "fresh" ||
					!strings.Contains(s.Message, "in groatd's memory only") {
					t.Errorf("status: %+v", s)
				}
				m.writing.Store(nil)
				healed()
				if s := h.statusOf(t, "work"); s.Degraded || s.Message != "" {
					t.Errorf("after the keystore is well again: %+v", s)
				}
				if i := stored(t, m, "work"); i.ClientID == "" {
					t.Error("nothing is stored")
				}
			})
		})
	}
}

// Where a person may have declined the write, only a person's own action asks again.
func TestADeclinedWriteIsNotAskedAgain(t *testing.T) {
	withUnreliableStore(t, func(t *testing.T, h *env, m *unreliableStore) {
		m.writing.Store(new(keystore.ErrDeclined))
		_, err := h.visit(t).Login(t.Context(), h.ofMachine("work"), h.willing(t))
		wantError(t, err, protocol.KeystoreUnavailable)
		written := m.written.Load()
		time.Sleep(2 * time.Hour)
		if _, err := h.token(t, "work"); err != nil {
			t.Error(err)
		}
		if n := m.written.Load() - written; n != 0 {
			t.Errorf("it was asked %d times in two hours", n)
		}
		if s := h.statusOf(t, "work"); !s.Degraded {
			t.Errorf("status: %+v", s)
		}
		_, err = h.visit(t).Login(t.Context(), protocol.LoginParams{Profile: "work"}, unasked(t))
		wantError(t, err, protocol.KeystoreUnavailable)
		if n := m.written.Load() - written; n != 1 {
			t.Errorf("a login asked %d times, want once", n)
		}
		m.writing.Store(nil)
		if err := h.visit(t).Call(t.Context(), protocol.MethodUnlock, nil, nil); err != nil {
			t.Fatal(err)
		}
		if s := h.statusOf(t, "work"); s.Degraded {
			t.Errorf("after groat unlock: %+v", s)
		}
	})
}

// groatd stops while something is in its memory only: it is tried a last time.
func TestWhatIsHeldIsStoredAtTheEnd(t *testing.T) {
	withUnreliableStore(t, func(t *testing.T, h *env, m *unreliableStore) {
		m.writing.Store(new(errors.Join(keystore.ErrUnavailable)))
		_, err := h.visit(t).Login(t.Context(), h.ofMachine("work"), h.willing(t))
		wantError(t, err, protocol.KeystoreUnavailable)
		m.writing.Store(nil)
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i := stored(t, m, "work"); i.ClientID == "" {
			t.Error("nothing is stored")
		}
	})
}

// The same client, typed again: what is in memory only is not taken for stored.
func TestTheSameClientAgainIsStored(t *testing.T) {
	withUnreliableStore(t, func(t *testing.T, h *env, m *unreliableStore) {
		m.writing.Store(new(keystore.ErrDeclined))
		for range 2 {
			_, err := h.visit(t).Login(t.Context(), h.ofMachine("work"), h.willing(t))
			wantError(t, err, protocol.KeystoreUnavailable)
		}
		m.writing.Store(nil)
		h.signIn(t, h.ofMachine("work"))
		if i := stored(t, m, "work"); i.ClientID == "" {
			t.Error("nothing is stored")
		}
		if s := h.statusOf(t, "work"); s.Degraded {
			t.Errorf("status: %+v", s)
		}
	})
}
