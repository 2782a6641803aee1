// Package clock reads wall time and boot time in one step.
//
// Boot time counts suspend, which Go's timers and [time.Since] do not (golang/go#24595), and setting the clock does not
// move it. So age and validity are judged by boot time; wall time is only for what other programs and people read. The
// invariant: boot time never runs slower than real time; where no clock counts suspend it rather runs ahead
// (bootClock). Two cases stay unnoticed: a virtual machine that its host has paused, since all its clocks stand still,
// and a wall clock that is corrected afterwards, which looks like a person who sets it.
package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Instant is one reading of both clocks.
type Instant struct {
	// Wall is the system clock's time. It may be wrong, and it may jump.
	Wall time.Time
	// Boot is the time since boot, suspend included. Only differences of it mean anything.
	Boot time.Duration
}

// Sub returns the boot time that passed from u to i.
func (i Instant) Sub(u Instant) time.Duration { return i.Boot - u.Boot }

// Func reads both clocks. All code that judges age takes a Func, so that tests can replace the clocks.
type Func func() Instant

// anchor is one real reading of the boot clock.
type anchor struct {
	at   time.Time // wall and monotonic
	boot time.Duration
}

var last atomic.Pointer[anchor]

// resample is how long the monotonic clock may carry a boot reading forward. A suspend in between shows as a gap
// between wall and monotonic time and forces a reading at once; this bounds the remaining case, a wall clock set back
// by exactly the time slept.
const (
	resample = time.Second
	slack    = 10 * time.Millisecond
)

// Now is the system's [Func]. Reading CLOCK_BOOTTIME is a system call from Go (about 330 ns), time.Now is not (50 ns):
// so the boot clock is read at most once a second, and whenever wall and monotonic time disagree. It is safe for
// concurrent use.
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

// bootClock is the clock that counts suspend, with a substitute for a system where it cannot be read (an old kernel, a
// sandbox that knows only some clocks), can no longer be read (a system call filter that came later) or goes back (a
// process restored on another machine). The substitute goes on from the last reading. A clock that failed once is not
// read again: alternating between two clocks could make a token younger.
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

// at returns the boot time; now is a reading of the other clocks a moment ago.
func (c *bootClock) at(now time.Time) time.Duration {
	return c.after(now.Sub(started), time.Duration(now.UnixNano()-started.UnixNano()))
}

// after is at for the monotonic and the wall time that passed since the start.
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

// gained is monotonic time, which may stand still in suspend, plus every step forward that wall time has made against
// it. A suspend and a clock that is set forward look alike, and both count; a clock that is set back subtracts nothing.
// So a token is judged too old rather than too young. One case stays unnoticed: a suspend together with a clock set
// back by as much, between two readings.
type gained struct {
	mono  time.Duration // of the newest reading
	ahead time.Duration // wall less monotonic time, then
	sum   time.Duration // of all steps forward
}

// boot returns boot time from both times since the same moment. It does not go back while mono does not.
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
