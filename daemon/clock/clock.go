// Package clock reads wall time and boot time in one step.
//
// Boot time counts suspend, which Go's timers and [time.Since] do not (golang/go#24595), and is not moved when somebody
// sets the clock. So age and validity are judged by boot time, and wall time is only for what other programs and people
// read. The invariant: boot time never runs slower than the time that really passes; where no clock is left that can tell
// (fallback.go) it rather runs ahead. What is not seen: a virtual machine that its host has paused, for all its clocks stand
// still, and what a wall clock that is put right afterwards means cannot be told from a person who sets it.
package clock

import (
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
