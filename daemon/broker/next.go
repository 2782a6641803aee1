package broker

import (
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// forever is a boot time after every other, never one before every other.
const (
	forever time.Duration = 1 << 62
	never   time.Duration = -1 << 62
)

// state is everything that decides when the next request for one token of a profile may leave. It is a plain value.
type state struct {
	// busy is set while a request of the profile is under way and while the profile is paused or stopping.
	busy bool
	// block concerns all tokens of the profile.
	block Block
	// quota is the boot time from which the profile's quota admits another request; see [slot.quotaWait].
	quota time.Duration
	// spread is the boot time before which no renewal leaves that no caller waits for; see [resumeSpread].
	spread time.Duration
	tokenState
}

// tokenState is the part of a state that belongs to one token.
type tokenState struct {
	block   Block         // concerns this token only
	cached  *cachedToken  // nil: there is none
	life    time.Duration // the lifetime of the last token; 0 before the first
	used    time.Duration // boot time of the last use
	keep    time.Duration // boot time from which the session is renewed although nothing uses it; 0: never
	waiting []ask
	id      idState
	history
}

// history is what a request changes of its token's state when it begins. It is restored when nothing was sent.
type history struct {
	sent             time.Duration // boot time at which the last renewal left
	lastEarlyRenewal time.Duration // boot time of the last renewal that an explicit min_ttl brought forward
	retryLost        bool          // the last answer was lost: the next request leaves although no caller waits
	pendingDemand    bool          // callers were not served when a keystore or a connection failed, and it is back
}

// next is the one place that decides when a request leaves. It returns the boot time from which one may leave,
// [forever] where time alone changes nothing, and the Block that keeps it from leaving now. With the zero Block no
// caller need be refused: the request leaves now, or is not wanted yet, or follows the one that is under way. It may
// leave now exactly if when is not after now.
func next(s state, now clock.Instant) (when time.Duration, why Block) {
	wanted := min(s.wantedByCallers(now), s.wantedByPlan(s.spread))
	if wanted == forever {
		return forever, Block{}
	}
	when = wanted
	for _, b := range []Block{s.block, s.tokenState.block} {
		switch {
		case b.AheadOnly && s.need(now) == Now:
			continue
		case b.final():
			when = forever
		default:
			when = max(when, b.Until.Boot)
		}
		if why.Err == nil && b.stands(now) {
			why = b
		}
	}
	if why.Err == nil && wanted <= now.Boot && s.quota > now.Boot {
		why = Block{Err: ErrOften, Until: after(now, s.quota-now.Boot)}
	}
	if s.busy {
		return forever, why
	}
	return max(when, s.quota), why
}

// wantedByCallers is the boot time from which a renewal may leave for the callers who wait. A caller whose explicit
// min_ttl is not met may bring one renewal forward in each interval, so that the greatest possible min_ttl can be had
// right after a token was obtained; so may one whose ID token has ended. A person who verifies the credential waits a
// second at most.
func (t *tokenState) wantedByCallers(now clock.Instant) time.Duration {
	switch {
	case len(t.waiting) == 0:
		return forever
	case t.cached == nil:
		return never
	}
	interval := betweenRenewals(t.life)
	at := t.sent + interval
	for _, a := range t.waiting {
		switch {
		case a.verify:
			at = min(at, t.sent+time.Second)
		case a.id && t.id.rejected:
			return never
		case a.id:
			if !keepsID(t.id.token, a.minTTL, now) {
				at = min(at, t.lastEarlyRenewal+interval)
			}
		case a.minTTL != unset && !t.cached.keeps(a.minTTL, now):
			at = min(at, t.lastEarlyRenewal+interval)
		}
	}
	return at
}

// wantedByPlan is the boot time of the next renewal that no caller waits for, not before spread. The retry of a lost
// answer is not spread: it is worth something only soon, and there are few.
func (t *tokenState) wantedByPlan(spread time.Duration) time.Duration {
	switch {
	case t.retryLost:
		return never
	case t.pendingDemand:
		return spread
	}
	at := forever
	if t.cached != nil && t.cached.planned(t.used) {
		at = t.cached.renew
	}
	at = min(at, t.id.planned(t.cached))
	if t.keep != 0 {
		at = min(at, t.keep)
	}
	return max(at, spread)
}

// Need says what a token is needed for, and so what may be risked for it.
type Need int

const (
	// Ahead: the cached token will do for a while. A refresh token whose successor could not be stored is not spent for
	// the next one.
	Ahead Need = iota
	// Now: there is no token, it is about to end, a caller was not served by it, or a refresh token may already be used
	// up while its server still forgives that. A successor that cannot be stored is kept in memory.
	Now
)

// need is what a renewal of the token is for.
func (t *tokenState) need(now clock.Instant) Need {
	if t.retryLost || t.ends() <= now.Boot {
		return Now
	}
	for _, a := range t.waiting {
		if t.presses(a, now) {
			return Now
		}
	}
	return Ahead
}

// ends is the boot time from which the cached token is not enough for a caller without an explicit min_ttl: from then
// on callers wait for a renewal.
func (t *tokenState) ends() time.Duration {
	if t.cached == nil {
		return never
	}
	life := t.cached.token.Lifetime
	return t.cached.token.Sent.Boot + life - max(waitBelow(life), lastServed(life))
}

// presses reports whether the cached token is of no use to a caller. A person who verifies the credential does not
// press: no refresh token is spent for that whose successor could not be stored.
func (t *tokenState) presses(a ask, now clock.Instant) bool {
	if a.id {
		return !keepsID(t.id.token, a.minTTL, now)
	}
	return t.ends() <= now.Boot || !t.cached.keeps(a.minTTL, now)
}
