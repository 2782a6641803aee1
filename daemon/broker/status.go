package broker

import (
	"errors"
	"slices"
	"time"
)

// Status is a profile's state at one moment. It holds no token.
type Status struct {
	// Held is set where the default token is there; what follows, up to Err, describes it.
	Held bool
	// Serial is another number for each default token that the broker has obtained, also for one that has expired; 0
	// where there is none.
	Serial uint64
	// Static: it is an API key, which does not expire; the times are those of groatd's copy.
	Static    bool
	Remaining time.Duration
	Lifetime  time.Duration
	RenewIn   time.Duration // 0 where no renewal is planned
	// LifetimeAssumed and TypeAssumed: the server said neither; see [grant.Token].
	LifetimeAssumed, TypeAssumed bool
	// Last: the session ends with the token; see [grant.Token].
	Last bool
	// Err is why no request for a token leaves, nil where one may; RetryIn is when one may, 0 where only a person
	// changes that.
	Err     error
	RetryIn time.Duration
	// Requests counts requests to the token endpoint; Tokens those held.
	Requests int64
	Tokens   int
	// Session is when the session ends.
	Session SessionEnds
	// Ending is how it is known that the server ends earlier tokens of the session at each renewal.
	Ending Ending
	// Narrowing is what is known of a server that narrows sessions.
	Narrowing Narrowing
	// Degraded is why the newest credential is in memory only, nil where it is stored.
	Degraded error
}

// AwaitsKeystore reports whether it is the keystore that keeps the profile from its next token.
func (s Status) AwaitsKeystore() bool { return ofKeystore(s.Err) }

// EndWithTokens returns the profiles whose sign-in is nothing but an access token in memory, since the server gave no
// refresh token, and whose token is still good. They are sorted.
func (b *Broker) EndWithTokens() (names []string) {
	now := b.now()
	for name, s := range *b.slots.Load() {
		t := s.tokens.Load().standard
		if t == nil {
			continue
		}
		if c := t.cached.Load(); c != nil && c.token.EndsSession() && c.token.Remaining(now) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// passing reports whether nothing stands in the way once the time of a Block is over, though no request has succeeded.
func passing(err error) bool {
	return errors.Is(err, ErrOften) || errors.Is(err, ErrQuota) || errors.Is(err, ErrRejected)
}

// Status returns a profile's state, and false where there is no such profile.
func (b *Broker) Status(name string) (Status, bool) {
	s, ok := b.slot(name)
	if !ok {
		return Status{}, false
	}
	now := b.now()
	block := *s.shown.Load()
	if passing(block.Err) && !block.stands(now) {
		block = Block{}
	}
	source := *s.source.Load()
	st := Status{Err: block.Err, Requests: source.Requests(), Degraded: source.Degraded(), Ending: s.ending(),
		Narrowing: s.narrowing()}
	if ends := s.sessionEnds.Load(); ends != nil {
		st.Session = *ends
	}
	if !block.final() && block.stands(now) {
		st.RetryIn = block.Until.Boot - now.Boot
	}
	for _, t := range s.tokens.Load().all {
		c := t.cached.Load()
		if c != nil && t.key == (key{}) {
			st.Serial = c.serial
		}
		if c == nil || c.token.Remaining(now) <= 0 {
			continue
		}
		st.Tokens++
		if t.key == (key{}) {
			st.Held, st.Remaining, st.Lifetime = true, c.token.Remaining(now), c.token.Lifetime
			st.Static, st.Last = c.token.Static, c.token.Last
			st.LifetimeAssumed, st.TypeAssumed = c.token.LifetimeAssumed, c.token.TypeAssumed
			if c.planned(s.usedAt(time.Duration(t.used.Load()))) {
				st.RenewIn = max(c.renew-now.Boot, 0)
			}
		}
	}
	if st.Last && !st.Static && st.Remaining <= warnBefore(st.Lifetime) {
		st.Session.Soon = true
	}
	if st.Last && errors.Is(st.Err, ErrEnded) { // not before the token does
		st.Err, st.RetryIn = nil, 0
	}
	return st, true
}
