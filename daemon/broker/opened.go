package broker

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// KeystoreAwaited reports whether a keystore holds any profile up.
func (b *Broker) KeystoreAwaited() bool {
	for _, s := range *b.slots.Load() {
		if s.awaitsKeystore() {
			return true
		}
	}
	return false
}

// KeystoreOpened lets the profiles that a keystore held up try again at once, for it can be used again.
func (b *Broker) KeystoreOpened() { b.lift(ofKeystore) }

// NetworkChanged lets the profiles try again at once that a connection held up: servers are reached in another way now.
func (b *Broker) NetworkChanged() {
	b.rested()
	b.lift(func(err error) bool {
		e, ok := errors.AsType[*grant.Error](err)
		return ok && e.Trouble != ""
	})
}

// lift takes away what stands in a profile's way for the time being, where it is of a kind that is over. What was asked for
// in vain is obtained though nobody asks again, so that whoever does need not wait. A parked profile stays parked, unless
// a clock may have been to blame.
func (b *Broker) lift(over func(error) bool) {
	for _, s := range *b.slots.Load() {
		if !over(s.state.Load().err) {
			continue
		}
		s.do(context.Background(), func() {
			if s.holdup.parked && !errors.Is(s.holdup.err, grant.ErrClock) || !over(s.state.Load().err) {
				return
			}
			s.failures, s.holdup = 0, holdup{}
			s.state.Store(&condition{})
			now := s.b.now()
			for _, v := range s.variants.Load().all {
				v.owed = v.missed(now)
			}
		})
	}
}

func (s *slot) awaitsKeystore() bool { return ofKeystore(s.state.Load().err) }

func ofKeystore(err error) bool {
	return errors.Is(err, keystore.ErrLocked) || errors.Is(err, keystore.ErrUnavailable)
}

// missed reports whether v was asked for lately and has nothing to give, though nothing of its own stands in the way.
func (v *variant) missed(now clock.Instant) bool {
	return !v.holdup.parked && !v.valid(now) && v.warm(now.Boot)
}
