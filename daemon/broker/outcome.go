package broker

import (
	"errors"
	"fmt"
	"time"

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
}

// verdict is what one failed attempt means for the next. It is pure; failures counts this one.
type verdict struct {
	wait   time.Duration
	parked bool
	// variantOnly: the refusal is about what was asked for, not about the credential.
	variantOnly bool
}

func judge(err error, failures int, limit time.Duration, confirmed bool, draw float64) verdict {
	refusal, ok := errors.AsType[*grant.Error](err)
	if !ok {
		return verdict{wait: local(err, failures, draw)}
	}
	switch refusal.Class {
	case grant.Refused:
		return verdict{parked: true}
	case grant.Misconfigured:
		return verdict{parked: true, variantOnly: aboutRequest(refusal.Code)}
	case grant.InvalidClient:
		if confirmed {
			return verdict{parked: true}
		}
		return verdict{wait: max(confirmAfter, refusal.RetryAfter)}
	case grant.TransientSlow:
		return verdict{wait: backoff(failures+3, capWithout, refusal.RetryAfter, draw)}
	}
	return verdict{wait: backoff(failures, limit, refusal.RetryAfter, draw)}
}

// aboutRequest reports whether an error code blames the scope or audience of one request (RFC 6749 §5.2, RFC 8707 §2).
func aboutRequest(code string) bool { return code == "invalid_scope" || code == "invalid_target" }

// local is the wait after a failure that never left this machine. Such a failure is never remembered for long: what a
// person does about it (unlocking a keychain) should help at once.
func local(err error, failures int, draw float64) time.Duration {
	if errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrLocked) {
		return backoff(failures, capWhileValid, 0, draw)
	}
	return localBackoff
}
