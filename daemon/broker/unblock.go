package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// KeystoreAwaited reports whether a keystore blocks any profile.
func (b *Broker) KeystoreAwaited() bool {
	for _, s := range *b.slots.Load() {
		if s.awaitsKeystore() {
			return true
		}
	}
	return false
}

// KeystoreOpened lets the profiles try again at once that a keystore blocks: it can be used again.
func (b *Broker) KeystoreOpened() { b.unblock(ofKeystore) }

// NetworkChanged lets the profiles try again at once that a failed connection blocks: servers are reached in another
// way now.
func (b *Broker) NetworkChanged() {
	b.forgetOutages()
	b.unblock(func(err error) bool {
		e, ok := errors.AsType[*grant.Error](err)
		return ok && e.Trouble != ""
	})
}

// unblock ends the Blocks of profiles whose error is over. A token that callers asked for in vain is obtained although
// none asks again, so that the next need not wait. A disabled profile stays disabled, unless a wrong clock may have
// been the reason.
func (b *Broker) unblock(over func(error) bool) {
	for _, s := range *b.slots.Load() {
		if !over(s.shown.Load().Err) {
			continue
		}
		s.do(func() {
			if s.block.Disabled && !errors.Is(s.block.Err, grant.ErrClock) || !over(s.shown.Load().Err) {
				return
			}
			s.block = &noBlock
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

// missed reports whether t was asked for within the last hour, has no token to hand out, and is not disabled itself.
func (t *tokenSlot) missed(now clock.Instant) bool {
	return !t.block.Disabled && !t.valid(now) && warm(time.Duration(t.used.Load()), now.Boot)
}
