// Package descriptors divides the file descriptors of this process between clients' connections, the listeners of
// browser logins, and a reserve for everything else.
package descriptors

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/protocol"
)

// The reserve is an eighth of the limit, within these bounds. It is for work that must be possible whatever the clients
// do: writing a credential that was replaced, dialling a server, starting a program.
const (
	leastReserve = 64
	mostReserve  = 1024
)

// Limit returns how many descriptors connections and browser logins may take together: the limit of this process less
// the reserve.
func Limit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		limit.Cur = 2 * leastReserve
	}
	return ofLimit(limit.Cur)
}

func ofLimit(limit uint64) int {
	const enough = 1 << 20 // descriptors; some systems say "infinity"
	n := int(min(limit, enough))
	reserve := max(leastReserve, min(n/8, mostReserve))
	return max(n-reserve, n/2, 1)
}

// Connections is the connections of the clients. Its methods are safe for concurrent use.
type Connections interface {
	// Taken returns how many descriptors they take.
	Taken() int
	// Evict closes some that have been idle for longest, and returns how many.
	Evict() int
}

// Budget counts the descriptors that clients' connections and the listeners of browser logins take. It is the
// [grant.Budget] of browser logins: they may take a quarter of all, and if connections have taken the rest, idle ones
// are closed. The zero Budget has no descriptors to give. Its methods are safe for concurrent use.
type Budget struct {
	mu          sync.Mutex
	most        int // descriptors that may be taken
	callbacks   int // descriptors that browser logins take
	connections Connections
}

// Share sets how many descriptors may be taken at all, and the connections that take some of them; nil means none.
func (p *Budget) Share(most int, c Connections) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most, p.connections = most, c
}

// leastShare is how many descriptors browser logins may take if a quarter is less: those of one login and of the queue
// that all logins share.
const leastShare = grant.CallbackPending + 16

// Take takes n descriptors for a browser login. The error is a [*protocol.Error] of the kind temporary.
func (p *Budget) Take(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callbacks == 0 {
		n += grant.CallbackPending // the queue, which all logins share
	}
	share := max(p.most/4, leastShare)
	if p.callbacks+n > share {
		return noPlace(fmt.Sprintf("browser logins take as many descriptors as they may (%d of %d)", p.callbacks,
			p.most))
	}
	for p.connections != nil && p.connections.Taken()+p.callbacks+n > p.most {
		if p.connections.Evict() == 0 {
			return noPlace(fmt.Sprintf("connections take all descriptors that they may (%d), and none is idle", p.most))
		}
	}
	p.callbacks += n
	return nil
}

// Give returns n descriptors that Take has taken.
func (p *Budget) Give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callbacks -= n; p.callbacks == grant.CallbackPending {
		p.callbacks = 0
	}
}

// Held returns how many descriptors browser logins take.
func (p *Budget) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.callbacks
}

func noPlace(why string) *protocol.Error {
	const way = "; let one end, or raise groatd's limit (ulimit -n)"
	return protocol.NewError(protocol.Temporary, "there is no room for another login in a browser: "+why+way,
		"groat status")
}
