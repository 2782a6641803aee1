package keystore

import (
	"context"
	"errors"
	"testing"
)

// each is a store that refuses by profile.
type each struct {
	Memory
	refuse map[string]error
	asked  map[string]int
}

func (e *each) Set(ctx context.Context, profile string, item Item) error {
	e.asked[profile]++
	if err := e.refuse[profile]; err != nil {
		return err
	}
	return e.Memory.Set(ctx, profile, item)
}

func itemOf(client string) Item {
	return Item{Issuer: "https://a.example", TokenEndpoint: "https://a.example/token", ClientID: client, ClientSecret: SecretString("dummy")}
}

func TestAHolderRetries(t *testing.T) {
	below := &each{asked: map[string]int{}, refuse: map[string]error{"big": ErrTooBig, "asked": ErrDeclined, "full": ErrUnavailable}}
	h := &Holder{Store: below}
	for profile := range below.refuse {
		h.Keep(t.Context(), profile, itemOf(profile))
	}
	delete(below.refuse, "full")
	h.RetryAll(t.Context(), false)
	if h.Held("full") != nil || !errors.Is(h.Held("big"), ErrTooBig) || below.asked["asked"] != 1 || !h.Unstored() {
		t.Errorf("%v, %v, asked %v", h.Held("full"), h.Held("big"), below.asked)
	}
	delete(below.refuse, "big")
	delete(below.refuse, "asked")
	h.RetryAll(t.Context(), false)
	if got, err := h.Get(t.Context(), "asked"); err != nil || got.ClientID != "asked" || below.asked["asked"] != 1 {
		t.Errorf("what was declined is held: %v, asked %d times", err, below.asked["asked"])
	}
	below.Memory.Set(t.Context(), "late", itemOf("late"))
	below.refuse["late"] = ErrDeclined
	h.Keep(t.Context(), "late", itemOf("late"))
	if h.RetryAll(t.Context(), false); h.Held("late") != nil || h.Held("asked") == nil || below.asked["late"] != 1 {
		t.Errorf("who agreed late is not believed: %v, %v", h.Held("late"), h.Held("asked"))
	}
	delete(below.refuse, "late")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if h.RetryAll(over, true); h.Held("asked") == nil {
		t.Error("it went on after its time")
	}
	if h.RetryAll(t.Context(), true); h.Held("asked") != nil {
		t.Error("a person's retry did not ask")
	}
	if err := h.Retry(t.Context(), "asked"); err != nil || below.asked["asked"] != 2 {
		t.Errorf("nothing is held: %v, asked %d times", err, below.asked["asked"])
	}
}
