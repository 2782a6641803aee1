package broker

import (
	"errors"
	"time"
)

// Status is a profile's state at one moment. It holds no token.
type Status struct {
	// Held is set where the default token is there; what follows, up to Err, describes it.
	Held      bool
	Remaining time.Duration
	Lifetime  time.Duration
	RenewIn   time.Duration // 0 where no renewal is planned
	// LifetimeAssumed and TypeAssumed: the server said neither; see [grant.Token].
	LifetimeAssumed, TypeAssumed bool
	// Err is what stands between the profile and its next token, nil where nothing does; RetryIn is 0 where only a person
	// changes that.
	Err     error
	RetryIn time.Duration
	// Requests counts requests to the token endpoint; Tokens those held.
	Requests int64
	Tokens   int
	// Degraded is why what the profile needs after a restart is not stored, nil where it is.
	Degraded error
}

// AwaitsKeystore reports whether it is the keystore that stands between the profile and its next token.
func (s Status) AwaitsKeystore() bool { return ofKeystore(s.Err) }

// Status returns a profile's state, and false where there is no such profile.
func (b *Broker) Status(name string) (Status, bool) {
	s, ok := b.slot(name)
	if !ok {
		return Status{}, false
	}
	now := b.now()
	c := s.state.Load()
	if passing := errors.Is(c.err, ErrOften) || errors.Is(c.err, ErrQuota); passing && c.retry <= now.Boot {
		c = &condition{}
	}
	st := Status{Err: c.err, Requests: (*s.source.Load()).Requests()}
	if d, ok := (*s.source.Load()).(interface{ Degraded() error }); ok {
		st.Degraded = d.Degraded()
	}
	if c.retry > now.Boot {
		st.RetryIn = c.retry - now.Boot
	}
	for k, v := range s.variants.Load().all {
		h := v.held.Load()
		if h == nil || h.token.Remaining(now) <= 0 {
			continue
		}
		st.Tokens++
		if k == (key{}) {
			st.Held, st.Remaining, st.Lifetime = true, h.token.Remaining(now), h.token.Lifetime
			st.LifetimeAssumed, st.TypeAssumed = h.token.LifetimeAssumed, h.token.TypeAssumed
			if h.token.Lifetime >= backgroundFrom && v.warm(h.renew) {
				st.RenewIn = max(h.renew-now.Boot, 0)
			}
		}
	}
	return st, true
}
