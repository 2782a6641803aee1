package sealed

import (
	"context"

	"github.com/groat-dev/groat/keystore"
)

// Open opens a file, or creates an empty one, with a key. The key stays the caller's.
func Open(path string, key keystore.Secret) (*Store, error) { return Files{Path: path}.Open(key) }

// Open is [Open] with all of a store's files.
func (f Files) Open(key keystore.Secret) (*Store, error) {
	s := New(Options{Files: f})
	if err := s.openKey(key, true); err != nil {
		return nil, err
	}
	s.isOpen.Store(true)
	return s, nil
}

// OpenWith opens or makes a file with the key that source brings; its errors are not explained.
func (f Files) OpenWith(ctx context.Context, source KeySource) (*Store, error) {
	s := New(Options{Files: f, Key: source})
	if err := s.openWith(ctx, source, !Exists(f.Path)); err != nil {
		return nil, err
	}
	return s, nil
}

// Damaged counts the records and stretches of the file that could not be read when it was opened or last rewritten.
func (s *Store) Damaged() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.lost
}
