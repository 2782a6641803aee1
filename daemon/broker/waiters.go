package broker

import (
	"errors"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// ask is one caller's question to the owner.
type ask struct {
	key       key
	minTTL    time.Duration
	refused   keystore.Secret // the token that an API refused, or empty
	id        bool            // an ID token is asked for; see idtoken.go
	exactly   string          // where key is the default token's: the scope that it must have been granted, or empty
	otherwise error           // the answer where it was granted another one
	verify    bool            // only a token of a request that is still to leave will do
	reply     chan answer     // buffered: the owner never waits for a caller
	done      <-chan struct{} // closed when the caller waits no longer
}

type answer struct {
	token grant.Token
	id    *grant.IDToken // the answer to who asked for an ID token
	err   error
}

// left reports whether the caller waits no longer.
func (a ask) left() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// handle answers one caller, or lets it wait where a request may help.
func (s *slot) handle(a ask) {
	now := s.b.now()
	if t := s.lookup(a.key); t != nil && !a.refused.IsZero() && !a.id {
		s.weigh(t, a.refused, now)
	}
	if err := s.toDefault(&a); err != nil {
		a.reply <- answer{err: err}
		return
	}
	t := s.lookup(a.key)
	if t == nil {
		if err := s.refuseNew(a, now); err != nil {
			a.reply <- answer{err: err}
			return
		}
		t = s.tokenSlot(a.key, now)
	}
	if t == nil {
		a.reply <- answer{err: &Unavailable{Err: ErrManyTokens, RetryAfter: time.Second}}
		return
	}
	t.touch(now)
	if a.id {
		t.touchID(now)
	}
	switch {
	case a.refused.IsZero():
	case a.id:
		s.rejectID(t, a.refused, now)
	default:
		s.reject(t, a.refused, now)
	}
	if a.verify {
		s.forgive(t)
	} else if t.hits(a, now) {
		a.reply <- t.instead(a, now, nil)
		return
	}
	if err := s.refuse(t, a, now); err != nil {
		a.reply <- t.instead(a, now, err)
		return
	}
	t.await(a)
	if s.ticket != nil {
		s.ticket.prioritize(a.verify)
	}
	if s.paused > 0 {
		s.serve(t, now)
	}
}

// refuseNew returns why a token that was never asked for cannot be had now, or nil: a cached one need not make room for
// it.
func (s *slot) refuseNew(a ask, now clock.Instant) error {
	if a.verify {
		return nil
	}
	t := tokenState{waiting: []ask{a}, history: history{sent: never, lastEarlyRenewal: never}}
	_, why := next(s.state(a.key, t, now), now)
	if why.Err == nil {
		return nil
	}
	if errors.Is(why.Err, ErrOften) {
		s.show(why.kept())
	}
	s.probe(now)
	return why.unavailable(now)
}

// refuse returns why waiting would not help a caller, or nil.
func (s *slot) refuse(t *tokenSlot, a ask, now clock.Instant) error {
	switch {
	case s.stopping:
		return &Unavailable{Err: ErrStopped, RetryAfter: time.Second}
	case !a.id && a.minTTL > t.maxMinTTL && t.maxMinTTL > 0:
		return &TooLong{Max: t.maxMinTTL}
	case s.running == t:
		return nil
	case a.id:
		if err := t.hopeless(a, now); err != nil {
			return err
		}
	}
	_, why := next(s.state(t.key, t.state([]ask{a}), now), now)
	if why.Err == nil {
		return nil
	}
	s.probe(now)
	return why.unavailable(now)
}

// probe asks for the default token where a refused client may be asked about again, since a caller asks for any.
func (s *slot) probe(now clock.Instant) {
	if s.block.Disabled && !s.block.stands(now) {
		s.standard(now).pendingDemand = true
	}
}

// forgive forgets what blocks the next request: a person asks for one. What explains a refusal is kept.
func (s *slot) forgive(t *tokenSlot) {
	s.block, t.block = &noBlock, &noBlock
	s.failureState = failureState{recovering: s.recovering}
}

// reject makes sure that a token that an API refused is not handed out again. If it is the current one a renewal
// follows, at most one in [betweenRejections].
func (s *slot) reject(t *tokenSlot, token keystore.Secret, now clock.Instant) {
	c := t.cached.Load()
	if c == nil || !c.token.Access.Equal(token) {
		return
	}
	t.refused = c.token.Access
	t.cached.Store(nil)
	if t.block.Disabled {
		return // no renewal follows
	}
	if next := s.rejectedAt + betweenRejections(t.life); now.Boot < next {
		t.block = &Block{
			Scope: t.key.scope, Audience: t.key.audience, Err: ErrRejected, Until: after(now, next-now.Boot),
		}
		if t.key == (key{}) && !s.block.stands(now) {
			s.show(t.block)
		}
		return
	}
	s.rejectedAt = now.Boot
}

// pruneAbove is the number of waiting callers up to which those who have left are not looked for.
const pruneAbove = 64

// await lets a caller wait, also one that has left: what it sets in motion is for the next. The others who have left
// are removed each time the number of callers has doubled.
func (t *tokenSlot) await(a ask) {
	if len(t.waiting) >= max(t.pruneFrom, pruneAbove) {
		t.waiting = slices.DeleteFunc(t.waiting, ask.left)
		t.pruneFrom = 2 * len(t.waiting)
	}
	t.waiting = append(t.waiting, a)
}

// awaited reports whether any caller waits, for the running request or for one that comes after it.
func (s *slot) awaited() bool {
	for _, t := range s.tokens.Load().all {
		if len(t.waiting) > 0 {
			return true
		}
	}
	return false
}

// release answers the waiting callers for whom answerOf returns true; the others go on waiting.
func (t *tokenSlot) release(answerOf func(a *ask) (answer, bool)) {
	var rest []ask
	for _, a := range t.waiting {
		if r, ok := answerOf(&a); ok {
			a.reply <- r
		} else {
			rest = append(rest, a)
		}
	}
	t.waiting = rest
}

// answer answers the callers who wait for t: with the token if it keeps what they asked, otherwise with err. Without
// err a token has just come; a caller who asked for more than it has left goes on waiting if that is only because the
// machine slept while it came, or because another machine had it before.
func (s *slot) answer(t *tokenSlot, err error) {
	now := s.b.now()
	renewed, late := err == nil, false
	if renewed {
		c := t.cached.Load()
		late = slept(c.token, now) || c.token.Shared
		err = &TooLong{Max: t.maxMinTTL}
	}
	t.release(func(a *ask) (answer, bool) {
		a.verify = a.verify && !renewed
		why := err
		if renewed && a.id {
			why = t.afterRenewal(*a, now)
		}
		r := t.instead(*a, now, why)
		return r, r.err == nil || !late
	})
}

// serve answers the callers who wait for t and who can be served with the cached token.
func (s *slot) serve(t *tokenSlot, now clock.Instant) {
	t.release(func(a *ask) (answer, bool) {
		r := t.instead(*a, now, ErrWaited)
		return r, r.err == nil
	})
}

// failAll answers every caller: what they wait for will not come.
func (s *slot) failAll() {
	for _, t := range s.tokens.Load().all {
		s.answer(t, &Unavailable{Err: ErrStopped, RetryAfter: time.Second})
	}
}

// failFast answers, during an outage that keeps the request from leaving or from being answered, the callers who wait:
// with the cached token if it is still valid, otherwise with the outage. A person who verifies the credential goes on
// waiting, for that request leaves in spite of the outage.
func (s *slot) failFast(now clock.Instant) {
	if s.ticket == nil {
		return
	}
	outage, wait := s.ticket.outage()
	if outage == nil {
		return
	}
	b := Block{Whole: true, Err: outage, Until: after(now, wait)}
	s.show(b.kept())
	err := b.unavailable(now)
	for _, t := range s.tokens.Load().all {
		t.release(func(a *ask) (answer, bool) { return t.instead(*a, now, err), !a.verify })
	}
}
