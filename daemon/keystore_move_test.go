package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/groat-dev/groat/daemon/grant/sandbox"
	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// slowMoveStore is a keystore whose moves take their time.
type slowMoveStore struct {
	faultyStore
	moving  chan struct{} // closed when one has begun
	release chan struct{} // until this is closed
	moves   int
	fails   error
}

func (m *slowMoveStore) Move(context.Context, string, string, keystore.Secret) error {
	m.moves++
	if m.moving != nil {
		close(m.moving)
		<-m.release
	}
	return m.fails
}

func (m *slowMoveStore) Use(context.Context, string, string, keystore.Secret) error { return m.fails }

func (m *slowMoveStore) Passphrase(ctx context.Context, _, _ keystore.Secret) error {
	return m.Move(ctx, "", "", keystore.Secret{})
}

// While credentials are moved no refresh token is sent; held tokens are served, and who needs another one waits.
func TestL21NoRenewalDuringAMove(t *testing.T) {
	for _, params := range []map[string]string{
		{"move": "keychain"}, {"change": "passphrase", "passphrase": "correct horse",
			"new_passphrase": "vellum otter crane seven"},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &slowMoveStore{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}},
				moving:  make(chan struct{}),
				release: make(chan struct{})}
			h := newBubbleEnv(t, sandbox.Options{}, store)
			h.signIn(t, h.ofDevice("p"))
			moved := make(chan error, 1)
			c := h.visit(t)
			go func() { moved <- c.Call(t.Context(), protocol.MethodKeystore, params, nil) }()
			<-store.moving
			before := h.renewals()
			if !h.holds("p") {
				t.Error("what is held is not served")
			}
			time.Sleep(14 * time.Minute) // the renewal is long due
			synctest.Wait()
			if n := h.renewals() - before; n != 0 {
				t.Errorf("%d requests during the move", n)
			}
			close(store.release)
			if err := <-moved; err != nil {
				t.Fatal(err)
			}
			if _, err := h.token(t, "p"); err != nil {
				t.Error(err)
			}
			if n := h.renewals() - before; n == 0 {
				t.Error("no renewal after it")
			}
		})
	}
}

// What is in groatd's memory only cannot be moved: it is stored first, or named.
func TestL22WhatIsNotStoredStopsAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowMoveStore{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}}}
		h := newBubbleEnv(t, sandbox.Options{}, store)
		h.signIn(t, h.ofMachine("p"))
		store.unwritable.Store(true)
		item := stored(t, &store.faultyStore, "p")
		item.ClientSecret = keystore.SecretString(clientSecret)
		if err := h.stores.Kept.SetOrHold(t.Context(), "p", item); err == nil {
			t.Fatal("it was stored")
		}
		move := func() error {
			return h.visit(t).Call(t.Context(), protocol.MethodKeystore,
				map[string]string{"move": "sealed", "key": "file"}, nil)
		}
		wantError(t, move(), protocol.KeystoreUnavailable)
		if store.moves != 0 {
			t.Error("it was moved without it")
		}
		store.unwritable.Store(false)
		if err := move(); err != nil || store.moves != 1 {
			t.Errorf("%d moves, %v", store.moves, err)
		}
	})
}

// Each refusal has a command that leads on, and a request that says two things is refused.
func TestL23WhatAMoveIsRefusedWith(t *testing.T) {
	store := &slowMoveStore{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}}}
	h := newEnvWith(t, sandbox.Options{}, store)
	call := func(params map[string]string) error {
		return h.client(t).Call(t.Context(), protocol.MethodKeystore, params, nil)
	}
	for _, params := range []map[string]string{
		{"use": "memory", "move": "sealed"}, {"move": "sealed", "change": "passphrase"},
		{"change": "name", "passphrase": "a", "new_passphrase": "b"},
		{"change": "passphrase", "passphrase": "a"}, {"change": "passphrase", "new_passphrase": "b"},
		{"change": "passphrase", "passphrase": "a", "new_passphrase": "a"},
		{"new_passphrase": "b"}, {"use": "memory", "new_passphrase": "b"},
	} {
		e, ok := errors.AsType[*protocol.Error](call(params))
		if !ok || e.Code != protocol.CodeInvalidParams || store.moves != 0 {
			t.Errorf("%v: %v, %d moves", params, e, store.moves)
		}
	}
	store.fails = keystore.ErrLocked
	if e := wantError(t, call(map[string]string{"change": "passphrase", "passphrase": "a", "new_passphrase": "b"}),
		protocol.Locked); e.Hint() != "groat keystore passphrase" {
		t.Errorf("hint %q", e.Hint())
	}
	store.fails = keystore.ErrUnavailable // the file's key would be in a keychain that cannot be used
	for _, verb := range []string{"use", "move"} {
		e := wantError(t, call(map[string]string{verb: "sealed"}), protocol.KeystoreUnavailable)
		if want := "groat keystore " + verb + " sealed --passphrase"; e.Hint() != want {
			t.Errorf("%s: hint %q, want %q", verb, e.Hint(), want)
		}
	}
	left := &keystore.LeftBehind{Profile: "p", In: "sealed", Move: "groat keystore move keychain"}
	if e := h.wireKeystore(left); e.Kind() != protocol.Config || e.Hint() != left.Move {
		t.Errorf("%v, %q", e, e.Hint())
	}
}

// A move to the sealed file in use with another passphrase says that it is there already.
func TestAMoveToWhereTheCredentialsAre(t *testing.T) {
	store := &slowMoveStore{faultyStore: faultyStore{memory: memory{&keystore.Memory{}}}, fails: keystore.ErrLocked}
	h := newEnvWith(t, sandbox.Options{}, sealedMover{store})
	e := wantError(t, h.client(t).Call(t.Context(), protocol.MethodKeystore,
		map[string]string{"move": "sealed", "key": "passphrase", "passphrase": "a"}, nil), protocol.Locked)
	if !strings.Contains(e.Message, "in a sealed file with a passphrase already") ||
		e.Hint() != "groat keystore passphrase" {
		t.Errorf("%s, %s", e.Message, e.Hint())
	}
}

// sealedMover is a slowMoveStore that says it is a sealed file with a passphrase.
type sealedMover struct{ *slowMoveStore }

func (sealedMover) Status(context.Context) keystore.Status {
	return keystore.Status{Use: "sealed", Key: "passphrase", State: "ok"}
}
