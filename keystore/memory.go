package keystore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Memory is a [Store] in this process's memory: what it holds is gone when the process ends, and that is its promise.
// The zero value is ready to use.
type Memory struct {
	mu    sync.Mutex
	items map[string]Item // :: profile → item, its secrets owned by the store
	sent  map[string]bool // :: profile → sent, and not answered since
}

var _ Store = (*Memory)(nil)

// Get returns a copy, which the caller may wipe.
func (m *Memory) Get(_ context.Context, profile string) (Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.items[profile]
	if !ok {
		return Item{}, ErrNotFound
	}
	return i.Clone(), nil
}

// Set keeps a copy; an item that no other store could hold is refused here too.
func (m *Memory) Set(_ context.Context, profile string, item Item) error {
	b, err := EncodeItem(item)
	if err != nil {
		return fmt.Errorf("storing %s: %w", profile, err)
	}
	b.Wipe()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil {
		m.items = make(map[string]Item)
	}
	m.items[profile].Wipe()
	m.items[profile] = item.Clone()
	delete(m.sent, profile)
	return nil
}

// Delete wipes the item.
func (m *Memory) Delete(_ context.Context, profile string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[profile].Wipe()
	delete(m.items, profile)
	delete(m.sent, profile)
	return nil
}

// Probe always passes.
func (m *Memory) Probe(context.Context) error { return nil }

// MarkSent never fails where there is an item.
func (m *Memory) MarkSent(_ context.Context, profile string) (doubt, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[profile]; !ok {
		return nil, ErrNotFound
	}
	if m.sent[profile] {
		return ErrUnanswered, nil
	}
	if m.sent == nil {
		m.sent = make(map[string]bool)
	}
	m.sent[profile] = true
	return nil, nil
}

// MarkAnswered never fails.
func (m *Memory) MarkAnswered(_ context.Context, profile string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sent, profile)
	return nil
}

// InDoubt never fails.
func (m *Memory) InDoubt(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.sent)), nil
}
