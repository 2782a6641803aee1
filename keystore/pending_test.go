package keystore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// fullStore is a store that takes nothing while it is full.
type fullStore struct {
	Memory
	full bool
}

func (f *fullStore) Set(ctx context.Context, profile string, item Item) error {
	if f.full {
		return ErrUnavailable
	}
	return f.Memory.Set(ctx, profile, item)
}

func TestPendingStoreLosesNothing(t *testing.T) {
	ctx := t.Context()
	below := &fullStore{}
	h := &PendingStore{Store: below}
	first := Item{Issuer: "https://a.example", TokenEndpoint: "https://a.example/token", ClientID: "c",
		Grant: "device_code", RefreshToken: SecretString("rt-1")}
	second := first
	second.RefreshToken = SecretString("rt-2")
	if err := h.SetOrHold(ctx, "p", first); err != nil || h.PendingError("p") != nil {
		t.Fatalf("%v, %v", err, h.PendingError("p"))
	}

	below.full = true
	if err := h.SetOrHold(ctx, "p", second); !errors.Is(err, ErrUnavailable) ||
		!errors.Is(h.PendingError("p"), ErrUnavailable) {
		t.Fatalf("%v, %v", err, h.PendingError("p"))
	}
	for range 2 {
		got, err := h.Get(ctx, "p")
		if err != nil || !got.Equal(second) {
			t.Fatalf("the held item: %v", err)
		}
		got.Wipe() // the caller's copy
	}
	if got, err := below.Get(ctx, "p"); err != nil || !got.Equal(first) {
		t.Errorf("the store: %v", err)
	}

	below.full = false
	if got, err := h.Get(ctx, "p"); err != nil || !got.Equal(second) || h.PendingError("p") != nil {
		t.Errorf("after it healed: %v, %v", err, h.PendingError("p"))
	}
	if got, err := below.Get(ctx, "p"); err != nil || !got.Equal(second) {
		t.Errorf("the store after it healed: %v", err)
	}

	below.full = true
	h.SetOrHold(ctx, "p", first)
	below.full = false
	if err := h.Set(ctx, "p", second); err != nil || h.PendingError("p") != nil {
		t.Errorf("Set does not end the holding: %v", h.PendingError("p"))
	}
	below.full = true
	h.SetOrHold(ctx, "p", first)
	if err := h.Delete(ctx, "p"); err != nil || h.PendingError("p") != nil {
		t.Errorf("Delete does not end the holding: %v", h.PendingError("p"))
	}
	if _, err := h.Get(ctx, "p"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
}

// gatedStore is a store whose next Set waits until open is closed.
type gatedStore struct {
	Memory
	entered, open chan struct{}
}

func (g *gatedStore) Set(ctx context.Context, profile string, item Item) error {
	if g.entered != nil {
		close(g.entered)
		g.entered = nil
		<-g.open
	}
	return g.Memory.Set(ctx, profile, item)
}

func TestALateRotationOverwritesNothingNewer(t *testing.T) {
	ctx := t.Context()
	session := func(token string) Item {
		return Item{Issuer: "https://a.example", TokenEndpoint: "https://a.example/token", ClientID: "c",
			Grant: "device_code", RefreshToken: SecretString(token)}
	}
	stored := func(h *PendingStore) string {
		item, err := h.Get(ctx, "p")
		if errors.Is(err, ErrNotFound) {
			return "nothing"
		}
		if err != nil {
			t.Fatal(err)
		}
		return item.RefreshToken.Reveal()
	}
	h := &PendingStore{Store: &Memory{}}
	h.Set(ctx, "p", session("alice-1"))
	if err := h.Rotate(ctx, "p", SecretString("alice-1"), session("alice-2")); err != nil || stored(h) != "alice-2" {
		t.Errorf("a rotation: %v, %s", err, stored(h))
	}
	h.Set(ctx, "p", session("bob-1")) // Bob signs in while Alice's renewal is on its way
	if err := h.Rotate(ctx, "p", SecretString("alice-2"), session("alice-3")); err != nil || stored(h) != "bob-1" {
		t.Errorf("after another sign-in: %v, %s", err, stored(h))
	}
	h.Delete(ctx, "p")
	if err := h.Rotate(ctx, "p", SecretString("bob-1"), session("bob-2")); err != nil || stored(h) != "nothing" {
		t.Errorf("after a sign-out: %v, %s", err, stored(h))
	}

	g := &gatedStore{entered: make(chan struct{}), open: make(chan struct{})}
	entered := g.entered
	h = &PendingStore{Store: g}
	done := make(chan error, 1)
	go func() { done <- h.SetOrHold(ctx, "p", session("v1")) }() // an old one, on its way to a slow store
	<-entered
	go func() { done <- h.SetOrHold(ctx, "p", session("v2")) }()
	close(g.open)
	if err := errors.Join(<-done, <-done); err != nil || stored(h) != "v2" {
		t.Errorf("writes out of turn: %v, %s", err, stored(h))
	}
}

// A held item is marked as sent only once it is stored; until then the store would not take the answer either.
func TestPendingStoreMarksOnlyStoredItems(t *testing.T) {
	ctx := t.Context()
	below := &fullStore{}
	h := &PendingStore{Store: below}
	session := Item{ClientID: "c", Grant: "device_code", RefreshToken: SecretString("rt-1")}
	want := func(doubt, noted error, open int) {
		t.Helper()
		got, err := h.MarkSent(ctx, "p")
		if !errors.Is(got, doubt) || !errors.Is(err, noted) {
			t.Errorf("presented: %v, %v; want %v, %v", got, err, doubt, noted)
		}
		if names, err := h.InDoubt(ctx); len(names) != open || err != nil {
			t.Errorf("unsettled: %v, %v; want %d", names, err, open)
		}
	}
	want(nil, ErrNotFound, 0)
	h.SetOrHold(ctx, "p", session)
	want(nil, nil, 1)
	want(ErrUnanswered, nil, 1)
	below.full = true
	session.RefreshToken = SecretString("rt-2")
	h.Rotate(ctx, "p", SecretString("rt-1"), session)
	want(nil, ErrUnavailable, 1)
	below.full = false
	want(nil, nil, 1)
	if err := h.MarkAnswered(ctx, "p"); err != nil {
		t.Error(err)
	}
	want(nil, nil, 1)
	if err := h.Delete(ctx, "p"); err != nil {
		t.Error(err)
	}
	want(nil, ErrNotFound, 0)
}

// stuckStore is a store that takes long to refuse an item.
type stuckStore struct {
	Memory
	entered, wake chan struct{}
}

func (s *stuckStore) Set(ctx context.Context, profile string, item Item) error {
	if s.entered == nil {
		return s.Memory.Set(ctx, profile, item)
	}
	close(s.entered)
	s.entered = nil
	<-s.wake
	return ErrUnavailable
}

// What is held can be read while another call tries to store it.
func TestPendingStoreReadsWhileItWrites(t *testing.T) {
	below := &stuckStore{entered: make(chan struct{}), wake: make(chan struct{})}
	h := &PendingStore{Store: below}
	entered := below.entered
	close(below.wake)
	if err := h.SetOrHold(t.Context(), "p", itemOf("1")); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	<-entered
	entered, below.wake = make(chan struct{}), make(chan struct{})
	below.entered = entered
	over := make(chan error, 1)
	go func() { over <- h.Retry(t.Context(), "p") }()
	<-entered
	read := make(chan error, 1)
	go func() {
		got, err := h.Get(t.Context(), "p")
		if err == nil && !got.Equal(itemOf("1")) {
			err = errors.New("another item")
		}
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("a read waits for a write")
	}
	close(below.wake)
	if err := <-over; !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// refusingStore is a store that refuses by profile.
type refusingStore struct {
	Memory
	refuse map[string]error
	asked  map[string]int
}

func (e *refusingStore) Set(ctx context.Context, profile string, item Item) error {
	e.asked[profile]++
	if err := e.refuse[profile]; err != nil {
		return err
	}
	return e.Memory.Set(ctx, profile, item)
}

func itemOf(client string) Item {
	return Item{Issuer: "https://a.example", TokenEndpoint: "https://a.example/token", ClientID: client,
		ClientSecret: SecretString("dummy")}
}

func TestPendingStoreRetries(t *testing.T) {
	below := &refusingStore{asked: map[string]int{},
		refuse: map[string]error{"big": ErrTooBig, "asked": ErrDeclined, "full": ErrUnavailable}}
	h := &PendingStore{Store: below}
	for profile := range below.refuse {
		h.SetOrHold(t.Context(), profile, itemOf(profile))
	}
	delete(below.refuse, "full")
	h.RetryAll(t.Context(), false)
	if h.PendingError("full") != nil || !errors.Is(h.PendingError("big"), ErrTooBig) || below.asked["asked"] != 1 ||
		!h.HasPending() {
		t.Errorf("%v, %v, asked %v", h.PendingError("full"), h.PendingError("big"), below.asked)
	}
	delete(below.refuse, "big")
	delete(below.refuse, "asked")
	h.RetryAll(t.Context(), false)
	if got, err := h.Get(t.Context(), "asked"); err != nil || got.ClientID != "asked" || below.asked["asked"] != 1 {
		t.Errorf("what was declined is held: %v, asked %d times", err, below.asked["asked"])
	}
	below.Memory.Set(t.Context(), "late", itemOf("late"))
	below.refuse["late"] = ErrDeclined
	h.SetOrHold(t.Context(), "late", itemOf("late"))
	if h.RetryAll(t.Context(), false); h.PendingError("late") != nil || h.PendingError("asked") == nil ||
		below.asked["late"] != 1 {
		t.Errorf("who agreed late is not believed: %v, %v", h.PendingError("late"), h.PendingError("asked"))
	}
	delete(below.refuse, "late")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if h.RetryAll(over, true); h.PendingError("asked") == nil {
		t.Error("it went on after its time")
	}
	if h.RetryAll(t.Context(), true); h.PendingError("asked") != nil {
		t.Error("a person's retry did not ask")
	}
	if err := h.Retry(t.Context(), "asked"); err != nil || below.asked["asked"] != 2 {
		t.Errorf("nothing is held: %v, asked %d times", err, below.asked["asked"])
	}
}

// An item that must not be lost waits for a write that hangs longer than its own caller does. Then it is stored, or
// where that takes the caller's context, held.
func TestAnItemOutlivesItsCaller(t *testing.T) {
	for name, put := range map[string]func(s *PendingStore, ctx context.Context) error{
		"SetOrHold": func(s *PendingStore, ctx context.Context) error { return s.SetOrHold(ctx, "p", itemOf("2")) },
		"Rotate": func(s *PendingStore, ctx context.Context) error {
			return s.Rotate(ctx, "p", itemOf("1").RefreshToken, itemOf("2"))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			below := &contextStore{}
			s := &PendingStore{Store: below}
			if err := s.Set(t.Context(), "p", itemOf("1")); err != nil {
				t.Fatal(err)
			}
			unlock, err := s.lock(t.Context(), "p")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- put(s, ctx) }()
			time.Sleep(2 * lockLimit)
			unlock()
			if err := <-result; !errors.Is(err, context.DeadlineExceeded) || s.PendingError("p") == nil {
				t.Errorf("%s: %v, held because of %v", name, err, s.PendingError("p"))
			}
			if got, err := s.Get(t.Context(), "p"); err != nil || !got.Equal(itemOf("2")) || s.HasPending() {
				t.Errorf("%s: %+v, %v, pending %v", name, got, err, s.HasPending())
			}
		})
	}
}

// contextStore is a store that stores nothing once its caller's context has ended.
type contextStore struct{ Memory }

func (s *contextStore) Set(ctx context.Context, profile string, item Item) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.Memory.Set(ctx, profile, item)
}
