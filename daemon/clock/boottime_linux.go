package clock

import "golang.org/x/sys/unix"

// counting is the clock that counts suspend and that nobody can set: CLOCK_MONOTONIC does not count it.
const counting = unix.CLOCK_BOOTTIME
