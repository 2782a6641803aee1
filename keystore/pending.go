package keystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// lockLimit is how long a write waits for an earlier write of the same profile.
const lockLimit = 10 * time.Second

// PendingStore is a [Store] that does not lose what the store behind it could not take: a client secret that was shown
// once, a refresh token whose predecessor is void. It holds such an item in memory, returns it, and tries to store it
// with each later call for the profile, unless a person may have declined it.
//
// It has the one lock of a profile's writes: they take turns, and the store behind it never has two at a time. All
// writes of a store go through one PendingStore. It is safe for concurrent use.
type PendingStore struct {
	Store // what cannot fail to be stored is the same there: Probe and InDoubt

	writers keyedMutex

	mu      sync.Mutex
	pending map[string]pending // :: profile → the item that the store does not have
}

var _ Store = (*PendingStore)(nil)

// pending is an item that is held, and why.
type pending struct {
	item Item
	err  error
}

// lock waits for the lock of a profile's writes. The error is an [ErrUnavailable].
func (s *PendingStore) lock(ctx context.Context, profile string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	if unlock, err = s.writers.lock(ctx, profile); err != nil {
		return nil, fmt.Errorf("%w: an earlier write to this profile has not ended", ErrUnavailable)
	}
	return unlock, nil
}

// lockToHold is lock for an item that must not be lost, whatever becomes of ctx. Each write that has the lock has a
// deadline.
func (s *PendingStore) lockToHold(ctx context.Context, profile string) (unlock func()) {
	unlock, _ = s.writers.lock(context.WithoutCancel(ctx), profile)
	return unlock
}

// SetOrHold stores an item, or holds it and returns why it could not be stored.
func (s *PendingStore) SetOrHold(ctx context.Context, profile string, item Item) error {
	defer s.lockToHold(ctx, profile)()
	return s.setOrHold(ctx, profile, item)
}

func (s *PendingStore) setOrHold(ctx context.Context, profile string, item Item) error {
	err := s.Store.Set(ctx, profile, item)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[profile].item.Wipe()
	delete(s.pending, profile)
	if err != nil {
		if s.pending == nil {
			s.pending = map[string]pending{}
		}
		s.pending[profile] = pending{item.Clone(), err}
	}
	return err
}

// Rotate is SetOrHold for a session whose refresh token was used up: item takes the place of the one that has the token
// sent. Where another item or none is there, the person has signed in or out since the request, and nothing changes.
func (s *PendingStore) Rotate(ctx context.Context, profile string, sent Secret, item Item) error {
	defer s.lockToHold(ctx, profile)()
	now, err := s.newest(ctx, profile)
	defer func() { now.Wipe() }()
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !now.RefreshToken.Equal(sent):
		return nil
	}
	return s.setOrHold(ctx, profile, item) // a store that cannot be read may still be written; if not, the item is held
}

// held returns a copy of what is held of a profile, which the caller wipes, or ok false.
func (s *PendingStore) held(profile string) (item Item, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.pending[profile]
	return p.item.Clone(), ok
}

// newest returns what is held, else what is stored.
func (s *PendingStore) newest(ctx context.Context, profile string) (Item, error) {
	if item, ok := s.held(profile); ok {
		return item, nil
	}
	return s.Store.Get(ctx, profile)
}

// PendingError returns why a profile's newest item is in memory only, or nil where it is stored.
func (s *PendingStore) PendingError(profile string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending[profile].err
}

// HasPending reports whether an item of any profile is held.
func (s *PendingStore) HasPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) > 0
}

// Get implements [Store]. An item that is held is newer than the stored one, and returned; unless a write of the
// profile is under way, for which a read does not wait, it is tried to be stored first.
func (s *PendingStore) Get(ctx context.Context, profile string) (Item, error) {
	if s.PendingError(profile) == nil {
		return s.Store.Get(ctx, profile)
	}
	unlock, _ := s.writers.tryLock(profile)
	if unlock != nil {
		defer unlock()
	}
	item, err := s.newest(ctx, profile)
	if err == nil && unlock != nil {
		s.retryUnlessDeclined(ctx, profile)
	}
	return item, err
}

// Set implements [Store]. What was held is void once it succeeds.
func (s *PendingStore) Set(ctx context.Context, profile string, item Item) error {
	return s.write(ctx, profile, func() error { return s.Store.Set(ctx, profile, item) })
}

// Delete implements [Store]. What was held is void once it succeeds.
func (s *PendingStore) Delete(ctx context.Context, profile string) error {
	return s.write(ctx, profile, func() error { return s.Store.Delete(ctx, profile) })
}

// write runs f with the profile's lock, and drops what is held once f succeeds.
func (s *PendingStore) write(ctx context.Context, profile string, f func() error) error {
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return err
	}
	defer unlock()
	if err = f(); err == nil {
		s.drop(profile)
	}
	return err
}

func (s *PendingStore) drop(profile string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[profile].item.Wipe()
	delete(s.pending, profile)
}

// MarkSent implements [Store]. An item that is held is tried to be stored first. If that fails, err says why, for the
// server's answer could not be stored either, and nothing is recorded.
func (s *PendingStore) MarkSent(ctx context.Context, profile string) (doubt, err error) {
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.retryUnlessDeclined(ctx, profile); err != nil {
		return nil, fmt.Errorf("what the server answers could not be stored: %w", err)
	}
	return s.Store.MarkSent(ctx, profile)
}

// MarkAnswered implements [Store].
func (s *PendingStore) MarkAnswered(ctx context.Context, profile string) error {
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return err
	}
	defer unlock()
	return s.Store.MarkAnswered(ctx, profile)
}

// Retry tries to store what is held of a profile, and returns why that failed. It is for when a person waits: a person
// who declined before is asked again.
func (s *PendingStore) Retry(ctx context.Context, profile string) error {
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return err
	}
	defer unlock()
	return s.retry(ctx, profile)
}

// RetryAll tries to store everything that is held, one profile after another. What a person may have declined is
// written again only where declined is set; else RetryAll only checks whether the keystore has it by now. It returns
// when it has tried everything once, or when ctx ends.
func (s *PendingStore) RetryAll(ctx context.Context, declined bool) {
	s.mu.Lock()
	profiles := slices.Collect(maps.Keys(s.pending))
	s.mu.Unlock()
	for _, profile := range profiles {
		switch {
		case ctx.Err() != nil:
			return
		case !declined && errors.Is(s.PendingError(profile), ErrDeclined):
			s.dropIfStored(ctx, profile)
		default:
			s.Retry(ctx, profile)
		}
	}
}

// dropIfStored drops what is held of a profile if the store has it: the person has agreed to the write since.
func (s *PendingStore) dropIfStored(ctx context.Context, profile string) {
	unlock, err := s.lock(ctx, profile)
	if err != nil {
		return
	}
	defer unlock()
	stored, err := s.Store.Get(ctx, profile)
	if err != nil {
		return
	}
	defer stored.Wipe()
	item, _ := s.held(profile)
	defer item.Wipe()
	if item.Equal(stored) {
		s.drop(profile)
	}
}

// retryUnlessDeclined is retry, but leaves what was declined to [PendingStore.Retry]. The caller has the profile's
// lock.
func (s *PendingStore) retryUnlessDeclined(ctx context.Context, profile string) error {
	if err := s.PendingError(profile); errors.Is(err, ErrDeclined) {
		return err
	}
	return s.retry(ctx, profile)
}

// retry tries to store what is held of a profile, and returns why that failed. The caller has the profile's lock.
func (s *PendingStore) retry(ctx context.Context, profile string) error {
	item, ok := s.held(profile)
	if !ok {
		return nil
	}
	defer item.Wipe()
	return s.setOrHold(ctx, profile, item)
}

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
