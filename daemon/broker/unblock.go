package broker

import (
	"context"
	"errors"
	"time"

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
func (b *Broker) KeystoreOpened() { b.unblock(ofKeystore) }

// NetworkChanged lets the profiles try again at once that a connection held up: servers are reached in another way now.
func (b *Broker) NetworkChanged() {
	b.rested()
	b.unblock(func(err error) bool {
		e, ok := errors.AsType[*grant.Error](err)
		return ok && e.Trouble != ""
	})
}

// unblock takes away what stands in a profile's way for the time being, where it is of a kind that is over. What was asked for
// in vain is obtained though nobody asks again, so that whoever does need not wait. A parked profile stays parked, unless
// a clock may have been to blame.
func (b *Broker) unblock(over func(error) bool) {
	for _, s := range *b.slots.Load() {
		if !over(s.shown.Load().Err) {
			continue
		}
		s.do(context.Background(), func() {
			if s.block.Disabled && !errors.Is(s.block.Err, grant.ErrClock) || !over(s.shown.Load().Err) {
				return
			}
			s.block = Block{}
			s.show(s.block)
			now := s.b.now()
			for _, t := range s.tokens.Load().all {
				t.pendingDemand = t.missed(now)
			}
		})
	}
}

func (s *slot) awaitsKeystore() bool { return ofKeystore(s.shown.Load().Err) }

func ofKeystore(err error) bool {
	return errors.Is(err, keystore.ErrLocked) || errors.Is(err, keystore.ErrUnavailable)
}

// missed reports whether t was asked for lately and has nothing to give, though nothing of its own stands in the way.
func (t *tokenSlot) missed(now clock.Instant) bool {
	return !t.block.Disabled && !t.valid(now) && warm(time.Duration(t.used.Load()), now.Boot)
}
