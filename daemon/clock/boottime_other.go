//go:build !linux

package clock

import "time"

// Darwin's mach_continuous_time has no wrapper in x/sys without cgo.
func boottime(now time.Time) time.Duration { return fallback(now) }
