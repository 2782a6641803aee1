package broker

import "github.com/groat-dev/groat/daemon/grant"

// Share makes a token the current one that another machine has obtained with a profile's credential, for all requests
// that match, and answers the callers who wait for it. The default token is taken although nobody has asked for it
// here. It reports whether any was taken: not one that is older than what is cached, or that an API has refused.
func (b *Broker) Share(profile string, match func(grant.Request) bool, token grant.Token) (taken bool) {
	s, ok := b.slot(profile)
	if !ok {
		return false
	}
	s.do(func() {
		if match((*s.source.Load()).Request("", "")) {
			s.standard(s.b.now())
		}
		for _, t := range s.tokens.Load().all {
			if match(t.request) && s.share(t, token) {
				taken = true
			}
		}
	})
	return taken
}

// share is Share for one token.
func (s *slot) share(t *tokenSlot, token grant.Token) bool {
	now := s.b.now()
	c := t.cached.Load()
	older := c != nil && c.token.Remaining(now) >= token.Remaining(now)
	if older || !(&cachedToken{token: token}).keeps(unset, now) || token.Access.Equal(t.refused) {
		return false
	}
	if s.running == t {
		s.withdraw()
	}
	s.block, s.failureState, t.block, s.quota.failures = &noBlock, failureState{}, &noBlock, bucket{}
	s.publish(t, token, now)
	s.answer(t, nil)
	s.record(now)
	return true
}

// Renew renews a profile's default token at once, although no caller waits and whatever is cached: another machine has
// begun to renew the credential and did not finish, and the server may forgive that for moments only. A failure is
// tried again like any other, for at most an hour.
func (b *Broker) Renew(names ...string) {
	for _, name := range names {
		if s, ok := b.slot(name); ok {
			s.do(func() { s.makeUp(s.standard(s.b.now())) })
		}
	}
}
