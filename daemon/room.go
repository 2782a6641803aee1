package daemon

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Connections are not all that takes descriptors: a credential that was replaced must be written, a server dialled, a
// program started, whatever the clients do. An eighth of the limit is kept for that, within these bounds.
const (
	leastReserve = 64
	mostReserve  = 1024
)

// descriptors is how many of them connections may take.
func descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		limit.Cur = 2 * leastReserve
	}
	return descriptorsOf(limit.Cur)
}

func descriptorsOf(limit uint64) int {
	const enough = 1 << 20 // descriptors; some systems say "infinity"
	n := int(min(limit, enough))
	reserve := max(leastReserve, min(n/8, mostReserve))
	return max(n-reserve, n/2, 1)
}

const (
	// evicted is how many idle connections make room at once, where there are very many: looking for them takes time.
	evicted = 16
	// rest is how long a connection must have been idle to be taken for idle: a client that has just connected, or has
	// just been answered, is about to ask.
	rest = 100 * time.Millisecond
)

// makeRoom returns when one more connection can be accepted. Where there are more than may be, those that have been idle for
// longest are closed; where none is idle, whoever comes waits in the listener's queue until one has ended or rests.
func (s *server) makeRoom(ctx context.Context) {
	for s.full() && ctx.Err() == nil {
		if s.evict() > 0 {
			continue
		}
		select {
		case <-s.ended:
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
}

// full reports whether connections, and what follows their processes, take more descriptors than they may.
func (s *server) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)+s.peers.Holding() > s.most
}

// evict closes some of the connections that have been idle for longest, and returns how many.
func (s *server) evict() int {
	type idle struct {
		c     *conn
		since time.Duration
	}
	var idles []idle
	s.mu.Lock()
	for c := range s.conns {
		if since, ok := c.idleSince(); ok {
			idles = append(idles, idle{c, since})
		}
	}
	slices.SortFunc(idles, func(a, b idle) int { return int(a.since - b.since) })
	idles = idles[:min(len(idles), evicted, 1+s.most/64)]
	for _, i := range idles {
		delete(s.conns, i.c) // its goroutine may take a moment to end
	}
	all := len(s.conns)
	s.mu.Unlock()
	for _, i := range idles {
		i.c.hangUp()
	}
	if now := time.Now(); now.Sub(s.told) > time.Minute {
		s.told = now
		s.d.Log.Warn("there are more connections than descriptors for them: idle ones are closed",
			zap.Int("connections", all), zap.Int("descriptors for them", s.most), zap.Int("closed now", len(idles)))
	}
	return len(idles)
}
