package broker

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
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
	// ErrWaited: the caller's own time ended before there was an answer.
	ErrWaited = errors.New("the authorization server has not answered yet")
	// ErrRejected: an API refused a token, and soon after that the one that replaced it; the next one may not be asked
	// for yet.
	ErrRejected = errors.New("an API has refused two tokens in a row")
	// ErrKeyRefused: an API refused a token that is itself what is stored, and only a sign-in brings another. It is an
	// ErrEnded.
	ErrKeyRefused = fmt.Errorf("%w: an API has refused its token", ErrEnded)
	// ErrSameToken: the server answered with the very token that an API had refused.
	ErrSameToken = errors.New("the authorization server gave out the refused token again")
	// ErrManyTokens: callers wait for as many scopes and audiences of the profile as it can have tokens.
	ErrManyTokens = errors.New("too many different tokens of this profile are being waited for")
	// ErrOften: the profile has used up its quota, see quota.go.
	ErrOften = errors.New("the callers of this profile wanted new tokens more often than its tokens' lives explain")
	// ErrQuota: by its own count the server grants no further token yet.
	ErrQuota = errors.New("the authorization server's quota is used up")
	// ErrRotationLost: the server refuses a refresh token that it may have replaced by one that is not here. In the
	// same chain are the reason, one of package keystore's for doubt, and the server's refusal, a [*grant.Error].
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

// OnlyFor says that a failure is about one scope or audience, of which one may be empty. The profile's default token is
// not affected.
type OnlyFor struct {
	Scope, Audience string
	Err             error
}

func (o *OnlyFor) Error() string { return "for " + o.What() + ": " + o.Err.Error() }

// What names the scope and the audience.
func (o *OnlyFor) What() string {
	switch {
	case o.Audience == "":
		return "scope " + strconv.Quote(o.Scope)
	case o.Scope == "":
		return "audience " + strconv.Quote(o.Audience)
	}
	return "scope " + strconv.Quote(o.Scope) + " and audience " + strconv.Quote(o.Audience)
}

// Unwrap returns the failure.
func (o *OnlyFor) Unwrap() error { return o.Err }

// TooLong says that a min_ttl was asked for that no fresh token can keep.
type TooLong struct {
	// Max is the greatest min_ttl that one can.
	Max time.Duration
	// ID: an ID token was asked for.
	ID bool
}

func (t *TooLong) Error() string {
	what := "access token"
	if t.ID {
		what = "ID token"
	}
	return fmt.Sprintf("a fresh %s is good for %d seconds at most", what, int64(t.Max/time.Second))
}

// NeedsLogin reports whether err says that only a new sign-in helps: the server has refused the credential for good,
// the session has ended or its newest refresh token is lost, or nothing is stored that this groat could read.
func NeedsLogin(err error) bool {
	if errors.Is(err, ErrRotationLost) {
		return true
	}
	if _, ok := errors.AsType[*Outage](err); ok { // the refusal in its chain was another request's
		return false
	}
	if e, ok := errors.AsType[*grant.Error](err); ok {
		return e.Class == grant.Refused || e.Class == grant.InvalidClient
	}
	return errors.Is(err, ErrEnded) || errors.Is(err, keystore.ErrNotFound) ||
		errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrNewer)
}

// failureState is what failures leave behind until a request succeeds, and what the next failure is judged by. It is no
// [Block]: it keeps no request from leaving.
type failureState struct {
	suspected bool // the server refused the client once
	retried   bool // an answer was lost, and the one quick retry of it has been granted
	// recovering is until when, in boot time, the default token is asked for although no caller waits; see
	// [Broker.Recover].
	recovering time.Duration
}

// failure is one failed request with everything that decides what it means: the arguments of [judge].
type failure struct {
	err error
	failureState
	failures int           // in a row, before this one
	probes   int           // of a client that the server does not know, before this one
	standard bool          // the profile's default token was asked for
	life     time.Duration // of the last token
	limit    time.Duration // caps a backoff
	draw     float64
}

// alone reports whether a failure holds back nothing but what was asked for. A server that has answered a request for
// one scope or audience has not refused the profile's default, whatever its answer says: servers have many words for a
// scope that they do not know. What is about all requests alike is not alone: the network, this machine, a server that
// asks for fewer requests, and a refresh token that may have been replaced.
func (f *failure) alone() bool {
	if f.standard || errors.Is(f.err, ErrRotationLost) {
		return false
	}
	if _, ok := errors.AsType[*Panic](f.err); ok {
		return true
	}
	e, ok := errors.AsType[*grant.Error](f.err)
	return ok && (e.Status != 0 || e.Code != "") && !e.RotationLost && e.Class != grant.Ambiguous && !busy(e)
}

// busy reports whether a server asks for fewer requests, whatever they are for.
func busy(e *grant.Error) bool {
	if e.Class != grant.Transient {
		return false
	}
	switch e.Code {
	case "slow_down", "temporarily_unavailable", "too_many_requests":
		return true
	}
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// judge returns the Block that follows a failure, and whether the next request is made although no caller waits for it.
// It is pure. What is to be done about a server's answer is decided by [grant.Error.Action]; here it gets its times, by
// what went before. The Block concerns the whole profile, or what was asked for where the failure is about that and not
// about the credential.
func judge(f failure, now clock.Instant) (b Block, retryLost bool) {
	nth, alone := f.failures+1, f.alone()
	in := func(wait time.Duration) Block {
		return Block{Whole: !alone, Err: f.err, Until: after(now, wait), Failures: nth, Probes: f.probes}
	}
	disabled := func(whole bool) Block {
		return Block{Whole: whole && !alone, Err: f.err, Disabled: true, Failures: nth}
	}
	refusal, ok := errors.AsType[*grant.Error](f.err)
	switch {
	case errors.Is(f.err, ErrSameToken):
		return Block{Err: f.err, Until: after(now, betweenRejections(f.life))}, false
	case !ok:
		return in(localWait(f.err, nth, f.draw)), false
	}
	retryAfter := refusal.RetryAfter
	if alone && refusal.Class == grant.Misconfigured && refusal.Status/100 == 2 {
		return disabled(false), false // it has granted something else, and would do so again
	}
	switch refusal.Action() {
	case grant.Park:
		return disabled(true), false
	case grant.ParkRequest:
		return disabled(false), false
	case grant.ParkDoubtful:
		return disabled(f.standard), false
	case grant.ConfirmThenPark:
		if f.suspected {
			b := disabled(true)
			if refusal.Code == "invalid_client" && b.Whole {
				b.Until, b.Probes = after(now, max(reviewWait(f.probes), retryAfter)), f.probes+1
			}
			return b, false
		}
		return in(max(confirmAfter, retryAfter)), false
	case grant.RetryOnceSoon:
		if !f.retried {
			return in(max(quickRetry(f.draw), retryAfter)), true
		}
		return in(backoff(nth+slowly, f.limit, retryAfter, f.draw)), false
	case grant.RetrySlowly:
		return in(backoff(nth+slowly, capWithout, retryAfter, f.draw)), false
	case grant.RetrySeldom:
		return in(backoff(nth+slowly, capSeldom, retryAfter, f.draw)), false
	}
	return in(backoff(nth, f.limit, retryAfter, f.draw)), false
}

// localWait is the wait after a failure that never left this machine. It is short: what a person does about such a
// failure (unlocking a keychain) should help at once.
func localWait(err error, failures int, draw float64) time.Duration {
	if ofKeystore(err) {
		return backoff(failures, capWhileValid, 0, draw)
	}
	if _, ok := errors.AsType[*Panic](err); ok { // it may have happened after the request
		return backoff(failures+slowly, capWithout, 0, draw)
	}
	return localBackoff
}

// fail takes in a failed request. A token that is still valid stays.
func (s *slot) fail(t *tokenSlot, err error, now clock.Instant) {
	f := failure{
		err: err, failureState: s.failureState, failures: s.block.Failures, standard: t.key == key{}, life: t.life,
		probes: s.block.Probes,
		limit:  s.backoffCap(t, err, now), draw: s.b.Draw(),
	}
	alone := f.alone()
	if alone {
		f.failures, f.suspected, f.probes = t.block.Failures, clientRefused(t.block.Err), t.block.Probes
	}
	b, retryLost := judge(f, now)
	// It renewed nothing: the Block alone says when the next may leave.
	t.sent, t.lastEarlyRenewal = s.before.sent, s.before.lastEarlyRenewal
	t.retryLost = retryLost || s.recovers(t, now) && !b.Disabled
	if !b.Whole {
		b.Scope, b.Audience = t.key.scope, t.key.audience
		if alone {
			delay := s.failureDelay(&s.quota.alone, err, now)
			b.Until = after(now, max(b.Until.Boot-now.Boot, delay))
			s.doubt(err, now)
		}
		t.block = b.kept()
		s.answer(t, b.unavailable(now))
		if f.standard {
			s.show(t.block)
		}
		return
	}
	b.Err = s.remember(err)
	if delay := s.failureDelay(&s.quota.failures, err, now); !retryLost && !b.Disabled {
		wait := max(b.Until.Boot-now.Boot, delay)
		source := *s.source.Load()
		if outage, probe := s.b.limiter(source.Origin()).outage(source.URL(), err); outage != nil {
			b.Err, wait = outage, max(probe, delay, wantedWait(err))
		}
		b.Until = after(now, wait)
	}
	s.block = b.kept()
	s.show(s.block)
	for _, t := range s.tokens.Load().all {
		s.answer(t, b.unavailable(now))
	}
}

// doubt takes in that the server refused the credential when it was asked for one scope or audience. Whom the refusal
// concerns is known only from the answer to a request for the default token: it is asked for, unless one is held.
func (s *slot) doubt(err error, now clock.Instant) {
	if !NeedsLogin(err) {
		return
	}
	if t := s.standard(now); !t.valid(now) {
		t.pendingDemand = true
	}
}

// backoffCap is the longest backoff after a failure. A failure that reached no server has cost it nothing, and a
// network that is back should be found soon.
func (s *slot) backoffCap(t *tokenSlot, err error, now clock.Instant) time.Duration {
	e, ok := errors.AsType[*grant.Error](err)
	switch {
	case t.valid(now), ok && !e.Reached():
		return capWhileValid
	case s.recovers(t, now), len(t.waiting) > 0:
		return capWithCaller
	}
	return capWithout
}

// recovers reports whether t is asked for although no caller waits, by [Broker.Recover].
func (s *slot) recovers(t *tokenSlot, now clock.Instant) bool {
	return t.key == key{} && s.recovering > now.Boot
}

// remember keeps of a failure what later ones are judged by, and explains it by what an earlier process has left.
func (s *slot) remember(err error) error {
	if refusal, ok := errors.AsType[*grant.Error](err); ok {
		s.retried = s.retried || refusal.Action() == grant.RetryOnceSoon
		s.suspected = s.suspected || clientRefused(err)
	}
	if s.recovering > 0 && errors.Is(err, keystore.ErrUnanswered) {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return err
}

// clientRefused reports whether a server does not accept the client.
func clientRefused(err error) bool {
	e, ok := errors.AsType[*grant.Error](err)
	return ok && e.Class == grant.InvalidClient
}

// wantedWait is how long the server that failed wants groatd to wait, 0 where it has not said.
func wantedWait(err error) time.Duration {
	if e, ok := errors.AsType[*grant.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}
