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

// Tokens returns the tokens that a closed broker holds and that may still be handed out, sorted by profile. It returns none
// before [Broker.Close]: until then a request that is under way may bring another one. API keys are left out, since reading
// them again asks no server for anything, and so are the tokens of a profile whose last request has not ended.
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
		for k, v := range s.variants.Load().all {
			h := v.held.Load()
			if h == nil || h.token.Static || !v.valid(now) {
				continue
			}
			all = append(all, HeldToken{
				Profile: name, Scope: k.scope, Audience: k.audience, Token: h.token,
				Renew: h.renew, Used: time.Duration(v.used.Load()), MaxMinTTL: v.fresh,
			})
		}
	}
	return all
}

// Adopt holds a token that another process held for a profile of the same configuration. It reports false, and holds
// nothing, where the profile is not there, where it holds a token of this kind already, or where the token has ended.
func (b *Broker) Adopt(t HeldToken) bool {
	s, ok := b.slot(t.Profile)
	if !ok || t.Token.Static {
		return false
	}
	adopted := false
	s.do(context.Background(), func() {
		now := b.now()
		v := s.variant(key{canonical(t.Scope), t.Audience}, now)
		if v == nil || v.held.Load() != nil || t.Token.Remaining(now) < accepted(unset, t.Token.Lifetime) {
			return
		}
		v.sent, v.life, v.fresh = t.Token.Sent.Boot, t.Token.Lifetime, t.MaxMinTTL
		v.used.Store(int64(t.Used))
		v.held.Store(&held{token: t.Token, renew: t.Renew})
		adopted = true
	})
	return adopted
}
