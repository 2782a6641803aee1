package broker

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// suspendPoll is the interval at which the broker checks whether the machine has slept, which timers do not count, and
// whether its wall clock was set.
const suspendPoll = 15 * time.Second

// clockStep is by how much the wall clock must have been set to make failures worth another request that a wrong clock
// may have caused.
const clockStep = 30 * time.Second

// watchSuspend wakes every slot after a suspend, until the broker is closed. Callers are served at once; renewals that
// no caller waits for are spread.
func (b *Broker) watchSuspend() {
	for {
		before := b.now()
		select {
		case <-b.closed:
			return
		case <-time.After(suspendPoll):
		}
		now := b.now()
		if clockSetBy(before, now).Abs() > clockStep {
			b.clockSet()
		}
		if now.Sub(before) < suspendPoll+2*time.Second {
			continue
		}
		b.forgetOutages()
		for _, s := range *b.slots.Load() {
			// Clocks that drift apart all the time must not delay a renewal for ever.
			if time.Duration(s.spread.Load()) <= now.Boot {
				s.spread.Store(int64(now.Boot + time.Duration(b.Draw()*float64(resumeSpread))))
			}
			s.wake()
		}
	}
}

// clockSetBy is by how much the wall clock was set between two readings.
func clockSetBy(before, now clock.Instant) time.Duration {
	wall := now.Wall.Round(0).Sub(before.Wall.Round(0)) // without Round, Sub takes the monotonic readings
	return wall - now.Sub(before)
}

// clockSet lets the profiles try again at once whose server's certificate was not valid by the old wall clock, or whose
// assertion was refused while the clocks were apart.
func (b *Broker) clockSet() {
	b.forgetOutages()
	b.unblock(func(err error) bool {
		e, ok := errors.AsType[*grant.Error](err)
		return ok && (e.Class == grant.TransientSlow && !e.Reached() || errors.Is(e, grant.ErrClock))
	})
}

// forgetOutages makes the limiters forget which servers fail.
func (b *Broker) forgetOutages() {
	b.mu.Lock()
	limiters := slices.Collect(maps.Values(b.limiters))
	b.mu.Unlock()
	for _, l := range limiters {
		l.forgetOutages()
	}
}
