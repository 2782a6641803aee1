package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
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

// budget is the one count of the descriptors that connections of every kind take, and the listeners of browser logins.
// It is a [grant.Budget] for those: at most a quarter of all is theirs, and where clients' connections have taken the rest,
// idle ones make room.
type budget struct {
	mu        sync.Mutex
	most      int // descriptors that may be taken
	callbacks int // are taken by browser logins
	server    *server
}

// leastShare is what browser logins may take where a quarter is less: one login's, with the queue that all of them share.
const leastShare = grant.CallbackPending + 16

// Take takes n descriptors for a browser login. The error is a [*protocol.Error].
func (p *budget) Take(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callbacks == 0 {
		n += grant.CallbackPending // while there is any, they share that
	}
	share := max(p.most/4, leastShare)
	if p.callbacks+n > share {
		return noPlace(fmt.Sprintf("browser logins take as many descriptors as they may (%d of %d)", p.callbacks, p.most))
	}
	for p.server != nil && p.server.taken()+p.callbacks+n > p.most {
		if p.server.evict() == 0 {
			return noPlace(fmt.Sprintf("connections take all descriptors that they may (%d), and none is idle", p.most))
		}
	}
	p.callbacks += n
	return nil
}

// Give gives back what Take took.
func (p *budget) Give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callbacks -= n; p.callbacks == grant.CallbackPending {
		p.callbacks = 0
	}
}

func (p *budget) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.callbacks
}

func noPlace(why string) *protocol.Error {
	const way = "; let one end, or raise groatd's limit (ulimit -n)"
	return protocol.NewError(protocol.Temporary, "there is no room for another login in a browser: "+why+way, "groat status")
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

// full reports whether connections of every kind, and what follows their processes, take more descriptors than they may.
func (s *server) full() bool { return s.taken()+s.d.budget.held() > s.most }

// taken is what the Unix socket's connections take.
func (s *server) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) + s.peers.Holding()
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
