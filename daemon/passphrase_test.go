package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/daemon/throttle"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// passphraseStore is a keystore with a passphrase. It notes when each was tried.
type passphraseStore struct {
	memory
	right string
	mu    sync.Mutex
	tried []time.Time
	open  bool
}

func (s *passphraseStore) Status(context.Context) keystore.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := map[bool]string{true: "ok", false: "locked"}[s.open]
	return keystore.Status{Use: "sealed", Key: "passphrase", State: state}
}

func (s *passphraseStore) Unlock(_ context.Context, passphrase keystore.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = append(s.tried, time.Now())
	if string(passphrase.Reveal()) != s.right {
		return keystore.ErrLocked
	}
	s.open = true
	return nil
}

func (s *passphraseStore) Use(ctx context.Context, _, _ string, passphrase keystore.Secret) error {
	return s.Unlock(ctx, passphrase)
}

func (s *passphraseStore) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tried)
}

// withPassphrase runs f in a bubble with an env whose keystore has the passphrase "right".
func withPassphrase(t *testing.T, f func(t *testing.T, h *env, s *passphraseStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &passphraseStore{memory: memory{&keystore.Memory{}}, right: "right"}
		f(t, newBubbleEnv(t, sandbox.Options{}, s), s)
	})
}

// guess tries a passphrase on a connection of its own, and returns how long that took.
func (h *env) guess(t *testing.T, method, passphrase string) (time.Duration, error) {
	t.Helper()
	params := map[string]string{}
	if passphrase != "" {
		params["passphrase"] = passphrase
	}
	if method == protocol.MethodKeystore {
		params["use"], params["key"] = "sealed", "passphrase"
	}
	begin := time.Now()
	err := h.visit(t).Call(t.Context(), method, params, nil)
	return time.Since(begin), err
}

// The thousandth wrong passphrase is slow to be refused, by either method, and a request for something else
// does not wait meanwhile.
func TestA40WrongPassphrases(t *testing.T) {
	withPassphrase(t, func(t *testing.T, h *env, s *passphraseStore) {
		h.signIn(t, h.ofMachine("work"))
		methods := []string{protocol.MethodUnlock, protocol.MethodKeystore}
		begin := time.Now()
		for i := range 1000 {
			refused := make(chan error, 1)
			took := make(chan time.Duration, 1)
			go func() {
				d, err := h.guess(t, methods[i%2], "wrong")
				took <- d
				refused <- err
			}()
			synctest.Wait() // it waits now
			asked := time.Now()
			if i%100 == 0 {
				if _, err := h.token(t, "work"); err != nil {
					t.Error(err)
				}
			}
			if d, err := h.guess(t, protocol.MethodUnlock, ""); d != 0 || err == nil {
				t.Errorf("without a passphrase: %v, %v", d, err)
			}
			if d := time.Since(asked); d != 0 {
				t.Errorf("others waited for %v", d)
			}
			if d := <-took; d != min(throttle.FirstDelay<<min(i, 10), throttle.LastDelay) {
				t.Errorf("wrong passphrase %d took %v", i+1, d)
			}
			wantError(t, <-refused, protocol.Locked)
		}
		if d := time.Since(begin); d < 990*throttle.LastDelay {
			t.Errorf("a thousand took %v", d)
		}
		if d, err := h.guess(t, protocol.MethodUnlock, "right"); d != 0 || err != nil {
			t.Errorf("the right one: %v, %v", d, err)
		}
		d, err := h.guess(t, protocol.MethodUnlock, "wrong")
		if e := wantError(t, err, protocol.Config); d != throttle.FirstDelay ||
			e.Message != "the keystore is unlocked already, and its passphrase is another one" {
			t.Errorf("the first wrong one after it took %v: %v", d, err)
		}
	})
}

// Many connections, and hanging up before the answer, make it no faster. A person's right one is taken all the same.
func TestA40WrongPassphrasesAtOnce(t *testing.T) {
	withPassphrase(t, func(t *testing.T, h *env, s *passphraseStore) {
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				c := h.visit(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if i%2 == 0 {
					ctx = t.Context() // and the others hang up
				}
				err := c.Call(ctx, protocol.MethodUnlock, map[string]string{"passphrase": "wrong"}, nil)
				if e, ok := errors.AsType[*protocol.Error](err); ok && e.Kind() != protocol.Locked &&
					e.Kind() != protocol.Temporary {
					t.Error(err)
				}
			})
		}
		all.Wait()
		took := time.Since(begin)
		if took > protocol.DefaultWait+throttle.LastDelay {
			t.Errorf("the last was answered after %v", took)
		}
		time.Sleep(throttle.LastDelay)
		if n := s.tries(); n < 5 || n > 10 {
			t.Errorf("%d were tried in %v", n, took+throttle.LastDelay)
		}
		if _, err := h.guess(t, protocol.MethodUnlock, "right"); err != nil {
			t.Error(err)
		}
	})
}

// passphraseRecorder keeps the passphrases that it is lent, which it must not, and how long each was.
type passphraseRecorder struct {
	memory
	fails error
	lent  []keystore.Secret
	long  []int
}

func (l *passphraseRecorder) Use(_ context.Context, _, _ string, passphrase keystore.Secret) error {
	return l.Unlock(context.Background(), passphrase)
}

func (l *passphraseRecorder) Unlock(_ context.Context, passphrase keystore.Secret) error {
	l.lent, l.long = append(l.lent, passphrase), append(l.long, passphrase.Len())
	return l.fails
}

// A passphrase is gone from memory when the answer is there, whatever the answer is.
func TestPassphraseIsWiped(t *testing.T) {
	for _, fails := range []error{nil, fmt.Errorf("%w: not that one", keystore.ErrLocked)} {
		store := &passphraseRecorder{memory: memory{&keystore.Memory{}}, fails: fails}
		h := newEnvWith(t, sandbox.Options{}, store)
		for method, params := range map[string]any{
			protocol.MethodKeystore: map[string]string{"use": "sealed", "key": "passphrase",
				"passphrase": "correct horse"},
			protocol.MethodUnlock: map[string]string{"passphrase": "correct horse"},
		} {
			if err := h.client(t).Call(t.Context(), method, params, nil); (err == nil) != (fails == nil) {
				t.Errorf("%s: %v, want %v", method, err, fails)
			}
		}
		if len(store.lent) != 2 {
			t.Fatalf("%d passphrases arrived, want 2", len(store.lent))
		}
		for i, s := range store.lent {
			if store.long[i] != len("correct horse") || !s.IsZero() {
				t.Errorf("of %d bytes, %d are left", store.long[i], s.Len())
			}
		}
	}
}
