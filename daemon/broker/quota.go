package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// What one profile asks its server for at most, whatever its callers do: ask for one scope after the other, refuse
// every token, want longer and longer ones. It is an allowance from which each request takes one and which time fills,
// the faster the shorter the tokens in use live. Normal use never exhausts it: a token is renewed at 0.60 of its life
// at the earliest.
const (
	allowance = 72 // all tokens from cold, twice, and then some
	// reserve is the part of it that only the default token may use: callers who ask for others cannot keep it from
	// being renewed.
	reserve = 8
	// The allowance fills with this many requests an hour, and this many more in each token's life.
	perHour = 12
	perLife = 4

	// failureBurst requests in a row may reach the server and fail before the profile waits for failureInterval each
	// time: the burst lasts for ten minutes of an outage, and both together allow at most 50 requests in four hours.
	// What fails alone, a scope or an audience, has the same once more for all of them together, and keeps the default
	// token from nothing.
	failureBurst    = 20
	failureInterval = 9 * time.Minute

	// A person may verify the credential this often at once, then once in this time.
	verifications  = 6
	verifyInterval = 10 * time.Second
)

// quota is what a profile has used of its allowances. The zero quota has used nothing.
type quota struct {
	all, failures, alone, verifications bucket
}

// bucket is an allowance of which some is used. The zero bucket is unused.
type bucket struct {
	used float64
	at   time.Duration // boot time to which used refers
}

// refill gives back what time has given back until now: one in each interval.
func (b *bucket) refill(now, interval time.Duration) {
	b.used = max(0, b.used-float64(now-b.at)/float64(interval))
	b.at = now
}

// wait is how long it takes until one more of an allowance of size may be used.
func (b *bucket) wait(now, interval time.Duration, size float64) time.Duration {
	b.refill(now, interval)
	if over := b.used + 1 - size; over > 0 {
		return time.Duration(over * float64(interval))
	}
	return 0
}

// refillInterval is the time in which the profile's allowance grows by one request.
func (s *slot) refillInterval() time.Duration {
	rate := perHour / float64(time.Hour)
	for _, t := range s.tokens.Load().all {
		if t.life > 0 {
			rate += perLife / float64(t.life)
		}
	}
	return time.Duration(1 / rate)
}

// quotaWait is how long the quota keeps a request from leaving. A person who verifies the credential has an allowance
// of their own.
func (s *slot) quotaWait(k key, verify bool, now clock.Instant) time.Duration {
	switch {
	case verify:
		return s.quota.verifications.wait(now.Boot, verifyInterval, verifications)
	case k == key{}:
		return s.quota.all.wait(now.Boot, s.refillInterval(), allowance)
	}
	return s.quota.all.wait(now.Boot, s.refillInterval(), allowance-reserve)
}

// charge takes a request that begins from the allowances.
func (s *slot) charge(t *tokenSlot, now clock.Instant) {
	s.quota.all.refill(now.Boot, s.refillInterval())
	s.quota.all.used = min(s.quota.all.used+1, allowance)
	if verifying(t.waiting) {
		s.quota.verifications.refill(now.Boot, verifyInterval)
		s.quota.verifications.used++
	}
}

// refund gives back a request that has not reached the server.
func (s *slot) refund() { s.quota.all.used = max(0, s.quota.all.used-1) }

// failureDelay records a failure in the allowance of its kind and returns the minimum delay before the next request.
func (s *slot) failureDelay(of *bucket, err error, now clock.Instant) time.Duration {
	e, ok := errors.AsType[*grant.Error](err)
	_, bug := errors.AsType[*Panic](err) // it may have happened after the request
	if ok && !e.Reached() || !ok && !bug {
		s.refund()
		return 0
	}
	of.refill(now.Boot, failureInterval)
	of.used++
	return of.wait(now.Boot, failureInterval, failureBurst)
}
