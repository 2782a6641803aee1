package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

func boottime(now time.Time) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fallback(now)
	}
	return time.Duration(ts.Nano())
}
