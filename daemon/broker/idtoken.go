package broker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// An ID token comes with an access token and has an end of its own. It belongs to the same token slot: one renewal
// brings both, and once somebody has asked for the ID token, its end counts for the plan too. It is kept beside the
// cached access token: a renewal that brings none, or an access token that an API refused, does not take a valid one
// away. The two are never mixed up: a caller asks for one of them, and gets it as a value of its own type.

// idSlot is the ID token of a token slot. Readers use the atomics; the rest belongs to the profile's owner.
type idSlot struct {
	current atomic.Pointer[grant.IDToken] // the newest with right claims that nobody has refused; may have expired
	used    atomic.Int64                  // boot time of the last question, ns

	most    time.Duration  // what the newest had left when it came: the greatest min_ttl that a fresh one keeps
	refused *grant.IDToken // the last one that somebody refused
	until   time.Duration  // boot time until which no renewal follows from that
}

// ids returns the slot's, new if need be. It belongs to the owner.
func (t *tokenSlot) ids() *idSlot {
	s := t.id.Load()
	if s == nil {
		s = &idSlot{}
		s.used.Store(int64(never))
		t.id.Store(s)
	}
	return s
}

func (t *tokenSlot) touchID(now clock.Instant) { t.ids().used.Store(int64(now.Boot)) }

// currentID returns the ID token that may be handed out, if it has not expired; nil where there is none.
func (t *tokenSlot) currentID() *grant.IDToken {
	if s := t.id.Load(); s != nil {
		return s.current.Load()
	}
	return nil
}

// keepsID reports whether an ID token may be handed out to a caller with this min_ttl where no better one is to be had.
func keepsID(i *grant.IDToken, minTTL time.Duration, now clock.Instant) bool {
	return i != nil && i.Remaining(now) >= accepted(minTTL, i.Lifetime)
}

// hitsID reports whether an ID token is good enough to be handed out without asking for another.
func hitsID(i *grant.IDToken, minTTL time.Duration, now clock.Instant) bool {
	return i != nil && i.Remaining(now) >= wanted(minTTL, i.Lifetime)
}

// IDToken returns an ID token that keeps q.MinTTL, or an error as [Broker.Token]'s, or a [*NoIDToken]. The caller hands
// it out only after [grant.Endpoint.VerifyIDToken], which knows what is wrong with one.
func (b *Broker) IDToken(ctx context.Context, q Query) (*grant.IDToken, error) {
	q.ID = true
	s, ok := b.slot(q.Profile)
	if !ok {
		return nil, ErrUnknown
	}
	if i := s.hitID(&q); i != nil {
		return i, nil
	}
	r := s.ask(ctx, q)
	return r.id, r.err
}

// CachedID is IDToken that never waits: it reports false where a request would be needed.
func (b *Broker) CachedID(q Query) (*grant.IDToken, bool) {
	if s, ok := b.slot(q.Profile); ok {
		if i := s.hitID(&q); i != nil {
			return i, true
		}
	}
	return nil, false
}

// hitID is [slot.hit] for an ID token.
func (s *slot) hitID(q *Query) *grant.IDToken {
	if !q.Refused.IsZero() {
		return nil
	}
	t := s.lookup(q.key())
	if t == nil {
		return nil
	}
	ids := t.id.Load()
	if ids == nil {
		return nil
	}
	now := s.b.now()
	i := ids.current.Load()
	if !hitsID(i, q.MinTTL, now) {
		return nil
	}
	before := time.Duration(ids.used.Swap(int64(now.Boot)))
	t.touch(now)
	if !warm(before, now.Boot) {
		s.wake() // its end counts for the plan from now on
	}
	return i
}

// NoIDToken says why a profile has an access token and no ID token that could be handed out, and why a renewal would
// bring none.
type NoIDToken struct {
	// Key: the profile has an API key.
	Key bool
	// Renewed: the last renewal brought none, which OpenID Connect Core §12.2 allows; else the sign-in brought none.
	Renewed bool
	// Last: it has ended, or ends too soon, and there is no refresh token to obtain another with.
	Last bool
	// Scope is what the access token was granted, as far as is known.
	Scope string
}

func (n *NoIDToken) Error() string {
	switch {
	case n.Key:
		return "an API key comes without an ID token"
	case n.Last:
		return "the ID token has ended, and the sign-in gave no refresh token to obtain another with"
	case n.Renewed:
		return "the server sends no ID token when it renews a session"
	}
	return "the server sent no ID token"
}

// hopeless returns why neither the cached ID token nor a renewal is of use to a caller, or nil.
func (t *tokenSlot) hopeless(a ask, now clock.Instant) error {
	c := t.cached.Load()
	if c == nil {
		return nil
	}
	ids, i := t.ids(), c.token.ID
	switch {
	case keepsID(ids.current.Load(), a.minTTL, now):
		return nil
	case i == nil:
		return &NoIDToken{Key: c.token.Static, Renewed: c.token.Refreshed, Scope: c.token.Scope}
	case i.Flaw == "" && a.minTTL > ids.most:
		return &TooLong{Max: ids.most, ID: true}
	case c.token.Last:
		return &NoIDToken{Last: true}
	case i.Flaw != "":
		return errFlawed
	case ids.newestRefused(c):
		return ids.refusal(c.token, now)
	}
	return nil
}

// errFlawed stands for what [tokenSlot.idInstead] answers with the flawed token itself.
var errFlawed = errors.New("the ID token has a flaw")

// refusal returns why no renewal follows now from the refusal of the newest ID token, which came with an access token;
// nil where one does. A server that issues two within a second may issue the same one twice.
func (s *idSlot) refusal(with grant.Token, now clock.Instant) error {
	again := with.Sent.Boot + betweenRejections(with.Lifetime)
	switch {
	case with.ID != s.refused && now.Boot < again:
		return &Unavailable{Err: ErrSameToken, RetryAfter: again - now.Boot}
	case now.Boot < s.until:
		return &Unavailable{Err: ErrRejected, RetryAfter: s.until - now.Boot}
	}
	return nil
}

// idInstead is [tokenSlot.instead] for who asked for an ID token. One with a flaw is the answer where there is no
// other: the caller, who verifies it, says what is wrong.
func (t *tokenSlot) idInstead(a ask, now clock.Instant, err error) answer {
	if i := t.currentID(); keepsID(i, a.minTTL, now) {
		return answer{id: i}
	}
	if c := t.cached.Load(); errors.Is(err, errFlawed) && c != nil && c.token.ID != nil {
		return answer{id: c.token.ID}
	}
	return answer{err: err}
}

// afterRenewal is what a caller who asked for an ID token is told where a token has just come and none serves it.
func (t *tokenSlot) afterRenewal(a ask, now clock.Instant) error {
	if err := t.hopeless(a, now); err != nil {
		return err
	}
	return &Unavailable{Err: ErrWaited, RetryAfter: time.Second}
}

// hits reports whether a caller can be served at once.
func (t *tokenSlot) hits(a ask, now clock.Instant) bool {
	if a.id {
		return hitsID(t.currentID(), a.minTTL, now)
	}
	return t.hit(a.minTTL, now) != nil
}

// tookID takes in the ID token that came with a token. Where none came, the one before is used until its end.
func (t *tokenSlot) tookID(token grant.Token, now clock.Instant) {
	i := token.ID
	if i == nil {
		return
	}
	ids := t.ids()
	ids.most = max(i.Remaining(now).Truncate(time.Second), 0)
	if i.Flaw == "" && !ids.isRefused(i) {
		ids.current.Store(i)
	}
}

// rejectID makes sure that an ID token that somebody refused is not handed out again. If it is the current one a
// renewal follows, at most one in [betweenRejections]. The access token goes on being served.
func (s *slot) rejectID(t *tokenSlot, token keystore.Secret, now clock.Instant) {
	ids := t.ids()
	i := ids.current.Load()
	if i == nil || !i.Text.Equal(token) {
		return
	}
	ids.current.Store(nil)
	ids.refused = i
	if next := s.rejectedAt + betweenRejections(t.life); now.Boot < next {
		ids.until = next
		return
	}
	s.rejectedAt = now.Boot
}

// idState is what an ID token contributes to the decision when a request leaves.
type idState struct {
	token *grant.IDToken // nil where none may be handed out
	used  time.Duration  // boot time of the last question
	// rejected: the newest one was refused, and no renewal has followed yet. [slot.rejectID] bounds how often.
	rejected bool
}

func (t *tokenSlot) idState() idState {
	s := t.id.Load()
	if s == nil {
		return idState{used: never}
	}
	rejected := s.newestRefused(t.cached.Load())
	return idState{token: s.current.Load(), used: time.Duration(s.used.Load()), rejected: rejected}
}

// newestRefused reports whether the ID token that came with a cached access token was refused.
func (s *idSlot) newestRefused(c *cachedToken) bool {
	return c != nil && s.isRefused(c.token.ID)
}

func (s *idSlot) isRefused(i *grant.IDToken) bool {
	return s.refused != nil && i != nil && s.refused.Text.Equal(i.Text)
}

// planned is the boot time at which an ID token should be renewed although no caller waits, by the same draw as the
// cached access token that it came with; [forever] where a renewal would bring none, or nobody asks for it.
func (i idState) planned(c *cachedToken) time.Duration {
	if i.token == nil || c == nil || c.token.ID != i.token || c.token.Last || i.token.Lifetime < backgroundFrom {
		return forever
	}
	share := float64(c.renew-c.token.Sent.Boot) / float64(c.token.Lifetime)
	at := time.Duration(min(share, 1) * float64(i.token.Lifetime))
	at = i.token.Sent.Boot + min(at, i.token.Lifetime-waitBelow(i.token.Lifetime))
	if !warm(i.used, at) {
		return forever
	}
	return at
}
