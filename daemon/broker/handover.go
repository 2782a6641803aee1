package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// Cached is a cached access token with all that the broker of a process that takes this one's place needs to go on with
// it.
type Cached struct {
	Profile string
	// Scope and Audience are what the token was asked for with; empty means the profile's default.
	Scope, Audience string
	Token           grant.Token
	// Renew is the boot time of the planned renewal, Used the boot time of the last use.
	Renew, Used time.Duration
	// MaxMinTTL is the greatest min_ttl that a token like this one can keep, 0 where that is not known.
	MaxMinTTL time.Duration
}

// Tokens returns the tokens that a closed broker has cached and that may still be handed out, sorted by profile. It
// returns none before [Broker.Close]: until then a request that is under way may bring another one. API keys are left out,
// since reading them again asks no server for anything, and so are the tokens of a profile whose last request has not
// ended.
func (b *Broker) Tokens() []Cached {
	b.mu.Lock()
	slots := b.last
	b.mu.Unlock()
	now := b.now()
	var all []Cached
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		s := slots[name]
		if !s.hasEnded() {
			continue
		}
		for _, t := range s.tokens.Load().all {
			c := t.cached.Load()
			if c == nil || c.token.Static || !t.valid(now) {
				continue
			}
			token := c.token
			if token.ID = t.currentID(); !keepsID(token.ID, unset, now) {
				token.ID = nil
			}
			all = append(all, Cached{
				Profile: name, Scope: t.key.scope, Audience: t.key.audience, Token: token,
				Renew: c.renew, Used: time.Duration(t.used.Load()), MaxMinTTL: t.maxMinTTL,
			})
		}
	}
	return all
}

// Adopt caches a token that another process had cached for a profile of the same configuration. It reports false, and
// changes nothing, where the profile is missing, where it has a token of the same scope and audience cached already, or
// where the token has expired.
func (b *Broker) Adopt(from Cached) bool {
	s, ok := b.slot(from.Profile)
	if !ok || from.Token.Static {
		return false
	}
	adopted := false
	s.do(func() {
		now := b.now()
		c := &cachedToken{token: from.Token, renew: from.Renew}
		k := key{canonical(from.Scope), from.Audience}
		if s.refusesKey(k) != nil {
			return
		}
		t := s.tokenSlot(k, now)
		if t == nil || t.cached.Load() != nil || !c.keeps(unset, now) {
			return
		}
		t.sent, t.life, t.maxMinTTL = from.Token.Sent.Boot, from.Token.Lifetime, from.MaxMinTTL
		t.used.Store(int64(from.Used))
		if k == (key{}) && from.Token.Scope != "" {
			s.granted = canonical(from.Token.Scope)
		}
		t.tookID(from.Token, now)
		t.cached.Store(c)
		adopted = true
	})
	return adopted
}
