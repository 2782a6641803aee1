package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// attempt sends one request as soon as the server's budget allows. It is detached from every caller: once sent it is never
// cancelled, and the source bounds it.
func (s *slot) attempt(v *variant, now clock.Instant) {
	s.before = spacing{sent: v.sent, brought: v.brought, again: v.again, owed: v.owed}
	if now.Boot < v.sent+betweenRenewals(v.life) {
		v.brought = now.Boot
	}
	need := v.need(now)
	s.running, v.sent, v.again, v.owed = v, now.Boot, false, false
	epoch, source, request := s.epoch, *s.source.Load(), v.request
	s.charge(v, now)
	budget := s.b.budget(source.Origin())
	url := source.URL()
	s.turn = budget.enter(&turn{url: url, urgent: s.before.again || v.personal(), broken: s.wake, run: func() {
		token, err := obtain(source, request, need)
		budget.heard(url, s.name, err)
		s.ended <- attempt{v: v, epoch: epoch, token: token, err: err}
	}}, s.awaited())
}

// relieve answers those who wait for a request that an outage keeps from being made, or from being answered. A person
// waits: theirs is made.
func (s *slot) relieve(now clock.Instant) {
	if s.turn == nil {
		return
	}
	outage, wait := s.turn.outage()
	if outage == nil {
		return
	}
	s.show(holdup{err: outage, until: now.Boot + wait})
	for _, v := range s.variants.Load().all {
		var persons []ask
		for _, a := range v.waiting {
			if a.proof {
				persons = append(persons, a)
			} else {
				a.reply <- v.instead(a, now, &Unavailable{Err: outage, RetryAfter: wait})
			}
		}
		v.waiting = persons
	}
}

// spacing is what an attempt changes of its variant when it begins.
type spacing struct {
	sent, brought time.Duration
	again, owed   bool
}

// withdraw gives up an attempt of which nothing has been sent yet.
func (s *slot) withdraw() {
	v := s.running
	if v == nil || !s.turn.withdraw() {
		return
	}
	s.unsent(v)
	s.rest()
}

// unsent is for an attempt that has sent nothing.
func (s *slot) unsent(v *variant) {
	s.refund()
	v.sent, v.brought, v.again, v.owed = s.before.sent, s.before.brought, s.before.again, s.before.owed
}

// rest is the state without an attempt.
func (s *slot) rest() {
	s.running, s.turn = nil, nil
	s.hush()
}

// awaited reports whether any caller waits: for the running attempt, or for another that comes after it.
func (s *slot) awaited() bool {
	for _, v := range s.variants.Load().all {
		if len(v.waiting) > 0 {
			return true
		}
	}
	return false
}

// finish takes in the end of an attempt.
func (s *slot) finish(e attempt) {
	s.rest()
	if e.epoch != s.epoch {
		return // an older credential's; whoever waits is served by the next attempt
	}
	now := s.b.now()
	defer s.record(now)
	if e.err == nil && !slept(e.token, now) && e.token.Remaining(now) < accepted(unset, e.token.Lifetime) {
		e.err = &grant.Error{Class: grant.Malformed, Reason: "gave a token that had expired before it came"}
	}
	if e.err == nil && !e.v.refused.IsZero() && e.token.Access.Equal(e.v.refused) {
		e.err = ErrSameToken
		e.v.held.Store(nil)
	}
	if p, ok := asPutOff(e.err); ok {
		s.defers(e.v, p, now)
		return
	}
	if e.err != nil {
		s.fail(e.v, e.err, now)
		return
	}
	s.trouble, e.v.holdup, s.ceiling.failures = trouble{}, holdup{}, bucket{}
	s.publish(e.v, e.token, now)
	s.answer(e.v, nil)
}

// publish makes a token the current one.
func (s *slot) publish(v *variant, t grant.Token, now clock.Instant) {
	h := &held{token: t, renew: renewalPoint(t, s.b.Draw())}
	if old := v.held.Load(); old != nil && old.token.Access.Equal(t.Access) {
		h.renew = max(h.renew, now.Boot+noProgress(t, now))
	}
	v.sent, v.life, v.again = t.Sent.Boot, t.Lifetime, false
	if !slept(t, now) {
		v.fresh = t.Remaining(now).Truncate(time.Second)
	}
	v.held.Store(h)
	s.state.Store(&condition{})
	if standard := s.lookup(key{}); standard != nil && standard.holdup.stands(now) {
		s.show(standard.holdup)
	}
	if t.Hold > 0 {
		s.trouble.holdup = holdup{err: ErrQuota, until: now.Boot + t.Hold}
		s.show(s.holdup)
	}
}

// fail takes in a failed attempt. What is still valid stays.
func (s *slot) fail(v *variant, err error, now clock.Instant) {
	f := failure{
		err: err, trouble: s.trouble, standard: v.key == key{}, life: v.life, limit: capWithout, draw: s.b.Draw(),
	}
	recovers := v.key == key{} && s.recovering > now.Boot
	switch {
	case v.valid(now):
		f.limit = capWhileValid
	case recovers || len(v.waiting) > 0:
		f.limit = capWithCaller
	}
	if e, ok := errors.AsType[*grant.Error](err); ok && !e.Reached() { // it has cost nobody anything, and a network that is back should be found soon
		f.limit = capWhileValid
	}
	d := judge(f)
	v.again = d.again || recovers && !d.parked
	v.sent, v.brought = s.before.sent, s.before.brought // it renewed nothing: how soon the next may leave is the backoff's to say
	if d.variantOnly {
		v.holdup = d.holdup(err, now)
		s.answer(v, &Unavailable{Err: err, RetryAfter: d.wait})
		if f.standard {
			s.show(v.holdup)
		}
		return
	}
	err = s.remember(err)
	if tired := s.impatience(err, now); !d.again && !d.parked {
		d.wait = max(d.wait, tired)
		source := *s.source.Load()
		if outage, wait := s.b.budget(source.Origin()).fails(source.URL(), err); outage != nil {
			err, d.wait = outage, max(wait, tired, wish(err))
		}
	}
	s.trouble.holdup = d.holdup(err, now)
	s.show(s.holdup)
	for _, each := range s.variants.Load().all {
		s.answer(each, &Unavailable{Err: err, RetryAfter: d.wait})
	}
}

// remember keeps of a failure what later ones are judged by, and explains it by what an earlier process left.
func (s *slot) remember(err error) error {
	s.failures++
	if refusal, ok := errors.AsType[*grant.Error](err); ok {
		s.retried = s.retried || refusal.Action() == grant.RetryOnceSoon
		s.suspected = s.suspected || refusal.Class == grant.InvalidClient
	}
	if s.recovering > 0 && errors.Is(err, keystore.ErrUnanswered) {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return err
}

// show makes what stands in the way the slot's condition.
func (s *slot) show(h holdup) {
	c := &condition{err: h.err}
	if !h.parked {
		c.retry = h.until
	}
	s.state.Store(c)
}

// answer serves everybody who waits for v: the token if it keeps what they asked, else err. Without one a token has just
// come; whoever asked for more than it has left goes on waiting if that is only because the machine slept while it came.
func (s *slot) answer(v *variant, err error) {
	now := s.b.now()
	waiting := v.waiting
	v.waiting = nil
	renewed, late := err == nil, false
	if renewed {
		late = slept(v.held.Load().token, now)
		err = &TooLong{Max: v.fresh}
	}
	for _, a := range waiting {
		a.proof = a.proof && !renewed
		r := v.instead(a, now, err)
		if r.err != nil && late {
			v.waiting = append(v.waiting, a)
			continue
		}
		a.reply <- r
	}
}
