package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// readBoot reads CLOCK_BOOTTIME. Unlike CLOCK_MONOTONIC it counts suspend, and nothing can set it.
func readBoot() (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano()), err
}
