package broker

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// attempt sends one request. It is detached from every caller: once sent it is never cancelled, and the source bounds it.
func (s *slot) attempt(v *variant, now clock.Instant) {
	if now.Boot < v.sent+betweenRenewals(v.life) {
		v.brought = now.Boot
	}
	s.running, v.sent = v, now.Boot
	epoch, source, request := s.epoch, *s.source.Load(), v.request
	go func() {
		token, err := source.Obtain(context.Background(), request)
		s.ended <- attempt{v: v, epoch: epoch, token: token, err: err}
	}()
}

// finish takes in the end of an attempt.
func (s *slot) finish(e attempt) {
	s.running = nil
	s.hush()
	if e.epoch != s.epoch {
		return // an older credential's; whoever waits is served by the next attempt
	}
	now := s.b.now()
	if e.err == nil && !e.v.refused.IsZero() && e.token.Access.Equal(e.v.refused) {
		e.err = ErrSameToken
		e.v.held.Store(nil)
	}
	if e.err != nil {
		s.fail(e.v, e.err, now)
		return
	}
	s.failures, s.suspected, s.holdup, e.v.holdup = 0, false, holdup{}, holdup{}
	s.publish(e.v, e.token, now)
	s.answer(e.v, nil)
}

// publish makes a token the current one.
func (s *slot) publish(v *variant, t grant.Token, now clock.Instant) {
	h := &held{token: t, renew: renewalPoint(t, s.b.draw())}
	if old := v.held.Load(); old != nil && old.token.Access.Equal(t.Access) {
		h.renew = max(h.renew, now.Boot+noProgress(t, now))
	}
	v.sent, v.life = t.Sent.Boot, t.Lifetime
	v.fresh = t.Remaining(now).Truncate(time.Second)
	v.held.Store(h)
	s.state.Store(&condition{})
}

// fail takes in a failed attempt. What is still valid stays.
func (s *slot) fail(v *variant, err error, now clock.Instant) {
	s.failures++
	limit := capWithout
	switch {
	case v.valid(now):
		limit = capWhileValid
	case len(v.waiting) > 0:
		limit = capWithCaller
	}
	d := judge(err, s.failures, limit, s.suspected, s.b.draw())
	h := holdup{err: err, until: now.Boot + d.wait, parked: d.parked}
	if d.variantOnly {
		v.holdup = h
	} else {
		s.holdup = h
	}
	if refusal, ok := errors.AsType[*grant.Error](err); ok && refusal.Class == grant.InvalidClient {
		s.suspected = true
	}
	c := &condition{err: err}
	if !d.parked {
		c.retry = h.until
	}
	s.state.Store(c)
	s.answer(v, &Unavailable{Err: err, RetryAfter: d.wait})
	if !d.variantOnly {
		for _, other := range s.variants.Load().all {
			s.answer(other, &Unavailable{Err: err, RetryAfter: d.wait})
		}
	}
}

// answer serves everybody who waits for v: the token if it keeps what they asked, else err.
func (s *slot) answer(v *variant, err error) {
	now := s.b.now()
	waiting := v.waiting
	v.waiting = nil
	renewed := err == nil
	if renewed { // whoever is not served now asked for more than there is
		err = &TooLong{Max: v.fresh}
	}
	for _, a := range waiting {
		a.proof = a.proof && !renewed
		a.reply <- v.instead(a, now, err)
	}
}
