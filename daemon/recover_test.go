package daemon

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// lockableStore is a keystore that may be locked, and counts how often a person is asked to open it.
type lockableStore struct {
	faultyStore
	locked  atomic.Bool
	stuck   atomic.Bool // it does not answer what it knows of sessions
	prompts atomic.Int64
}

func (l *lockableStore) Status(ctx context.Context) keystore.Status {
	if l.locked.Load() {
		return keystore.Status{Use: "sealed", State: "locked"}
	}
	return l.faultyStore.Status(ctx)
}

func (l *lockableStore) Unlock(context.Context, keystore.Secret) error {
	l.prompts.Add(1)
	l.locked.Store(false)
	return nil
}

func (l *lockableStore) Get(ctx context.Context, profile string) (keystore.Item, error) {
	if l.locked.Load() {
		return keystore.Item{}, keystore.ErrLocked
	}
	return l.faultyStore.Get(ctx, profile)
}

func (l *lockableStore) InDoubt(ctx context.Context) ([]string, error) {
	if l.stuck.Load() {
		<-ctx.Done()
		return nil, keystore.ErrUnavailable
	}
	if l.locked.Load() {
		return nil, keystore.ErrLocked
	}
	return l.faultyStore.InDoubt(ctx)
}

// interrupted runs a test in a bubble, in which an earlier daemon has sent the refresh token of profile "p" to a server
// that forgives that for 30 s, and ended before the answer came.
func interrupted(t *testing.T, test func(t *testing.T, h *env, store *lockableStore)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store := &lockableStore{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		h.signIn(t, h.ofDevice("p"))
		h.server.SetRefresh(sandbox.Refresh{Always: true, Rotate: true, Overlap: 30 * time.Second})
		h.cool("p")
		h.server.Script(h.server.TokenPath(), sandbox.Fault{Cut: sandbox.CutAfterHandling})
		_, err := h.token(t, "p")
		wantError(t, err, protocol.Temporary)
		h.stop(t)
		if names, err := store.InDoubt(t.Context()); err != nil || len(names) != 1 {
			t.Fatalf("%v, %v: nothing was interrupted", names, err)
		}
		test(t, h, store)
	})
}

// renewals counts the tokens that were asked for with a refresh token.
func (h *env) renewals() (n int) {
	for _, e := range h.server.Log() {
		if e.Refresh != "" {
			n++
		}
	}
	return n
}

// What was in doubt when a daemon ended is renewed when the next one starts, before its server's grace is over, also
// if no client asks.
func TestWhatIsInDoubtIsRenewedAtTheStart(t *testing.T) {
	interrupted(t, func(t *testing.T, h *env, store *lockableStore) {
		before := h.renewals()
		h.restart(t, store, h.HTTP)
		synctest.Wait()
		if n := h.renewals() - before; n != 1 || !h.holds("p") {
			t.Errorf("%d renewals at once; a token is there: %v", n, h.holds("p"))
		}
		time.Sleep(time.Hour)
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
	})
}

// A keystore that is locked when the daemon starts is asked again when a person opens it, and when another program
// does; no person is prompted meanwhile.
func TestWhatIsInDoubtWaitsForTheKeystore(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *env, *lockableStore){
		"D1 groat unlock": func(t *testing.T, h *env, _ *lockableStore) {
			if err := h.visit(t).Call(t.Context(), protocol.MethodUnlock, nil, nil); err != nil {
				t.Error(err)
			}
		},
		"D1 by itself": func(_ *testing.T, h *env, store *lockableStore) {
			store.locked.Store(false)
			h.lookAfterKeystore()
		},
	} {
		t.Run(name, func(t *testing.T) {
			interrupted(t, func(t *testing.T, h *env, store *lockableStore) {
				before := h.renewals()
				store.locked.Store(true)
				h.restart(t, store, h.HTTP)
				time.Sleep(10 * time.Second)
				if n := h.renewals() - before; n != 0 || store.prompts.Load() != 0 {
					t.Errorf("%d renewals and %d prompts while the keystore is locked", n, store.prompts.Load())
				}
				open(t, h, store)
				synctest.Wait()
				if n := h.renewals() - before; n != 1 || !h.holds("p") {
					t.Errorf("%d renewals when it is open; a token is there: %v", n, h.holds("p"))
				}
			})
		})
	}
}

// A keystore that does not answer delays nothing: not the start, not the callers, not the end.
func TestAStartDoesNotWaitForTheKeystore(t *testing.T) {
	interrupted(t, func(t *testing.T, h *env, store *lockableStore) {
		store.stuck.Store(true)
		begin := time.Now()
		h.restart(t, store, h.HTTP)
		if _, err := h.token(t, "p"); err != nil {
			t.Error(err)
		}
		h.stop(t)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
