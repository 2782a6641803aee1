package clock

import (
	"sync"
	"time"
)

var (
	started = time.Now()
	lead    gained
)

// fallback serves where no clock that counts suspend can be read: monotonic time, which may stand still in suspend, and
// every step forward that wall time has made against it.
func fallback(now time.Time) time.Duration {
	return lead.boot(now.Sub(started), time.Duration(now.UnixNano()-started.UnixNano()))
}

// gained adds up how far wall time has run ahead of monotonic time. A suspend and a clock that is set forward look alike,
// and both count; a clock that is set back takes nothing away. So a token is judged too old rather than too young.
type gained struct {
	mu    sync.Mutex
	mono  time.Duration // of the newest reading
	ahead time.Duration // wall less monotonic time, then
	sum   time.Duration // of all steps forward
}

// boot takes both times since the same moment. It never goes back while mono does not.
func (g *gained) boot(mono, wall time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
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
