package keystore

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Holder is a [Rotator] that does not lose what another store could not take: a client secret that was shown once, a refresh
// token whose predecessor is void. It holds such an item in memory, hands it out, and tries to store it again each time,
// unless a person may have declined it.
// Writes of one profile take turns. It is safe for concurrent use.
type Holder struct {
	Store Rotator

	mu      sync.Mutex
	held    map[string]held        // :: profile → what the store does not have
	writing map[string]*sync.Mutex // :: profile → the turn of whoever writes it
}

var _ Rotator = (*Holder)(nil)

type held struct {
	item Item
	err  error // why
}

// turn waits for the turn to write a profile and returns what ends it.
func (h *Holder) turn(profile string) (end func()) {
	m := h.turnOf(profile)
	m.Lock()
	return m.Unlock
}

func (h *Holder) turnOf(profile string) *sync.Mutex {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writing == nil {
		h.writing = map[string]*sync.Mutex{}
	}
	m := h.writing[profile]
	if m == nil {
		m = new(sync.Mutex)
		h.writing[profile] = m
	}
	return m
}

// Keep stores an item, or holds it and returns why it could not be stored.
func (h *Holder) Keep(ctx context.Context, profile string, item Item) error {
	defer h.turn(profile)()
	return h.keep(ctx, profile, item)
}

func (h *Holder) keep(ctx context.Context, profile string, item Item) error {
	err := h.Store.Set(ctx, profile, item)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[profile].item.Wipe()
	delete(h.held, profile)
	if err != nil {
		if h.held == nil {
			h.held = map[string]held{}
		}
		h.held[profile] = held{item.Clone(), err}
	}
	return err
}

// Rotate is Keep for a session whose refresh token was used up: item takes the place of the one that holds presented. Where
// another is there by now, or none, somebody has signed in or out meanwhile, and nothing changes.
func (h *Holder) Rotate(ctx context.Context, profile string, presented Secret, item Item) error {
	defer h.turn(profile)()
	now, err := h.newest(ctx, profile)
	defer func() { now.Wipe() }()
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !now.RefreshToken.Equal(presented):
		return nil
	}
	return h.keep(ctx, profile, item) // a store that cannot be read may still be written; if not, the item is held
}

// newest returns what is held, else what is stored.
func (h *Holder) newest(ctx context.Context, profile string) (Item, error) {
	h.mu.Lock()
	item, holding := h.held[profile].item.Clone(), h.held[profile].err != nil
	h.mu.Unlock()
	if holding {
		return item, nil
	}
	return h.Store.Get(ctx, profile)
}

// Held returns why a profile's newest item is in memory only, or nil where it is not.
func (h *Holder) Held(profile string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[profile].err
}

// Get implements [Store]: what is held comes first, for it is newer, and is tried to be stored unless somebody writes already:
// a read waits for no other's write.
func (h *Holder) Get(ctx context.Context, profile string) (Item, error) {
	if h.Held(profile) == nil {
		return h.Store.Get(ctx, profile)
	}
	turn := h.turnOf(profile)
	free := turn.TryLock()
	if free {
		defer turn.Unlock()
	}
	item, err := h.newest(ctx, profile)
	if err == nil && free {
		h.retry(ctx, profile)
	}
	return item, err
}

// retry tries to store what is held, and returns why it still is. What was declined is left to [Holder.Retry].
func (h *Holder) retry(ctx context.Context, profile string) error {
	if why := h.Held(profile); why == nil || errors.Is(why, ErrDeclined) {
		return why
	}
	return h.insist(ctx, profile)
}

// Set implements [Store]. What was held is void once it succeeds.
func (h *Holder) Set(ctx context.Context, profile string, item Item) error {
	defer h.turn(profile)()
	err := h.Store.Set(ctx, profile, item)
	if err == nil {
		h.drop(profile)
	}
	return err
}

// Delete implements [Store].
func (h *Holder) Delete(ctx context.Context, profile string) error {
	defer h.turn(profile)()
	err := h.Store.Delete(ctx, profile)
	if err == nil {
		h.drop(profile)
	}
	return err
}

func (h *Holder) drop(profile string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[profile].item.Wipe()
	delete(h.held, profile)
}

// Probe implements [Store].
func (h *Holder) Probe(ctx context.Context) error { return h.Store.Probe(ctx) }

// Present implements [Rotator]. Where the newest item is held, it is tried to be stored first; err is why it still could not
// be, for neither could the answer, and nothing is noted.
func (h *Holder) Present(ctx context.Context, profile string) (doubt, err error) {
	defer h.turn(profile)()
	if err := h.retry(ctx, profile); err != nil {
		return nil, fmt.Errorf("what the server answers could not be stored: %w", err)
	}
	return h.Store.Present(ctx, profile)
}

// Settle implements [Rotator].
func (h *Holder) Settle(ctx context.Context, profile string) error {
	defer h.turn(profile)()
	return h.Store.Settle(ctx, profile)
}

// Unsettled implements [Rotator]: what the store knows, for what is held has an answer behind it.
func (h *Holder) Unsettled(ctx context.Context) ([]string, error) { return h.Store.Unsettled(ctx) }
