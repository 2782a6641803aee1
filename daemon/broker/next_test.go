package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// TestNext has a row for each case in which a request leaves, or does not. Times are seconds from now. A token lives
// 800 s: its renewal is planned at 500 s, its last 80 s are kept for callers, and renewals are 30 s apart.
func TestNext(t *testing.T) {
	const (
		boot = time.Hour // of now
		life = 800 * time.Second
		idle = -1 // as when: forever
	)
	now := clock.Instant{Wall: time.Unix(1785600000, 0), Boot: boot}
	in := func(seconds float64) time.Duration { return boot + time.Duration(seconds*float64(time.Second)) }
	caller, person := ask{minTTL: unset}, ask{minTTL: unset, verify: true}
	wants := func(minTTL float64) ask { return ask{minTTL: in(minTTL) - boot} }

	// aged is a token that was obtained, and used, so many seconds ago. none is where there is no token.
	aged := func(age float64, waiting ...ask) tokenState {
		c := &cachedToken{token: grant.Token{Sent: clock.Instant{Boot: in(-age)}, Lifetime: life}, renew: in(500 - age)}
		sent := history{sent: in(-age), lastEarlyRenewal: never}
		return tokenState{cached: c, life: life, used: in(-age), waiting: waiting, history: sent}
	}
	none := func(waiting ...ask) tokenState {
		return tokenState{waiting: waiting, history: history{sent: never, lastEarlyRenewal: never}}
	}
	with := func(s tokenState, change func(*tokenState)) tokenState { change(&s); return s }
	lost := with(none(), func(s *tokenState) { s.retryLost = true })
	dueAndLost := with(aged(501), func(s *tokenState) { s.retryLost = true })
	unserved := with(none(), func(s *tokenState) { s.pendingDemand = true })
	refusedByAPI := with(aged(1, caller), func(s *tokenState) { s.cached = nil })
	early := with(aged(10, wants(799)), func(s *tokenState) { s.lastEarlyRenewal = in(-12) })
	unused := with(aged(501), func(s *tokenState) { s.used -= keepWarm })
	short := with(aged(7), func(s *tokenState) {
		s.cached = &cachedToken{token: grant.Token{Sent: s.cached.token.Sent, Lifetime: 7 * time.Second}, renew: boot}
	})

	refused, locked := errors.New("refused"), keystore.ErrLocked
	until := func(seconds float64) Block { return Block{Err: refused, Until: clock.Instant{Boot: in(seconds)}} }
	disabled := Block{Err: refused, Disabled: true}
	ahead := Block{Err: locked, Until: clock.Instant{Boot: in(20)}, AheadOnly: true}
	blocked := func(b Block, s tokenState) tokenState { s.block = b; return s }

	for _, c := range []struct {
		name string
		s    state
		when float64 // at most 0: a request may leave
		why  error
	}{
		// What is wanted.
		{"nothing is wanted", state{tokenState: none()}, idle, nil},
		{"a caller, and no token", state{tokenState: none(caller)}, 0, nil},
		{"a fresh token", state{tokenState: aged(10)}, 490, nil},
		{"a token that is due", state{tokenState: aged(501)}, 0, nil},
		{"a token that is due and was not used for an hour", state{tokenState: unused}, idle, nil},
		{"a token too short-lived for the background", state{tokenState: short}, idle, nil},
		{"a lost answer", state{tokenState: lost}, 0, nil},
		{"a caller was not served when the keystore was locked", state{tokenState: unserved}, 0, nil},

		// Renewals are spaced.
		{"a caller right after a renewal", state{tokenState: aged(10, caller)}, 20, nil},
		{"a caller half a minute after a renewal", state{tokenState: aged(30, caller)}, 0, nil},
		{"a caller whose token an API has refused", state{tokenState: refusedByAPI}, 0, nil},
		{"a min_ttl that is not kept brings one forward", state{tokenState: aged(10, wants(799))}, 0, nil},
		{"a min_ttl that is kept does not", state{tokenState: aged(10, wants(700))}, 20, nil},
		{"a second one is not brought forward", state{tokenState: early}, 18, nil},
		{"a person verifies", state{tokenState: aged(10, person)}, 0, nil},
		{"a person verifies twice in a second", state{tokenState: aged(0.5, person)}, 0.5, nil},
		{"after a suspend, due", state{spread: in(9), tokenState: aged(501)}, 9, nil},
		{"after a suspend, not due", state{spread: in(9), tokenState: aged(10)}, 490, nil},
		{"after a suspend, a caller", state{spread: in(9), tokenState: aged(501, caller)}, 0, nil},
		{"after a suspend, a lost answer", state{spread: in(9), tokenState: lost}, 0, nil},
		{"after a suspend, an unserved caller", state{spread: in(9), tokenState: unserved}, 9, nil},

		// Blocks.
		{"a backoff, and a caller", state{block: until(7), tokenState: none(caller)}, 7, refused},
		{"a backoff, and nothing is wanted", state{block: until(7), tokenState: none()}, idle, nil},
		{"a backoff that is over", state{block: until(-1), tokenState: none(caller)}, 0, nil},
		{"a backoff, and a renewal that comes later", state{block: until(7), tokenState: aged(10)}, 490, refused},
		{"a backoff, and a lost answer", state{block: until(7), tokenState: lost}, 7, refused},
		{"a disabled profile", state{block: disabled, tokenState: none(caller)}, idle, refused},
		{"a disabled profile in doubt", state{block: disabled, tokenState: lost}, idle, refused},
		{"a blocked token", state{tokenState: blocked(until(9), none(caller))}, 9, refused},
		{"a disabled token", state{tokenState: blocked(disabled, none(caller))}, idle, refused},
		{"a blocked profile and token", state{block: ahead, tokenState: blocked(until(9), aged(501))}, 20, locked},

		// A refresh token is not spent ahead of time while its successor could not be stored.
		{"put off, due", state{block: ahead, tokenState: aged(501)}, 20, locked},
		{"put off, and the token will do", state{block: ahead, tokenState: aged(501, caller)}, 20, locked},
		{"put off, and a person verifies", state{block: ahead, tokenState: aged(501, person)}, 20, locked},
		{"put off, and the token will not do", state{block: ahead, tokenState: aged(501, wants(600))}, 0, nil},
		{"put off, and the token is about to end", state{block: ahead, tokenState: aged(721)}, 0, nil},
		{"put off, and there is no token", state{block: ahead, tokenState: none(caller)}, 0, nil},
		{"put off, and an answer was lost", state{block: ahead, tokenState: dueAndLost}, 0, nil},

		// The quota.
		{"the quota is used up, and a caller", state{quota: in(60), tokenState: none(caller)}, 60, ErrOften},
		{"the quota is used up, and a renewal is due", state{quota: in(60), tokenState: aged(501)}, 60, ErrOften},
		{"the quota is used up, and a renewal comes later", state{quota: in(60), tokenState: aged(10)}, 490, nil},
		{"a backoff before the quota", state{block: until(7), quota: in(60), tokenState: none(caller)}, 60, refused},

		// Another request is under way, or the profile is paused or stopping.
		{"busy, and a caller", state{busy: true, tokenState: none(caller)}, idle, nil},
		{"busy and blocked", state{busy: true, block: until(7), tokenState: none(caller)}, idle, refused},
		{"busy, and the quota is used up", state{busy: true, quota: in(60), tokenState: none(caller)}, idle, ErrOften},
	} {
		t.Run(c.name, func(t *testing.T) {
			when, why := next(c.s, now)
			want := in(c.when)
			if c.when == idle {
				want = forever
			}
			if max(when, boot) != want {
				t.Errorf("a request may leave in %s, want %s", when-boot, want-boot)
			}
			if why.Err != c.why {
				t.Errorf("it does not leave now because of %v, want %v", why.Err, c.why)
			}
			if why.Err != nil && (when <= boot || !why.stands(now)) {
				t.Errorf("%+v stands, and a request may leave in %s", why, when-boot)
			}
		})
	}
}
