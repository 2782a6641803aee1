package clock

import (
	"sync"
	"time"
)

// bootClock is the clock that counts suspend, and what takes its place where it cannot be read: not at all (an old kernel,
// a sandbox that knows only some clocks), or no longer (a system call filter that came later), or where it goes back (a
// process that is restored on another machine). It goes on from where it was, and a clock that failed once is not asked
// again: two clocks in turn could make a token younger.
type bootClock struct {
	read func() (time.Duration, error)

	mu     sync.Mutex
	gained gained
	boot   time.Duration // when it was last read
	base   time.Duration // by how much it was ahead of gained then
	failed bool
}

var (
	started = time.Now()
	system  = bootClock{read: read}
)

// at returns boot time; now is a reading of the other clocks a moment ago.
func (c *bootClock) at(now time.Time) time.Duration {
	return c.after(now.Sub(started), time.Duration(now.UnixNano()-started.UnixNano()))
}

// after is at for what has passed since the start by monotonic and by wall time.
func (c *bootClock) after(mono, wall time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	substitute := c.gained.boot(mono, wall) // fed while it is not needed too, so that it can take over at any moment
	if !c.failed {
		boot, err := c.read()
		if err == nil && boot >= c.boot {
			c.boot, c.base = boot, boot-substitute
			return boot
		}
		c.failed = true
	}
	return c.base + substitute
}

// gained is monotonic time, which may stand still in suspend, and every step forward that wall time has made against it. A
// suspend and a clock that is set forward look alike, and both count; a clock that is set back takes nothing away. So a
// token is judged too old rather than too young. All that it cannot see is a suspend together with a clock set back by as
// much, between two readings.
type gained struct {
	mono  time.Duration // of the newest reading
	ahead time.Duration // wall less monotonic time, then
	sum   time.Duration // of all steps forward
}

// boot takes both times since the same moment. It never goes back while mono does not.
func (g *gained) boot(mono, wall time.Duration) time.Duration {
	if mono < g.mono { // read before another goroutine's: it knows nothing new
		return mono + g.sum
	}
	g.mono = mono
	switch step := wall - mono - g.ahead; {
	case step > slack:
		g.sum += step
		g.ahead += step
	case step < 0:
		g.ahead += step
	} // less than slack is how far apart two clocks are read, or will be more later
	return mono + g.sum
}
