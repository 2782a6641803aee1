package clock

import "golang.org/x/sys/unix"

// counting is the clock that counts suspend and that nobody can set. It is mach_continuous_time in nanoseconds;
// CLOCK_MONOTONIC is made of the wall clock here, CLOCK_UPTIME_RAW stands still in suspend.
const counting = unix.CLOCK_MONOTONIC_RAW
