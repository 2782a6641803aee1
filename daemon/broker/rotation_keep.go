package broker

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/keystore"
)

// keeper is a [Source] whose newest credential may be in memory only.
type keeper interface {
	// Degraded returns why that is so, or nil where it is stored.
	Degraded() error
	// Keep tries again to store it, and returns why it still is not.
	Keep(ctx context.Context) error
}

// Degraded implements keeper.
func (c *Credential) Degraded() error { return c.Store.Held(c.Profile) }

// Keep implements keeper.
func (c *Credential) Keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	item, err := c.Store.Get(ctx, c.Profile) // tries to store what is held
	item.Wipe()
	if held := c.Degraded(); held != nil {
		return held
	}
	return err
}

// minds sees to it that what is in memory only is stored as soon as it can be. What a person may have declined is not tried
// behind their back.
func (s *slot) minds() {
	if k, ok := (*s.source.Load()).(keeper); ok && !s.keeping && storable(k.Degraded()) {
		s.keeping = s.b.begin(func() { s.keeps(k) })
	}
}

func storable(why error) bool { return why != nil && !errors.Is(why, keystore.ErrDeclined) }

// keeps tries that again and again, and a last time when the slot ends.
func (s *slot) keeps(k keeper) {
	for n, last := 1, false; !last; n++ {
		select {
		case <-s.stop:
			last = true
		case <-time.After(backoff(n, capWhileValid, 0, s.b.draw())):
		}
		if storable(k.Degraded()) {
			k.Keep(context.Background())
		}
		if !storable(k.Degraded()) {
			s.do(context.Background(), s.kept)
			return
		}
	}
}

// kept lets a renewal go on that was put off because something was in memory only.
func (s *slot) kept() {
	s.keeping = false
	if k, ok := (*s.source.Load()).(keeper); ok && k.Degraded() == nil && s.holdup.ahead {
		s.trouble.holdup = holdup{}
		s.show(s.holdup)
	}
	s.minds() // it may have happened again meanwhile
}
