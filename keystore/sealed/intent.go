package sealed

import (
	"context"
	"slices"

	"github.com/groat-dev/groat/keystore"
)

// An intent record has one purpose: however this process ends, the next one knows that a token was sent. For that it
// must be in the file, not on the disk: a machine that loses its power takes longer to come back than a server's grace
// lasts.

// Room that is kept free for the answer to each request under way: a token may be longer than its predecessor.
const (
	answerMargin = 4 << 10
	maxReserved  = 1 << 20
)

// MarkSent implements [keystore.Store]. Before the record is written, the room that an answer of the same size and 4
// KiB more would take is reserved on the disk, where the system can: a full disk says so now, while the token is still
// good. It waits for the one writer, but not for the disk.
func (s *Store) MarkSent(ctx context.Context, profile string) (doubt, err error) {
	if err := s.openExisting(ctx); err != nil {
		return nil, err
	}
	doubts := make(chan error, 1)
	err = s.write(ctx, func() error {
		doubt, err := s.markSent(profile)
		doubts <- doubt
		return err
	})
	select {
	case doubt = <-doubts:
	default: // the disk hangs
	}
	return doubt, err
}

func (s *Store) markSent(profile string) (doubt, err error) {
	t := s.keys.tag(profile)
	s.mu.RLock()
	file, candidates := s.file, s.index.candidates(t)
	_, noted := s.index.open[t]
	_, damaged := s.index.damage[t]
	s.mu.RUnlock()
	r, served, err := s.read(file, profile, candidates)
	r.item.Wipe()
	if err != nil {
		return nil, err
	}
	switch {
	case served.offset != candidates[0].offset, damaged:
		doubt = keystore.ErrNewestDamaged
	case served.generation < s.guard.generation(t):
		doubt = keystore.ErrRolledBack
	case noted:
		doubt = keystore.ErrUnanswered
	}
	if noted && !s.suspect {
		if err := s.checkInPlace(file); err == nil && reserve(file, s.index.end, s.room(served, 0)) == nil {
			return doubt, nil
		}
	}
	return doubt, s.commit(served.generation, record{kind: kindSent, profile: profile}, s.room(served, 1))
}

// room is what the answers to all requests under way may take, and more of them besides.
func (s *Store) room(largest frame, more int64) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return min(maxReserved, (int64(len(s.index.open))+more)*(largest.size()+answerMargin))
}

// MarkAnswered implements [keystore.Store]. It writes nothing where nothing is open.
func (s *Store) MarkAnswered(ctx context.Context, profile string) error {
	if err := s.openExisting(ctx); err != nil {
		return unlessAbsent(err)
	}
	t := s.keys.tag(profile)
	if !s.hasOpenIntent(t) {
		return nil
	}
	return s.write(ctx, func() error {
		if !s.hasOpenIntent(t) { // a newer item came meanwhile
			return nil
		}
		generation := s.index.intents[t].generation
		err := s.commit(generation, record{kind: kindAnswered, profile: profile}, 0)
		if err == nil {
			s.guard.set(t, generation) // the server has accepted it, whatever this machine has seen
		}
		return err
	})
}

func (s *Store) hasOpenIntent(t tag) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, open := s.index.open[t]
	return open
}

// InDoubt implements [keystore.Store]. It reads nothing but memory.
func (s *Store) InDoubt(ctx context.Context) ([]string, error) {
	if err := s.openExisting(ctx); err != nil {
		return nil, unlessAbsent(err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for t := range s.index.open {
		names = append(names, s.index.names[t])
	}
	slices.Sort(names)
	return names, nil
}

// addIntent adds an intent record about the item with tag t.
func (x *index) addIntent(t tag, f frame) {
	if f.generation >= x.intents[t].generation {
		x.intents[t] = f
	}
}

// inDoubt reports whether the newest item that opens is one that was sent and not answered. A newer item ends the
// doubt only if it can be read: else the one that was sent is returned again.
func (x *index) inDoubt(t tag) bool {
	n := x.intents[t]
	if n.kind != kindSent {
		return false
	}
	for _, f := range x.candidates(t) {
		return f.kind == kindSet && n.generation >= f.generation
	}
	return false
}
