package broker

import (
	"context"
	"errors"

	"github.com/groat-dev/groat/keystore"
)

// KeystoreOpened lets the profiles that a keystore held up try again at once: a person has just done something about it.
func (b *Broker) KeystoreOpened() {
	for _, s := range *b.slots.Load() {
		err := s.state.Load().err
		if !errors.Is(err, keystore.ErrLocked) && !errors.Is(err, keystore.ErrUnavailable) {
			continue
		}
		s.do(context.Background(), func() {
			if !s.holdup.parked {
				s.failures, s.holdup = 0, holdup{}
			}
		})
	}
}
