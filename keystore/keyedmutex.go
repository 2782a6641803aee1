package keystore

import (
	"context"
	"sync"
)

// keyedMutex is a mutex for each key, as long as someone holds it. The zero value is ready to use.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]chan struct{} // :: key → closed when its mutex is unlocked
}

// lock waits for the key's mutex until ctx ends. The error is that of ctx.
func (m *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		unlock, released := m.tryLock(key)
		if unlock != nil {
			return unlock, nil
		}
		select {
		case <-released:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryLock returns what unlocks the key's mutex, or nil where it is locked, and then a channel that is closed when it is
// unlocked.
func (m *keyedMutex) tryLock(key string) (unlock func(), released <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if other, locked := m.held[key]; locked {
		return nil, other
	}
	mine := make(chan struct{})
	if m.held == nil {
		m.held = make(map[string]chan struct{})
	}
	m.held[key] = mine
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.held, key)
		close(mine)
	}, nil
}
