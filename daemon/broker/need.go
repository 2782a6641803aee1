package broker

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// Need says what a token is needed for, and so what may be risked for it.
type Need int

const (
	// Ahead: the token that is held will do for a while. A refresh token whose successor could not be stored is not spent
	// for the next one.
	Ahead Need = iota
	// Now: there is no token, it is about to end, a caller was not served by it, or a refresh token may already be used up
	// while its server still forgives that. What comes is kept in memory where it cannot be stored.
	Now
)

// PutOff is why a [Source] has sent nothing: what would have come back could not have been stored, and it was asked [Ahead].
type PutOff struct{ Err error }

func (p *PutOff) Error() string { return p.Err.Error() }

// Unwrap returns why it could not have been stored.
func (p *PutOff) Unwrap() error { return p.Err }

// need is what a renewal of v is for.
func (v *variant) need(now clock.Instant) Need {
	if v.again || v.ends() <= now.Boot {
		return Now
	}
	for _, a := range v.waiting {
		if v.presses(a, now) {
			return Now
		}
	}
	return Ahead
}

// ends is the boot time from which the token that is held is not enough for anybody who does not know better: from then on
// callers wait for a renewal.
func (v *variant) ends() time.Duration {
	h := v.held.Load()
	if h == nil {
		return never
	}
	life := h.token.Lifetime
	return h.token.Sent.Boot + life - max(waitBelow(life), lastServed(life))
}

// presses reports whether a caller has no use for what is held. A person who wants a proof does not: nothing is spent for
// one that could not be stored.
func (v *variant) presses(a ask, now clock.Instant) bool {
	return v.ends() <= now.Boot || v.fallback(a.minTTL, now) == nil
}

// defers takes in that a source has put a renewal off: it has cost nothing, and is tried again soon, at the latest when the
// token that is held comes to its end. Whoever is not served by that token is the reason for another attempt at once.
func (s *slot) defers(v *variant, p *PutOff, now clock.Instant) {
	s.unsent(v)
	s.failures++
	until := now.Boot + local(p.Err, s.failures, s.b.Draw())
	if end := v.ends(); end > now.Boot {
		until = min(until, end)
	}
	s.trouble.holdup = holdup{err: p.Err, until: until, ahead: true}
	s.show(s.holdup)
	for _, each := range s.variants.Load().all {
		var pressing []ask
		for _, a := range each.waiting {
			if each.presses(a, now) {
				pressing = append(pressing, a)
			} else {
				a.reply <- each.instead(a, now, &Unavailable{Err: p.Err, RetryAfter: until - now.Boot})
			}
		}
		each.waiting = pressing
	}
}

// deferred returns the slot's holdup as far as it stands in v's way.
func (s *slot) deferred(v *variant, now clock.Instant) holdup {
	if s.holdup.ahead && v.need(now) == Now {
		return holdup{}
	}
	return s.holdup
}

// asPutOff returns the error as one that put a renewal off, if it is.
func asPutOff(err error) (*PutOff, bool) { return errors.AsType[*PutOff](err) }

// Recover renews profiles at once, before anything else and though nobody asks: an earlier process has sent their refresh
// token and did not store what it was answered, and a server that forgives that does so for seconds. What fails is tried
// again like any other request, for at most an hour. A profile that has a token has no need of it.
func (b *Broker) Recover(names ...string) {
	for _, name := range names {
		if s, ok := b.slot(name); ok {
			s.do(context.Background(), s.recovers)
		}
	}
}

func (s *slot) recovers() {
	now := s.b.now()
	v := s.lookup(key{})
	if v == nil {
		v = s.variant(key{}, now)
		v.used.Store(int64(never)) // it is not renewed again for nobody
	}
	if v.held.Load() != nil {
		return
	}
	s.recovering = now.Boot + keepWarm
	v.again = s.running == nil // or else with the same refresh token, whatever it is for
}
