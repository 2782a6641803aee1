package keystore

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Unstored reports whether anything is held.
func (h *Holder) Unstored() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held) > 0
}

// Retry tries to store what is held of a profile, and returns why it still is. It is for when a person waits: what was
// declined before is asked again.
func (h *Holder) Retry(ctx context.Context, profile string) error {
	defer h.turn(profile)()
	return h.insist(ctx, profile)
}

// RetryAll tries to store what is held, one profile after another. What a person may have declined is written again only where
// declined is set; else it is looked whether the person has agreed since. It returns when everything was tried once, or when
// ctx ends.
func (h *Holder) RetryAll(ctx context.Context, declined bool) {
	h.mu.Lock()
	profiles := slices.Collect(maps.Keys(h.held))
	h.mu.Unlock()
	for _, profile := range profiles {
		switch {
		case ctx.Err() != nil:
			return
		case !declined && errors.Is(h.Held(profile), ErrDeclined):
			h.look(ctx, profile)
		default:
			h.Retry(ctx, profile)
		}
	}
}

// look drops what is held where it has been stored after all.
func (h *Holder) look(ctx context.Context, profile string) {
	defer h.turn(profile)()
	stored, err := h.Store.Get(ctx, profile)
	if err != nil {
		return
	}
	defer stored.Wipe()
	h.mu.Lock()
	same := h.held[profile].item.Equal(stored)
	h.mu.Unlock()
	if same {
		h.drop(profile)
	}
}

// insist tries to store what is held. The profile's turn is held.
func (h *Holder) insist(ctx context.Context, profile string) error {
	h.mu.Lock()
	item, holding := h.held[profile].item.Clone(), h.held[profile].err != nil
	h.mu.Unlock()
	defer item.Wipe()
	if !holding {
		return nil
	}
	return h.keep(ctx, profile, item)
}
