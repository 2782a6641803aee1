package broker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/grant"
)

// HeldToken is an access token as a broker holds it, for the broker of a process that takes this one's place.
type HeldToken struct {
	Profile string
	// Scope and Audience are what the token was asked for with; empty means the profile's default.
	Scope, Audience string
	Token           grant.Token
	// Renew is the boot time of the planned renewal, Used the boot time of the last use.
	Renew, Used time.Duration
	// MaxMinTTL is the greatest min_ttl that a token like this one can keep, 0 where that is not known.
	MaxMinTTL time.Duration
}

// Tokens returns the tokens that a closed broker holds and that may still be handed out, sorted by profile. It returns
// none before [Broker.Close]: until then a request that is under way may bring another one. API keys are left out,
// since reading them again asks no server for anything, and so are the tokens of a profile whose last request has not
// ended.
func (b *Broker) Tokens() []HeldToken {
	b.mu.Lock()
	slots := b.last
	b.mu.Unlock()
	now := b.now()
	var all []HeldToken
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		s := slots[name]
		select {
		case <-s.gone:
		default:
			continue
		}
		for k, t := range s.tokens.Load().all {
			c := t.cached.Load()
			if c == nil || c.token.Static || !t.valid(now) {
				continue
			}
			all = append(all, HeldToken{
				Profile: name, Scope: k.scope, Audience: k.audience, Token: c.token,
				Renew: c.renew, Used: time.Duration(t.used.Load()), MaxMinTTL: t.maxMinTTL,
			})
		}
	}
	return all
}

// Adopt holds a token that another process held for a profile of the same configuration. It reports false, and holds
// nothing, where the profile is not there, where it holds a token of this kind already, or where the token has ended.
func (b *Broker) Adopt(held HeldToken) bool {
	s, ok := b.slot(held.Profile)
	if !ok || held.Token.Static {
		return false
	}
	adopted := false
	s.do(context.Background(), func() {
		now := b.now()
		c := &cachedToken{token: held.Token, renew: held.Renew}
		t := s.tokenSlot(key{canonical(held.Scope), held.Audience}, now)
		if t == nil || t.cached.Load() != nil || !c.keeps(unset, now) {
			return
		}
		t.sent, t.life, t.maxMinTTL = held.Token.Sent.Boot, held.Token.Lifetime, held.MaxMinTTL
		t.used.Store(int64(held.Used))
		t.cached.Store(c)
		adopted = true
	})
	return adopted
}
