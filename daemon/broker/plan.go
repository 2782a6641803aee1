package broker

import (
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// The renewal policy. Each number is a fraction of the token's lifetime L with a cap, so that a token that lives ten
// seconds obeys the same rules as one that lives a day. The comments give the value for L = 839 s, which is how long
// SpatiaFi's 900 s token is good for by its own expires_in.
const (
	// A renewal is planned at one uniform draw per token between these fractions of L: 503-629 s. It is drawn once per
	// token, so that a thousand machines started together drift apart instead of renewing in step for ever.
	earliestRenewal = 0.60
	latestRenewal   = 0.75

	// backgroundFrom is the shortest L with which a token is renewed before a caller asks.
	backgroundFrom = 8 * time.Second
	// keepWarm is how long after its last use a token is still renewed.
	keepWarm = time.Hour
)

// waitBelow is the remaining life below which a caller waits for a renewal: 84 s.
func waitBelow(life time.Duration) time.Duration { return min(life/10, 2*time.Minute) }

// defaultMinTTL is the min_ttl of a caller without an explicit one: 60 s, the margin that authlib subtracts. It is at
// most what the latest planned renewal leaves, or callers would renew a short-lived token before its time.
func defaultMinTTL(life time.Duration) time.Duration { return min(time.Minute, life/4) }

// lastServed is the remaining life below which a token is never handed out, whatever fails: 5 s.
func lastServed(life time.Duration) time.Duration { return min(5*time.Second, life/4) }

// betweenRenewals is the least time between two renewals of one token: 30 s.
func betweenRenewals(life time.Duration) time.Duration { return min(30*time.Second, life/4) }

// betweenRejections is the least time between two renewals that an API's refusal caused: 60 s.
func betweenRejections(life time.Duration) time.Duration { return min(time.Minute, life) }

// unset is the min_ttl of a caller without an explicit one.
const unset time.Duration = -1

// wanted is the remaining life with which a token is handed out at once.
func wanted(minTTL, life time.Duration) time.Duration {
	if minTTL == unset {
		return max(defaultMinTTL(life), waitBelow(life))
	}
	return max(accepted(minTTL, life), waitBelow(life))
}

// accepted is the remaining life with which a token is handed out when no better one is to be had: an explicit min_ttl
// is a promise; without one any token will do that is not about to expire.
func accepted(minTTL, life time.Duration) time.Duration {
	return max(minTTL, lastServed(life))
}

// renewalPoint is the boot time at which a token should be renewed, for one draw in [0, 1).
func renewalPoint(t grant.Token, draw float64) time.Duration {
	share := earliestRenewal + (latestRenewal-earliestRenewal)*draw
	return t.Sent.Boot + time.Duration(share*float64(t.Lifetime))
}

// lateRenewalPoint is renewalPoint where the renewal ends the token: when the next caller would wait for it anyway, or
// up to 30 s sooner.
func lateRenewalPoint(t grant.Token, draw float64) time.Duration {
	apart := time.Duration(draw * float64(min(t.Lifetime/20, 30*time.Second)))
	return t.Sent.Boot + t.Lifetime - wanted(unset, t.Lifetime) - apart
}

// Waiting times after failures, counted from the end of a request.
const (
	firstBackoff = time.Second
	// While there is a valid token, twelve requests and more fit between the renewal point and its end.
	capWhileValid = 30 * time.Second
	capWithCaller = time.Minute
	capWithout    = 5 * time.Minute
	capSeldom     = 15 * time.Minute
	// slowly is by how many steps a backoff begins later, at 8 s, where nothing will be different in a second.
	slowly = 3
	// confirmAfter is the least wait until an invalid_client is confirmed by a second request.
	confirmAfter = time.Minute
	// reviewFirst is how long after the confirmation a client that the server does not know is asked about again, in
	// case that was the server's fault; each time twice as long, reviewMost at most.
	reviewFirst = time.Hour
	reviewMost  = 24 * time.Hour
	// localBackoff follows a failure on this machine that cost no server anything.
	localBackoff = time.Second
)

// reviewWait is how long a client that was refused is not asked about, after n earlier probes (n >= 0).
func reviewWait(n int) time.Duration {
	wait := reviewFirst
	for range min(n, 8) {
		wait *= 2
	}
	return min(wait, reviewMost)
}

// backoff is how long to wait after the n-th failure in a row (n >= 1): full jitter under a cap that doubles. The
// server's Retry-After, if any, is the least wait.
func backoff(n int, limit, retryAfter time.Duration, draw float64) time.Duration {
	most := limit
	if n < 10 { // 2^9 s is beyond every cap
		most = min(limit, firstBackoff<<(n-1))
	}
	wait := max(time.Duration(draw*float64(most)), most/8)
	if retryAfter > 0 {
		return max(wait, retryAfter+time.Duration(draw*float64(retryAfter)/10))
	}
	return wait
}

// quickRetry is the wait before the one early retry of a request whose answer was lost: long enough for the server to
// be done with it, and within the time for which servers that rotate refresh tokens still accept the previous one (30 s
// at Okta).
func quickRetry(draw float64) time.Duration {
	return 2*time.Second + time.Duration(draw*float64(3*time.Second))
}

// slept reports whether the machine has slept while a token was on its way: no request takes so long, nor does storing
// its result. The token's age says nothing then about how fresh the next one will be.
func slept(t grant.Token, now clock.Instant) bool { return now.Sub(t.Sent) > 30*time.Second }

// resumeSpread is the time over which the renewals are spread that became due while the machine slept.
const resumeSpread = 30 * time.Second

// noProgress is the least time until the next renewal after the server has answered with the same token again: asking a
// server that hands out its cached token more often only makes it hand it out more often.
func noProgress(t grant.Token, now clock.Instant) time.Duration {
	return max(30*time.Second, t.Remaining(now)/2)
}
