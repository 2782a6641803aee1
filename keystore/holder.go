package keystore

import (
	"context"
	"sync"
)

// Holder is a [Store] that does not lose what another store could not take: a client secret that was shown once, a refresh
// token whose predecessor is void. It holds such an item in memory, hands it out, and tries to store it again each time.
// It is safe for concurrent use.
type Holder struct {
	Store

	mu   sync.Mutex
	held map[string]held // :: profile → what the store does not have
}

type held struct {
	item Item
	err  error // why
}

// Keep stores an item, or holds it and returns why it could not be stored.
func (h *Holder) Keep(ctx context.Context, profile string, item Item) error {
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

// Held returns why a profile's newest item is in memory only, or nil where it is not.
func (h *Holder) Held(profile string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held[profile].err
}

// Get implements [Store]: what is held comes first, for it is newer.
func (h *Holder) Get(ctx context.Context, profile string) (Item, error) {
	h.mu.Lock()
	item, holding := h.held[profile].item.Clone(), h.held[profile].err != nil
	h.mu.Unlock()
	if !holding {
		return h.Store.Get(ctx, profile)
	}
	h.Keep(ctx, profile, item)
	return item, nil
}

// Set implements [Store]. What was held is void once it succeeds.
func (h *Holder) Set(ctx context.Context, profile string, item Item) error {
	err := h.Store.Set(ctx, profile, item)
	if err == nil {
		h.drop(profile)
	}
	return err
}

// Delete implements [Store].
func (h *Holder) Delete(ctx context.Context, profile string) error {
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
