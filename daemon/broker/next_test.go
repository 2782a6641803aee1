package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// TestNext has a row for each case in which a request leaves, or does not. Times are relative to now; a token lives 800
// s, so that 80 s of it are kept for callers and renewals are 30 s apart.
func TestNext(t *testing.T) {
	const (
		boot = time.Hour // of now
		life = 800 * time.Second
		idle = forever - boot // as when, for forever
	)
	now := clock.Instant{Wall: time.Unix(1785600000, 0), Boot: boot}
	sent := func(ago time.Duration) history { return history{sent: boot - ago, lastEarlyRenewal: never} }
	// aged is a token that was obtained, and used, so long ago; its renewal is planned at 500 s.
	aged := func(age time.Duration, waiting ...ask) tokenState {
		return tokenState{
			cached: &cachedToken{token: grant.Token{Sent: clock.Instant{Boot: boot - age}, Lifetime: life}, renew: boot - age + 500*time.Second},
			life:   life, used: boot - age, waiting: waiting, history: sent(age),
		}
	}
	with := func(s tokenState, change func(*tokenState)) tokenState { change(&s); return s }
	none := func(waiting ...ask) tokenState {
		return tokenState{waiting: waiting, history: history{sent: never, lastEarlyRenewal: never}}
	}
	caller, person := ask{minTTL: unset}, ask{minTTL: unset, verify: true}
	wants := func(minTTL time.Duration) ask { return ask{minTTL: minTTL} }
	refused, locked := errors.New("refused"), keystore.ErrLocked
	until := func(wait time.Duration) Block { return Block{Err: refused, Until: after(now, wait)} }
	disabled := Block{Err: refused, Disabled: true}
	ahead := Block{Err: locked, Until: after(now, 20*time.Second), AheadOnly: true}

	for _, c := range []struct {
		name string
		s    state
		when time.Duration // from now; at most 0: a request may leave
		why  error
	}{
		// What is wanted.
		{"nothing is wanted", state{tokenState: none()}, idle, nil},
		{"a caller, and no token", state{tokenState: none(caller)}, 0, nil},
		{"a fresh token", state{tokenState: aged(10 * time.Second)}, 490 * time.Second, nil},
		{"a token that is due", state{tokenState: aged(501 * time.Second)}, 0, nil},
		{"a token that is due and was not used for an hour", state{tokenState: with(aged(501*time.Second), func(s *tokenState) {
			s.used -= keepWarm
		})}, idle, nil},
		{"a token too short-lived for the background", state{tokenState: with(aged(7*time.Second), func(s *tokenState) {
			s.cached = &cachedToken{token: grant.Token{Sent: s.cached.token.Sent, Lifetime: 7 * time.Second}, renew: boot}
		})}, idle, nil},
		{"a lost answer", state{tokenState: with(none(), func(s *tokenState) { s.retryLost = true })}, 0, nil},
		{"a caller was not served when the keystore was locked", state{tokenState: with(none(), func(s *tokenState) { s.pendingDemand = true })}, 0, nil},

		// Renewals are spaced.
		{"a caller right after a renewal", state{tokenState: aged(10*time.Second, caller)}, 20 * time.Second, nil},
		{"a caller half a minute after a renewal", state{tokenState: aged(30*time.Second, caller)}, 0, nil},
		{"a caller whose token an API has refused", state{tokenState: with(aged(time.Second, caller), func(s *tokenState) { s.cached = nil })}, 0, nil},
		{"a min_ttl that is not kept brings one forward", state{tokenState: aged(10*time.Second, wants(799*time.Second))}, 0, nil},
		{"a min_ttl that is kept does not", state{tokenState: aged(10*time.Second, wants(700*time.Second))}, 20 * time.Second, nil},
		{"a second one is not brought forward", state{tokenState: with(aged(10*time.Second, wants(799*time.Second)), func(s *tokenState) {
			s.lastEarlyRenewal = boot - 12*time.Second
		})}, 18 * time.Second, nil},
		{"a person verifies", state{tokenState: aged(10*time.Second, person)}, 0, nil},
		{"a person verifies twice in a second", state{tokenState: aged(400*time.Millisecond, person)}, 600 * time.Millisecond, nil},
		{"after a suspend, due", state{spread: boot + 9*time.Second, tokenState: aged(501 * time.Second)}, 9 * time.Second, nil},
		{"after a suspend, not due", state{spread: boot + 9*time.Second, tokenState: aged(10 * time.Second)}, 490 * time.Second, nil},
		{"after a suspend, a caller", state{spread: boot + 9*time.Second, tokenState: aged(501*time.Second, caller)}, 0, nil},
		{"after a suspend, a lost answer", state{spread: boot + 9*time.Second, tokenState: with(none(), func(s *tokenState) { s.retryLost = true })}, 0, nil},
		{"after a suspend, an unserved caller", state{spread: boot + 9*time.Second, tokenState: with(none(), func(s *tokenState) {
			s.pendingDemand = true
		})}, 9 * time.Second, nil},

		// Blocks.
		{"a backoff, and a caller", state{block: until(7 * time.Second), tokenState: none(caller)}, 7 * time.Second, refused},
		{"a backoff, and nothing is wanted", state{block: until(7 * time.Second), tokenState: none()}, idle, nil},
		{"a backoff that is over", state{block: until(-time.Second), tokenState: none(caller)}, 0, nil},
		{"a backoff, and a renewal that comes later", state{block: until(7 * time.Second), tokenState: aged(10 * time.Second)}, 490 * time.Second, refused},
		{"a backoff, and a lost answer", state{block: until(7 * time.Second), tokenState: with(none(), func(s *tokenState) { s.retryLost = true })}, 7 * time.Second, refused},
		{"a disabled profile", state{block: disabled, tokenState: none(caller)}, idle, refused},
		{"a disabled profile in doubt", state{block: disabled, tokenState: with(none(), func(s *tokenState) { s.retryLost = true })}, idle, refused},
		{"a blocked token", state{tokenState: with(none(caller), func(s *tokenState) { s.block = until(9 * time.Second) })}, 9 * time.Second, refused},
		{"a disabled token", state{tokenState: with(none(caller), func(s *tokenState) { s.block = disabled })}, idle, refused},
		{"a blocked profile and a blocked token", state{block: ahead, tokenState: with(aged(501*time.Second), func(s *tokenState) {
			s.block = until(9 * time.Second)
		})}, 20 * time.Second, locked},

		// A refresh token is not spent ahead of time while its successor could not be stored.
		{"put off, due", state{block: ahead, tokenState: aged(501 * time.Second)}, 20 * time.Second, locked},
		{"put off, and the token will do", state{block: ahead, tokenState: aged(501*time.Second, caller)}, 20 * time.Second, locked},
		{"put off, and a person verifies", state{block: ahead, tokenState: aged(501*time.Second, person)}, 20 * time.Second, locked},
		{"put off, and the token will not do", state{block: ahead, tokenState: aged(501*time.Second, wants(600*time.Second))}, 0, nil},
		{"put off, and the token is about to end", state{block: ahead, tokenState: aged(721 * time.Second)}, 0, nil},
		{"put off, and there is no token", state{block: ahead, tokenState: none(caller)}, 0, nil},
		{"put off, and an answer was lost", state{block: ahead, tokenState: with(aged(501*time.Second), func(s *tokenState) { s.retryLost = true })}, 0, nil},

		// The quota.
		{"the quota is used up, and a caller", state{quota: boot + time.Minute, tokenState: none(caller)}, time.Minute, ErrOften},
		{"the quota is used up, and a renewal is due", state{quota: boot + time.Minute, tokenState: aged(501 * time.Second)}, time.Minute, ErrOften},
		{"the quota is used up, and a renewal comes later", state{quota: boot + time.Minute, tokenState: aged(10 * time.Second)}, 490 * time.Second, nil},
		{"a backoff comes before the quota", state{block: until(7 * time.Second), quota: boot + time.Minute, tokenState: none(caller)}, time.Minute, refused},

		// Another request is under way, or the profile is paused or stopping.
		{"busy, and a caller", state{busy: true, tokenState: none(caller)}, idle, nil},
		{"busy and blocked", state{busy: true, block: until(7 * time.Second), tokenState: none(caller)}, idle, refused},
		{"busy, and the quota is used up", state{busy: true, quota: boot + time.Minute, tokenState: none(caller)}, idle, ErrOften},
	} {
		t.Run(c.name, func(t *testing.T) {
			when, why := next(c.s, now)
			if got := max(when-boot, 0); got != c.when {
				t.Errorf("a request may leave in %s, want %s", got, c.when)
			}
			if why.Err != c.why {
				t.Errorf("it does not leave now because of %v, want %v", why.Err, c.why)
			}
			if leaves := when <= boot; leaves && why.Err != nil {
				t.Errorf("it leaves now in spite of %v", why.Err)
			}
			if why.Err != nil && !why.stands(now) {
				t.Errorf("%+v does not stand", why)
			}
		})
	}
}
