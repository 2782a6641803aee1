package broker

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// maxTokens bounds the tokens of one profile. The one not used for longest is dropped, unless callers wait for it.
const maxTokens = 32

// key names one token of a profile. Its zero value is the profile's default.
type key struct {
	scope    string // sorted, each word once, separated by one space
	audience string
}

// canonical brings a scope into the form that keys compare.
func canonical(scope string) string {
	if !strings.ContainsAny(scope, " \t") {
		return scope
	}
	words := strings.Fields(scope)
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

// tokenSlot is the place of one token: of one scope and audience. Readers use the atomics; the rest belongs to the
// profile's owner.
type tokenSlot struct {
	key     key
	request grant.Request

	cached atomic.Pointer[cachedToken]
	used   atomic.Int64           // boot time of the last use, ns
	ending atomic.Bool            // a request is under way that ends the cached token; see ending.go
	id     atomic.Pointer[idSlot] // nil where there was never an ID token, nor a question for one; see idtoken.go

	history
	block     *Block // about this scope and audience only; never nil
	waiting   []ask
	pruneFrom int             // the number of waiting callers at which those who have left are removed
	life      time.Duration   // lifetime of the last token, 0 before the first
	maxMinTTL time.Duration   // what the last token had left when it came: the greatest min_ttl that a fresh one keeps
	refused   keystore.Secret // the last token that an API refused
	replaced  replacedToken   // the one before the last
}

func newTokenSlot(k key, r grant.Request) *tokenSlot {
	return &tokenSlot{key: k, request: r, block: &noBlock, history: history{sent: never, lastEarlyRenewal: never}}
}

// state is what the token slot contributes to the decision when a request leaves, for the callers in waiting.
func (t *tokenSlot) state(waiting []ask) tokenState {
	return tokenState{
		block: *t.block, cached: t.cached.Load(), life: t.life, used: time.Duration(t.used.Load()),
		waiting: waiting, history: t.history, id: t.idState(),
	}
}

func (t *tokenSlot) touch(now clock.Instant) { t.used.Store(int64(now.Boot)) }

// hit returns the cached token if it is good enough to be handed out without asking the owner.
func (t *tokenSlot) hit(minTTL time.Duration, now clock.Instant) *cachedToken {
	c := t.cached.Load()
	if c == nil || c.token.Remaining(now) < wanted(minTTL, c.token.Lifetime) || t.ending.Load() {
		return nil
	}
	return c
}

// instead is a caller's answer where no better token is to be had: the cached one, if it keeps what was asked,
// otherwise err.
func (t *tokenSlot) instead(a ask, now clock.Instant, err error) answer {
	if a.id {
		return t.idInstead(a, now, err)
	}
	if c := t.cached.Load(); !a.verify && c.keeps(a.minTTL, now) {
		if a.exactly != "" && a.exactly != canonical(c.token.Scope) {
			return answer{err: a.otherwise}
		}
		return answer{token: c.token}
	}
	return answer{err: err}
}

// valid reports whether there is a token that may still be handed out.
func (t *tokenSlot) valid(now clock.Instant) bool { return t.cached.Load().keeps(unset, now) }

// verifying reports whether a person waits who verifies the credential.
func verifying(waiting []ask) bool {
	return slices.ContainsFunc(waiting, func(a ask) bool { return a.verify })
}

// cachedToken is a token that may be handed out. Immutable.
type cachedToken struct {
	token grant.Token
	renew time.Duration // boot time of the planned renewal
	// serial is another number for each token of the broker; the same token that comes again keeps its number.
	serial uint64
}

// keeps reports whether the token may be handed out to a caller with this min_ttl where no better one is to be had.
func (c *cachedToken) keeps(minTTL time.Duration, now clock.Instant) bool {
	return c != nil && c.token.Remaining(now) >= accepted(minTTL, c.token.Lifetime)
}

// planned reports whether the token is renewed although no caller waits; used is the boot time of its last use.
func (c *cachedToken) planned(used time.Duration) bool {
	return c.token.Lifetime >= backgroundFrom && warm(used, c.renew) && !c.token.Last
}

// warm reports whether what was last used at one boot time is still worth a renewal at another.
func warm(used, at time.Duration) bool { return at-used < keepWarm }

// tokenSlots are those of one profile. The set is replaced, never changed, so that readers need no lock. It is a list,
// since nearly every profile has one: ten thousand maps take more memory than what is in them.
type tokenSlots struct {
	all []*tokenSlot
	// standard is the one of key{}: nearly every call wants it.
	standard *tokenSlot
}

func (ts *tokenSlots) find(k key) *tokenSlot {
	if k == (key{}) {
		return ts.standard
	}
	for _, t := range ts.all {
		if t.key == k {
			return t
		}
	}
	return nil
}

// with returns the set with t added, and without the least recently used idle one where it would be too big; nil where
// none is idle. The default is always taken: nothing else may keep it out.
func (ts *tokenSlots) with(t, running *tokenSlot) *tokenSlots {
	next := &tokenSlots{all: make([]*tokenSlot, 0, len(ts.all)+1)}
	var oldest *tokenSlot
	if len(ts.all) >= maxTokens {
		if oldest = ts.oldest(running); oldest == nil && t.key != (key{}) {
			return nil
		}
	}
	for _, other := range ts.all {
		if other != oldest {
			next.add(other)
		}
	}
	next.add(t)
	return next
}

// oldest returns the least recently used token slot that no caller waits for, and that is neither the default nor
// running.
func (ts *tokenSlots) oldest(running *tokenSlot) (oldest *tokenSlot) {
	for _, t := range ts.all {
		if t == running || t.key == (key{}) || len(t.waiting) > 0 {
			continue
		}
		if oldest == nil || t.used.Load() < oldest.used.Load() {
			oldest = t
		}
	}
	return oldest
}

// add is for a set that no reader has seen yet, and that has none of t's key.
func (ts *tokenSlots) add(t *tokenSlot) {
	ts.all = append(ts.all, t)
	if t.key == (key{}) {
		ts.standard = t
	}
}
