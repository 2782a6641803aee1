package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// suspendPoll is how often the broker looks whether the machine has slept, which timers do not count, and whether its clock was
// set.
const suspendPoll = 15 * time.Second

// clockStep is by how much a clock must have been set to be worth looking at what was wrong before.
const clockStep = 30 * time.Second

// watchSuspend wakes every slot after a suspend. Whoever asks is served at once; what nobody asks for is spread.
func (b *Broker) watchSuspend() {
	for {
		before := b.now()
		select {
		case <-b.closed:
			return
		case <-time.After(suspendPoll):
		}
		now := b.now()
		if set(before, now).Abs() > clockStep {
			b.clockSet()
		}
		if now.Sub(before) < suspendPoll+2*time.Second {
			continue
		}
		b.rested()
		for _, s := range *b.slots.Load() {
			if time.Duration(s.spread.Load()) <= now.Boot { // or clocks that come apart all the time would put it off for ever
				s.spread.Store(int64(now.Boot + time.Duration(b.Draw()*float64(resumeSpread))))
			}
			s.wake()
		}
	}
}

// set is by how much the wall clock was set between two readings.
func set(before, now clock.Instant) time.Duration {
	wall := now.Wall.Round(0).Sub(before.Wall.Round(0)) // or Sub would take the monotonic readings, which are never set
	return wall - now.Sub(before)
}

// clockSet lets the profiles try again at once whose server's certificate could not be believed, or whose assertion was
// refused while the clocks were apart: by the new clock it may be valid.
func (b *Broker) clockSet() {
	b.rested()
	b.unblock(func(err error) bool {
		e, ok := errors.AsType[*grant.Error](err)
		return ok && (e.Class == grant.TransientSlow && !e.Reached() || errors.Is(e, grant.ErrClock))
	})
}
