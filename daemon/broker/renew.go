package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// The way of a renewal, step by step, and where each step stands:
//
//  1. Ask. [next] says that a request may leave (next.go). [slot.renew] enters the limiter of the server's origin
//     (ratelimit.go), which calls the [Source] when the request's turn comes.
//  2. Note, send, store. The Source reads the credential, notes in the store that its refresh token will be sent,
//     sends it once, and stores the one that replaces it (Obtain in daemon/credential/renew.go). These steps are
//     the same for every store.
//  3. Publish. [slot.finish] takes in the result: [slot.publish] makes the token the current one, and the callers are
//     answered; or [slot.fail] turns a failure into a [Block] (failure.go), which next takes into account.

// result is the end of one request to the provider.
type result struct {
	t     *tokenSlot
	epoch int
	token grant.Token
	err   error
}

// renew sends one request for t as soon as the limiter of the server's origin allows. The request is detached from
// every caller: once sent it is never cancelled, and the source bounds its time.
func (s *slot) renew(t *tokenSlot, now clock.Instant) {
	st := t.state(t.waiting)
	need := st.need(now)
	s.running, s.before, s.begun = t, t.history, now.Boot
	if now.Boot < t.sent+betweenRenewals(t.life) {
		t.lastEarlyRenewal = now.Boot
	}
	t.sent, t.retryLost, t.pendingDemand = now.Boot, false, false
	s.charge(t, now)
	epoch, source, request := s.epoch, *s.source.Load(), t.request
	request.Refused = t.refused
	limiter, url := s.b.limiter(source.Origin()), source.URL()
	ends := s.keepsOne()
	s.ticket = limiter.enter(&ticket{
		url: url, urgent: s.before.retryLost || verifying(t.waiting), delayed: s.wake,
		run: func() {
			t.ending.Store(ends)
			token, err := obtain(source, request, need)
			limiter.record(url, s.name, err)
			s.post(errand{do: func() { s.finish(result{t: t, epoch: epoch, token: token, err: err}) }})
		},
	}, s.awaited())
}

// withdraw gives up a request of which nothing has been sent yet.
func (s *slot) withdraw() {
	if s.running == nil || !s.ticket.withdraw() {
		return
	}
	s.unsent(s.running)
	s.idle()
}

// unsent restores what a request has changed that has sent nothing.
func (s *slot) unsent(t *tokenSlot) {
	s.refund()
	t.history = s.before
}

// idle is the state without a request.
func (s *slot) idle() {
	s.running, s.ticket = nil, nil
	s.signalIdle()
}

// finish takes in the result of a request.
func (s *slot) finish(r result) {
	s.idle()
	defer r.t.ending.Store(false) // until then nobody is given a token that the request has ended
	if r.epoch != s.epoch {
		return // of an older credential; the callers are served by the next request
	}
	now := s.b.now()
	defer s.record(now)
	if r.err == nil && !slept(r.token, now) && !(&cachedToken{token: r.token}).keeps(unset, now) {
		r.err = &grant.Error{Class: grant.Malformed, Reason: "gave a token that had expired before it came"}
	}
	if r.err == nil && !r.t.refused.IsZero() && r.token.Access.Equal(r.t.refused) {
		r.err = ErrSameToken
		if r.token.Last || r.token.Kept { // there is no other one
			r.err = ErrKeyRefused
		}
		r.t.cached.Store(nil)
	}
	if p, ok := errors.AsType[*PutOff](r.err); ok {
		s.putOff(r.t, p, now)
		return
	}
	if r.err != nil {
		s.lose(r)
		s.fail(r.t, r.err, now)
		return
	}
	s.block, s.failureState, r.t.block, s.quota.failures = &noBlock, failureState{}, &noBlock, bucket{}
	s.publish(r.t, r.token, now)
	s.answer(r.t, nil)
}

// publish makes a token the current one.
func (s *slot) publish(t *tokenSlot, token grant.Token, now clock.Instant) {
	s.took(t, token)
	if ends := s.sessionEnds.Load(); ends != nil {
		token.SessionIdleEnds, token.SessionEnds = UnixOf(ends.Idle), UnixOf(ends.Absolute)
		token.SessionWarning = ends.Untold
	}
	c := &cachedToken{token: token, renew: s.plan(t, token)}
	if old := t.cached.Load(); old != nil && old.token.Access.Equal(token.Access) {
		c.renew, c.serial = max(c.renew, now.Boot+noProgress(token, now)), old.serial
	} else {
		c.serial = s.b.serial.Add(1)
	}
	t.sent, t.life, t.retryLost = token.Sent.Boot, token.Lifetime, false
	switch {
	case token.Shared: // it was as good as one that is obtained here, some time ago
		t.maxMinTTL = token.Lifetime.Truncate(time.Second)
	case !slept(token, now):
		t.maxMinTTL = token.Remaining(now).Truncate(time.Second)
	}
	t.tookID(token, now)
	t.cached.Store(c)
	if t.key == (key{}) { // what was said of the client when other tokens were asked for is over too
		for _, other := range s.tokens.Load().all {
			if other.block.Disabled && clientRefused(other.block.Err) {
				other.block = &noBlock
			}
		}
	}
	s.show(&noBlock)
	if standard := s.lookup(key{}); standard != nil && standard.block.stands(now) {
		s.show(standard.block)
	}
	if token.Hold > 0 {
		s.block = &Block{Whole: true, Err: ErrQuota, Until: after(now, token.Hold)}
		s.show(s.block)
	}
}

// PutOff is why a [Source] has sent nothing: the successor of the refresh token could not have been stored, and the
// token was needed [Ahead] only.
type PutOff struct{ Err error }

func (p *PutOff) Error() string { return p.Err.Error() }

// Unwrap returns why it could not have been stored.
func (p *PutOff) Unwrap() error { return p.Err }

// putOff takes in that the source has put a renewal off. That has cost nothing; it is tried again soon, at the latest
// when the cached token comes to its end. Callers whom that token does not serve go on waiting: they are the reason for
// another request at once.
func (s *slot) putOff(t *tokenSlot, p *PutOff, now clock.Instant) {
	s.unsent(t)
	failures := s.block.Failures + 1
	until := now.Boot + localWait(p.Err, failures, s.b.Draw())
	st := t.state(nil)
	if end := st.ends(); end > now.Boot {
		until = min(until, end)
	}
	s.block = &Block{Whole: true, Err: p.Err, Until: after(now, until-now.Boot), AheadOnly: true, Failures: failures}
	s.show(s.block)
	err := s.block.unavailable(now)
	for _, t := range s.tokens.Load().all {
		st := t.state(nil)
		t.release(func(a *ask) (answer, bool) { return t.instead(*a, now, err), !st.presses(*a, now) })
	}
}

// Recover renews profiles at once, before anything else and although no caller waits: an earlier process has sent their
// refresh token and did not store the answer, and a server that forgives that does so for seconds. A failure is tried
// again like any other, for at most an hour. A profile that has a token is left alone, and so is one that does not
// exist.
func (b *Broker) Recover(names ...string) {
	for _, name := range names {
		if s, ok := b.slot(name); ok {
			s.do(s.recover)
		}
	}
}

// standard returns the default token's slot. A new one counts as unused: a token that no caller has asked for is not
// renewed.
func (s *slot) standard(now clock.Instant) *tokenSlot {
	t := s.lookup(key{})
	if t == nil {
		t = s.tokenSlot(key{}, now)
		t.used.Store(int64(never))
	}
	return t
}

func (s *slot) recover() {
	now := s.b.now()
	t := s.standard(now)
	if t.cached.Load() == nil {
		s.makeUp(t)
	}
}

// makeUp has t asked for at once, for what was sent before and not answered.
func (s *slot) makeUp(t *tokenSlot) {
	s.recovering = s.b.now().Boot + keepWarm
	t.retryLost = s.running == nil // a request under way has the same refresh token, whatever it is for
}
