package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// readBoot reads mach_continuous_time in nanoseconds, which counts suspend and which nothing can set. Of the other
// clocks, CLOCK_MONOTONIC is derived from the wall clock on this system, and CLOCK_UPTIME_RAW stands still during
// suspend.
func readBoot() (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &ts)
	return time.Duration(ts.Nano()), err
}
