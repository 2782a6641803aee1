package keystore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/groat-dev/groat/keystore"
)

func TestMemory(t *testing.T) {
	var m keystore.Memory
	ctx := t.Context()
	if _, err := m.Get(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("empty: %v", err)
	}
	mine := item()
	if err := errors.Join(m.Probe(ctx), m.Delete(ctx, "work"), m.Set(ctx, "work", mine)); err != nil {
		t.Fatal(err)
	}
	mine.ClientSecret.Wipe() // the store's copy is its own
	first, err := m.Get(ctx, "work")
	if err != nil || !first.Equal(item()) {
		t.Fatalf("stored item came back changed: %v", err)
	}
	first.ClientSecret.Wipe()
	if again, err := m.Get(ctx, "work"); err != nil || !again.Equal(item()) {
		t.Fatalf("wiping what Get returned changed the store: %v", err)
	}
	if err := m.Set(ctx, "work", keystore.Item{ClientID: "c"}); err == nil {
		t.Fatal("half an item was stored")
	}
	if again, err := m.Get(ctx, "work"); err != nil || !again.Equal(item()) {
		t.Fatalf("a refused Set changed the store: %v", err)
	}
	if err := m.Delete(ctx, "work"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Get(ctx, "work"); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("deleted: %v", err)
	}
}

func TestMemoryConcurrent(t *testing.T) {
	var m keystore.Memory
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := m.Set(t.Context(), "p", item()); err != nil {
					t.Error(err)
				}
				if i, err := m.Get(t.Context(), "p"); err == nil && !i.Equal(item()) {
					t.Error("read half an item")
				}
				if err := m.Delete(t.Context(), "p"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
