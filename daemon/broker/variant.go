package broker

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// maxVariants bounds the tokens of one profile; the one not used for longest goes, if nobody waits for it.
const maxVariants = 32

// key names one variant of a profile's token. Its zero value is the profile's default.
type key struct {
	scope    string // sorted, unique, separated by one space
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

// variant is the token of one (scope, audience). The atomics are for readers; the rest belongs to the slot's goroutine.
type variant struct {
	key     key
	request grant.Request

	held atomic.Pointer[held]
	used atomic.Int64 // boot time of the last use, ns

	waiting []ask
	crowded int             // how many may wait before those who have left are looked for
	sent    time.Duration   // boot time at which the last renewal left
	brought time.Duration   // boot time of the last renewal that an explicit min_ttl brought forward
	life    time.Duration   // lifetime of the last token, 0 before the first
	fresh   time.Duration   // what the last token had left when it came: the greatest min_ttl
	refused keystore.Secret // the last token that an API refused
	again   bool            // the last answer was lost: the next attempt is made though nobody waits
	owed    bool            // somebody asked while the keystore kept it from being obtained
	holdup  holdup          // about this variant's scope or audience only
}

// never is a boot time before every other.
const never = -1 << 62 * time.Nanosecond

func newVariant(k key, r grant.Request) *variant {
	return &variant{key: k, request: r, sent: never, brought: never}
}

// held is a token that may be handed out. Immutable.
type held struct {
	token grant.Token
	renew time.Duration // boot time of the planned renewal
}

func (v *variant) touch(now clock.Instant) { v.used.Store(int64(now.Boot)) }

func (v *variant) warm(at time.Duration) bool {
	return at-time.Duration(v.used.Load()) < keepWarm
}

// hit returns the token if it is good enough to be handed out without asking anybody.
func (v *variant) hit(minTTL time.Duration, now clock.Instant) *held {
	h := v.held.Load()
	if h == nil || h.token.Remaining(now) < wanted(minTTL, h.token.Lifetime) {
		return nil
	}
	return h
}

// fallback returns the token if it may be handed out where no better one is to be had.
func (v *variant) fallback(minTTL time.Duration, now clock.Instant) *held {
	h := v.held.Load()
	if h == nil || h.token.Remaining(now) < accepted(minTTL, h.token.Lifetime) {
		return nil
	}
	return h
}

// instead is the answer where no better token is to be had: the one there is, if it keeps what was asked, else err.
func (v *variant) instead(a ask, now clock.Instant, err error) answer {
	if h := v.fallback(a.minTTL, now); h != nil && !a.proof {
		return answer{token: h.token}
	}
	return answer{err: err}
}

// personal reports whether a person waits for a proof.
func (v *variant) personal() bool {
	return slices.ContainsFunc(v.waiting, func(a ask) bool { return a.proof })
}

// valid reports whether any token that may still be handed out is there.
func (v *variant) valid(now clock.Instant) bool { return v.fallback(unset, now) != nil }

// earliest is the boot time from which a renewal may leave for those who wait. Whoever has an explicit min_ttl that is not
// met may bring one forward, once in the same interval, so that the greatest possible min_ttl can be had right after a
// token was obtained; a person who asks for a proof waits for nothing but the second.
func (v *variant) earliest(now clock.Instant) time.Duration {
	if v.held.Load() == nil {
		return 0
	}
	interval := betweenRenewals(v.life)
	next := v.sent + interval
	for _, a := range v.waiting {
		switch {
		case a.proof:
			next = min(next, v.sent+time.Second)
		case a.minTTL != unset && v.fallback(a.minTTL, now) == nil:
			next = min(next, v.brought+interval)
		}
	}
	return next
}

// due is the boot time of the next renewal that nobody waits for, and false where none is planned.
func (v *variant) due() (time.Duration, bool) {
	if v.again || v.owed {
		return never, true
	}
	h := v.held.Load()
	if h == nil || h.token.Lifetime < backgroundFrom || v.holdup.parked {
		return 0, false
	}
	if !v.warm(h.renew) {
		return 0, false
	}
	return h.renew, true
}

// variants is the set of one slot: replaced, never changed, so that readers need no lock.
type variants struct {
	all map[key]*variant
	// standard is all[key{}]: nearly every call wants it, and hashing two strings is a quarter of what a call costs.
	standard *variant
}

func (vs *variants) find(k key) *variant {
	if k == (key{}) {
		return vs.standard
	}
	return vs.all[k]
}

// with returns the set with v added, and without the least recently used idle one where it would be too big; nil where none
// is idle. The default is always taken: nothing else may keep it out.
func (vs *variants) with(v, running *variant) *variants {
	next := &variants{all: maps.Clone(vs.all), standard: vs.standard}
	if len(next.all) >= maxVariants {
		if oldest := vs.oldest(running); oldest != nil {
			delete(next.all, oldest.key)
		} else if v.key != (key{}) {
			return nil
		}
	}
	next.add(v)
	return next
}

// oldest returns the least recently used variant that nobody waits for, and that is neither the default nor running.
func (vs *variants) oldest(running *variant) (oldest *variant) {
	for k, c := range vs.all {
		if c == running || k == (key{}) || len(c.waiting) > 0 {
			continue
		}
		if oldest == nil || c.used.Load() < oldest.used.Load() {
			oldest = c
		}
	}
	return oldest
}

// add is for a set that no reader has seen yet.
func (vs *variants) add(v *variant) {
	if vs.all == nil {
		vs.all = map[key]*variant{}
	}
	vs.all[v.key] = v
	if v.key == (key{}) {
		vs.standard = v
	}
}
