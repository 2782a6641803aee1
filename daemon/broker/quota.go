package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// What one profile asks its server at most, whatever its callers do: ask for one scope after the other, refuse every token,
// want longer and longer ones. It is an allowance that each request takes from and that time fills, the faster the shorter
// the tokens in use live. Normal use never meets it: a token is renewed at 0.60 of its life at the earliest.
const (
	allowance = 72 // all variants from cold, twice, and then some
	// reserve is what of it is for the profile's default token: nobody can keep that one from being renewed by asking for others.
	reserve = 8
	// The allowance fills with this many requests an hour, and this many more in each token's life.
	perHour = 12
	perLife = 4

	// failureBurst is how many requests in a row may reach the server and fail before the profile waits for failureInterval each
	// time: the first is ten minutes of an outage, both together are at most 50 requests in four hours.
	failureBurst    = 20
	failureInterval = 9 * time.Minute

	// A person's verifications: this many at once, then one in this time.
	verifications  = 6
	verifyInterval = 10 * time.Second
)

// ceiling is what a profile has left of its allowances. The zero ceiling has all of them.
type quota struct {
	all, failures, verifications bucket
}

// bucket is an allowance of which some is used. The zero bucket is full.
type bucket struct {
	used float64
	at   time.Duration // boot time as of which used is right
}

// drain lets an allowance fill until now, by one in every.
func (b *bucket) drain(now, every time.Duration) {
	b.used = max(0, b.used-float64(now-b.at)/float64(every))
	b.at = now
}

// wait is how long it takes until one more may be used of most.
func (b *bucket) wait(now, every time.Duration, most float64) time.Duration {
	b.drain(now, every)
	if over := b.used + 1 - most; over > 0 {
		return time.Duration(over * float64(every))
	}
	return 0
}

// every is the time in which the profile's allowance grows by one request.
func (s *slot) every() time.Duration {
	rate := perHour / float64(time.Hour)
	for _, v := range s.tokens.Load().all {
		if v.life > 0 {
			rate += perLife / float64(v.life)
		}
	}
	return time.Duration(1 / rate)
}

// quotaWait is how long the ceiling keeps a request from being made; a person's only the one for persons.
func (s *slot) quotaWait(k key, verify bool, now clock.Instant) time.Duration {
	switch {
	case verify:
		return s.quota.verifications.wait(now.Boot, verifyInterval, verifications)
	case k == key{}:
		return s.quota.all.wait(now.Boot, s.every(), allowance)
	}
	return s.quota.all.wait(now.Boot, s.every(), allowance-reserve)
}

// charge is for an attempt that begins.
func (s *slot) charge(v *tokenSlot, now clock.Instant) {
	s.quota.all.drain(now.Boot, s.every())
	s.quota.all.used = min(s.quota.all.used+1, allowance)
	if verifying(v.waiting) {
		s.quota.verifications.drain(now.Boot, verifyInterval)
		s.quota.verifications.used++
	}
}

// refund is for one that has not reached the server.
func (s *slot) refund() { s.quota.all.used = max(0, s.quota.all.used-1) }

// failureDelay takes in a failure of the profile and returns how long it wants the next request to wait at least.
func (s *slot) failureDelay(err error, now clock.Instant) time.Duration {
	e, ok := errors.AsType[*grant.Error](err)
	_, bug := errors.AsType[*Panic](err) // it may have happened after the request
	if ok && !e.Reached() || !ok && !bug {
		s.refund()
		return 0
	}
	s.quota.failures.drain(now.Boot, failureInterval)
	s.quota.failures.used++
	return s.quota.failures.wait(now.Boot, failureInterval, failureBurst)
}
