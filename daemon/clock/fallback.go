package clock

import "time"

var started = time.Now()

// fallback serves where no clock that counts suspend can be read: the later of wall and monotonic time, so that a
// token is judged too old rather than too young.
func fallback(now time.Time) time.Duration {
	return max(now.Sub(started), time.Duration(now.UnixNano()-started.UnixNano()))
}
