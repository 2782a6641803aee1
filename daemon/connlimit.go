package daemon

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

const (
	// evicted is how many idle connections are closed at once, where there are very many: looking for them takes time.
	evicted = 16
	// rest is how long a connection must be out of use to count as idle: a client that has just connected, or has just
	// been answered, may be about to ask.
	rest = 100 * time.Millisecond
)

// makeRoom returns when one more connection can be accepted, or ctx ends. If there are too many, it closes those that
// have been idle for longest; if none is idle, it waits until one ends or becomes idle, and new clients wait in the
// listener's queue.
func (s *server) makeRoom(ctx context.Context) {
	for s.full() && ctx.Err() == nil {
		if s.Evict() > 0 {
			continue
		}
		select {
		case <-s.ended:
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
}

// full reports whether clients' connections, the descriptors that watch their processes, and browser logins take more
// descriptors than they may.
func (s *server) full() bool { return s.Taken()+s.d.budget.Held() > s.most }

// Taken implements [descriptors.Connections].
func (s *server) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) + s.peers.Holding()
}

// idleConn is a connection that may be closed, and since when it is idle.
type idleConn struct {
	c     *conn
	since time.Duration
}

// longestIdle returns up to n connections that have been idle for longest, in order. s.mu is held.
func (s *server) longestIdle(n int) []idleConn {
	longest := make([]idleConn, 0, n+1)
	for c := range s.conns {
		since, ok := c.idleSince()
		if !ok || len(longest) == n && since >= longest[n-1].since {
			continue
		}
		i, _ := slices.BinarySearchFunc(longest, since, func(other idleConn, since time.Duration) int {
			return cmp.Compare(other.since, since)
		})
		longest = slices.Insert(longest, i, idleConn{c, since})
		longest = longest[:min(len(longest), n)]
	}
	return longest
}

// Evict implements [descriptors.Connections].
func (s *server) Evict() int {
	s.mu.Lock()
	idles := s.longestIdle(min(evicted, 1+s.most/64))
	for _, i := range idles {
		delete(s.conns, i.c) // its goroutine may take a moment to end
	}
	all := len(s.conns)
	now := time.Now()
	tell := now.Sub(s.told) > time.Minute
	if tell {
		s.told = now
	}
	s.mu.Unlock()
	for _, i := range idles {
		i.c.hangUp()
	}
	if tell {
		s.d.Log.Warn("there are more connections than descriptors for them: idle ones are closed",
			zap.Int("connections", all), zap.Int("descriptors for them", s.most), zap.Int("closed now", len(idles)))
	}
	return len(idles)
}
