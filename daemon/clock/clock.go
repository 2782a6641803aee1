// Package clock reads wall time and boot time in one step.
//
// Boot time counts suspend, which Go's timers and [time.Since] do not (golang/go#24595), and is not moved when somebody
// sets the clock. So age and validity are judged by boot time, and wall time is only for what other programs and people
// read. The invariant: boot time never runs slower than the time that really passes; where no clock is left that can tell
// (fallback.go) it rather runs ahead. What is not seen: a virtual machine that its host has paused, for all its clocks stand
// still, and what a wall clock that is put right afterwards means cannot be told from a person who sets it.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Instant is one reading of both clocks.
type Instant struct {
	// Wall is what the system clock says; it may be wrong and it may jump.
	Wall time.Time
	// Boot is the time since boot, suspend included. Its zero means nothing; only differences do.
	Boot time.Duration
}

// Sub returns the time that has passed from u to i by the boot clock.
func (i Instant) Sub(u Instant) time.Duration { return i.Boot - u.Boot }

// Func is the one time seam: everything that judges age takes one.
type Func func() Instant

// anchor is a moment at which the boot clock was really read.
type anchor struct {
	at   time.Time // wall and monotonic
	boot time.Duration
}

var last atomic.Pointer[anchor]

// resample is how long a boot reading may be carried forward by the monotonic clock. A suspend in between shows as a gap
// between wall and monotonic time and forces a reading at once; this bounds what is left (a wall clock set back by
// exactly the time slept).
const (
	resample = time.Second
	slack    = 10 * time.Millisecond
)

// Now is the system's [Func]. Reading CLOCK_BOOTTIME is a real system call from Go (about 330 ns), time.Now is not (50 ns): so the
// boot clock is read at most once a second, and whenever wall and monotonic time disagree. It is safe for concurrent use.
func Now() Instant {
	now := time.Now()
	if a := last.Load(); a != nil {
		mono := now.Sub(a.at)
		drift := time.Duration(now.UnixNano()-a.at.UnixNano()) - mono
		if mono < resample && drift < slack && drift > -slack {
			return Instant{Wall: now, Boot: a.boot + mono}
		}
	}
	a := &anchor{at: now, boot: system.at(now)}
	last.Store(a)
	return Instant{Wall: now, Boot: a.boot}
}

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
	system  = bootClock{read: readBoot}
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
