package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Errors of a Broker; anything else a caller gets is in the chain of an [*Unavailable].
var (
	// ErrUnknown: there is no such profile.
	ErrUnknown = errors.New("no such profile")
	// ErrEnded: the session ended with its last access token, for the server gave no refresh token.
	ErrEnded = errors.New("the session has ended")
	// ErrStopped: the broker or the profile was closed while the caller waited.
	ErrStopped = errors.New("the daemon is stopping")
	// ErrWaited: the caller's own time was over before an answer came.
	ErrWaited = errors.New("the authorization server has not answered yet")
	// ErrRejected: an API refused the token, and the next one may not be asked for yet.
	ErrRejected = errors.New("the API refused this token moments ago and it was already replaced once")
	// ErrSameToken: the server answered with the very token that an API had refused.
	ErrSameToken = errors.New("the authorization server gave out the refused token again")
	// ErrManyTokens: so many scopes and audiences of the profile are being waited for that no other can be.
	ErrManyTokens = errors.New("too many different tokens of this profile are being waited for")
	// ErrOften: the profile's callers have made it ask the server more often than the life of its tokens explains.
	ErrOften = errors.New("the callers of this profile wanted new tokens more often than its tokens' lives explain")
	// ErrQuota: by its own count the server grants no further token yet.
	ErrQuota = errors.New("the authorization server's quota is used up")
	// ErrRotationLost: the server refuses a refresh token that it may have replaced by one that is not here. In the same chain
	// are why, one of package keystore's reasons for doubt, and the server's refusal, a [*grant.Error].
	ErrRotationLost = errors.New("the server replaced the session's refresh token by one that is not here")
	// ErrInterrupted: groatd ended between that request and its answer; beside [ErrRotationLost] and why.
	ErrInterrupted = errors.New("groatd ended before it had stored the answer")
)

// Unavailable says that there is no token that keeps what was asked.
type Unavailable struct {
	// Err is why: a [*grant.Error], a keystore sentinel, or one of this package's.
	Err error
	// RetryAfter is how long until it may be different; 0 where only a person or the configuration changes it.
	RetryAfter time.Duration
}

func (u *Unavailable) Error() string { return u.Err.Error() }
func (u *Unavailable) Unwrap() error { return u.Err }

// TooLong says that a min_ttl was asked for that no fresh token can keep.
type TooLong struct {
	// Max is the greatest min_ttl that one can.
	Max time.Duration
}

func (t *TooLong) Error() string {
	return fmt.Sprintf("a fresh access token is good for %d seconds at most", int64(t.Max/time.Second))
}

// holdup is what stands between a slot and its next request. The zero holdup is nothing.
type holdup struct {
	err error
	// until is the boot time from which the next attempt may be made; it has no meaning where parked is set.
	until time.Duration
	// parked: no attempt until a new credential or configuration comes.
	parked bool
	// ahead: only what is [Ahead] is held up.
	ahead bool
}

// stands reports whether no attempt may be made now.
func (h holdup) stands(now clock.Instant) bool { return h.parked || h.until > now.Boot }

// trouble is what failures leave behind until a request succeeds.
type trouble struct {
	failures  int  // in a row
	suspected bool // the server refused the client once
	retried   bool // an answer was lost, and the one quick retry of it has been granted
	// recovering is until when, in boot time, the default token is asked for though nobody does; see [Broker.Recover].
	recovering time.Duration
	holdup     holdup
}

// failure is one failed attempt with all that decides what it means.
type failure struct {
	err error
	trouble
	standard bool          // the profile's default token was asked for
	life     time.Duration // of the last token
	limit    time.Duration // caps a backoff
	draw     float64
}

// verdict is what one failed attempt means for the next.
type verdict struct {
	wait   time.Duration
	parked bool
	// variantOnly: the refusal is about what was asked for, not about the credential.
	variantOnly bool
	// again: the next attempt is made though nobody waits for it.
	again bool
}

func (d verdict) holdup(err error, now clock.Instant) holdup {
	return holdup{err: err, until: now.Boot + d.wait, parked: d.parked}
}

// judge is pure. What is to be done about a server's answer is [grant.Error.Action]'s to say; here it gets its times, by
// what went before.
func judge(f failure) verdict {
	nth := f.failures + 1
	refusal, ok := errors.AsType[*grant.Error](f.err)
	switch {
	case errors.Is(f.err, ErrSameToken):
		return verdict{wait: betweenRejections(f.life), variantOnly: true}
	case !ok:
		return verdict{wait: local(f.err, nth, f.draw)}
	}
	wish := refusal.RetryAfter
	switch refusal.Action() {
	case grant.Park:
		return verdict{parked: true}
	case grant.ParkRequest:
		return verdict{parked: true, variantOnly: true}
	case grant.ParkDoubtful:
		return verdict{parked: true, variantOnly: !f.standard}
	case grant.ConfirmThenPark:
		if f.suspected {
			return verdict{parked: true}
		}
		return verdict{wait: max(confirmAfter, wish)}
	case grant.RetryOnceSoon:
		if !f.retried {
			return verdict{wait: max(quickRetry(f.draw), wish), again: true}
		}
		return verdict{wait: backoff(nth+slowly, f.limit, wish, f.draw)}
	case grant.RetrySlowly:
		return verdict{wait: backoff(nth+slowly, capWithout, wish, f.draw)}
	case grant.RetrySeldom:
		return verdict{wait: backoff(nth+slowly, capSeldom, wish, f.draw)}
	}
	return verdict{wait: backoff(nth, f.limit, wish, f.draw)}
}

// wish is what the server that failed has asked for, 0 where it has not.
func wish(err error) time.Duration {
	if e, ok := errors.AsType[*grant.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// local is the wait after a failure that never left this machine. Such a failure is never remembered for long: what a
// person does about it (unlocking a keychain) should help at once.
func local(err error, failures int, draw float64) time.Duration {
	if errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrLocked) {
		return backoff(failures, capWhileValid, 0, draw)
	}
	if _, bug := errors.AsType[*Bug](err); bug { // which may strike after a request as well as before
		return backoff(failures+slowly, capWithout, 0, draw)
	}
	return localBackoff
}
