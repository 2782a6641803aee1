package broker

import (
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/keystore"
)

// handle deals with one caller.
func (s *slot) handle(a ask) {
	now := s.b.now()
	v := s.lookup(a.key)
	if v == nil {
		if err := s.unwelcome(a, now); err != nil {
			a.reply <- answer{err: err}
			return
		}
		v = s.variant(a.key, now)
	}
	if v == nil {
		a.reply <- answer{err: &Unavailable{Err: ErrManyTokens, RetryAfter: time.Second}}
		return
	}
	v.touch(now)
	if !a.refused.IsZero() {
		s.reject(v, a.refused, now)
	}
	if a.proof {
		s.forgive(v)
	} else if h := v.hit(a.minTTL, now); h != nil {
		a.reply <- answer{token: h.token}
		return
	}
	if err := s.hopeless(v, a, now); err != nil {
		a.reply <- v.instead(a, now, err)
		return
	}
	v.await(a)
	if s.turn != nil {
		s.turn.hurry(a.proof)
	}
	if s.paused > 0 {
		s.serve(v, now)
	}
}

// unmissed is how many callers may have left without being missed.
const unmissed = 64

// await lets a caller wait, whether or not it is still there: what it sets in motion is for the next. Of those before, whoever
// has left goes each time their number has doubled.
func (v *variant) await(a ask) {
	if len(v.waiting) >= max(v.crowded, unmissed) {
		v.waiting = slices.DeleteFunc(v.waiting, ask.left)
		v.crowded = 2 * len(v.waiting)
	}
	v.waiting = append(v.waiting, a)
}

// forgive forgets what stands in the way of the next attempt: a person asks for one. What explains a refusal is kept.
func (s *slot) forgive(v *variant) {
	s.trouble, v.holdup = trouble{recovering: s.recovering}, holdup{}
}

// unwelcome returns why a token that was never asked for cannot be had now, or nil: so that one which is held need not make
// room for it.
func (s *slot) unwelcome(a ask, now clock.Instant) error {
	switch h := s.holdup; {
	case a.proof:
		return nil
	case h.parked:
		return &Unavailable{Err: h.err}
	case h.until > now.Boot && !h.ahead:
		return &Unavailable{Err: h.err, RetryAfter: h.until - now.Boot}
	}
	if wait := s.tooOften(a.key, false, now); wait > 0 {
		s.show(holdup{err: ErrOften, until: now.Boot + wait})
		return &Unavailable{Err: ErrOften, RetryAfter: wait}
	}
	return nil
}

// hopeless returns why waiting would not help a caller, or nil.
func (s *slot) hopeless(v *variant, a ask, now clock.Instant) error {
	if s.stopping {
		return &Unavailable{Err: ErrStopped, RetryAfter: time.Second}
	}
	if a.minTTL > v.fresh && v.fresh > 0 {
		return &TooLong{Max: v.fresh}
	}
	if s.running == v {
		return nil
	}
	for _, h := range []holdup{s.holdup, v.holdup} {
		if h.ahead && v.presses(a, now) {
			continue
		}
		if h.parked {
			return &Unavailable{Err: h.err}
		}
		if h.err != nil && h.until > now.Boot {
			return &Unavailable{Err: h.err, RetryAfter: h.until - now.Boot}
		}
	}
	if wait := s.tooOften(v.key, a.proof, now); wait > 0 && v.earliest(now) <= now.Boot {
		return &Unavailable{Err: ErrOften, RetryAfter: wait}
	}
	return nil
}

// variant returns the variant of a key, new if need be, and nil where there are too many.
func (s *slot) variant(k key, now clock.Instant) *variant {
	if v := s.lookup(k); v != nil {
		return v
	}
	v := newVariant(k, (*s.source.Load()).Request(k.scope, k.audience))
	v.touch(now)
	next := s.variants.Load().with(v, s.running)
	if next == nil {
		return nil
	}
	s.variants.Store(next)
	return v
}

// reject makes sure that a token that an API refused is not handed out again. If it is the current one a renewal follows,
// at most one in [betweenRejections].
func (s *slot) reject(v *variant, token keystore.Secret, now clock.Instant) {
	h := v.held.Load()
	if h == nil || !h.token.Access.Equal(token) {
		return
	}
	v.refused = h.token.Access
	v.held.Store(nil)
	if v.holdup.parked {
		return // no renewal follows
	}
	if now.Boot < s.rejectedAt+betweenRejections(v.life) {
		v.holdup = holdup{err: ErrRejected, until: s.rejectedAt + betweenRejections(v.life)}
		return
	}
	s.rejectedAt = now.Boot
}
