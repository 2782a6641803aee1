package keystore

import (
	"context"
	"errors"
	"testing"
)

// full is a store that takes nothing while it is full.
type full struct {
	Memory
	full bool
}

func (f *full) Set(ctx context.Context, profile string, item Item) error {
	if f.full {
		return ErrUnavailable
	}
	return f.Memory.Set(ctx, profile, item)
}

func TestAHolderLosesNothing(t *testing.T) {
	ctx := t.Context()
	below := &full{}
	h := &Holder{Store: below}
	first := Item{Issuer: "https://a.example", TokenEndpoint: "https://a.example/token", ClientID: "c", Grant: "device_code", RefreshToken: SecretString("rt-1")}
	second := first
	second.RefreshToken = SecretString("rt-2")
	if err := h.Keep(ctx, "p", first); err != nil || h.Held("p") != nil {
		t.Fatalf("%v, %v", err, h.Held("p"))
	}

	below.full = true
	if err := h.Keep(ctx, "p", second); !errors.Is(err, ErrUnavailable) || !errors.Is(h.Held("p"), ErrUnavailable) {
		t.Fatalf("%v, %v", err, h.Held("p"))
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
	if got, err := h.Get(ctx, "p"); err != nil || !got.Equal(second) || h.Held("p") != nil {
		t.Errorf("after it healed: %v, %v", err, h.Held("p"))
	}
	if got, err := below.Get(ctx, "p"); err != nil || !got.Equal(second) {
		t.Errorf("the store after it healed: %v", err)
	}

	below.full = true
	h.Keep(ctx, "p", first)
	below.full = false
	if err := h.Set(ctx, "p", second); err != nil || h.Held("p") != nil {
		t.Errorf("Set does not end the holding: %v", h.Held("p"))
	}
	below.full = true
	h.Keep(ctx, "p", first)
	if err := h.Delete(ctx, "p"); err != nil || h.Held("p") != nil {
		t.Errorf("Delete does not end the holding: %v", h.Held("p"))
	}
	if _, err := h.Get(ctx, "p"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
}
