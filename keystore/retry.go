package keystore

import (
	"context"
	"errors"
)

// Unstored reports whether anything is held that [Holder.RetryAll] would try to store.
func (h *Holder) Unstored() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.held {
		if !errors.Is(held.err, ErrDeclined) {
			return true
		}
	}
	return false
}

// Retry tries to store what is held of a profile, and returns why it still is. It is for when a person waits: what was
// declined before is asked again.
func (h *Holder) Retry(ctx context.Context, profile string) error {
	defer h.turn(profile)()
	return h.insist(ctx, profile)
}

// RetryAll tries to store what is held, one profile after another; declined says whether also what a person may have declined.
// It returns when all is stored, when everything was tried once, or when ctx ends.
func (h *Holder) RetryAll(ctx context.Context, declined bool) {
	h.mu.Lock()
	var profiles []string
	for profile, held := range h.held {
		if declined || !errors.Is(held.err, ErrDeclined) {
			profiles = append(profiles, profile)
		}
	}
	h.mu.Unlock()
	for _, profile := range profiles {
		if ctx.Err() != nil {
			return
		}
		h.Retry(ctx, profile)
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
