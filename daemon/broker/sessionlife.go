package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// A session ends by itself in two ways: when its refresh token was not used for some time (idle), and at some time
// whatever is done (absolute). Servers give one figure with each answer, or none; the configuration may have both. A
// figure that a renewal moves is the idle end; one that it does not move is the absolute end, and only of that one a
// person is warned.

// SessionRules is what the configuration says of how long a session lives; 0 means that it does not say.
type SessionRules struct {
	Idle, Absolute time.Duration
	// Keep: an unused session is renewed before its idle end.
	Keep bool
}

// SessionEnds says when a session ends; a zero time is not known.
type SessionEnds struct {
	// Idle is until when the session lives if it is not renewed before.
	Idle time.Time
	// Absolute is when it ends, whatever is renewed.
	Absolute time.Time
	// Soon is set once Absolute is so near that a person is warned of it, or the end of the session's last token.
	Soon bool
	// Untold is set while a person is to be warned of the absolute end, and has not been told ([Broker.TellWarnings]).
	Untold bool
}

// SessionMemory is a session's life as it outlives the process, in Unix seconds; 0 is not known.
type SessionMemory struct {
	SignedIn int64 `json:"signed_in,omitempty"`
	Renewed  int64 `json:"renewed,omitempty"`
	Said     int64 `json:"said,omitempty"`
	Span     int64 `json:"span,omitempty"` // seconds
	Idle     int64 `json:"idle,omitempty"`
	Absolute int64 `json:"absolute,omitempty"`
	Warned   bool  `json:"warned,omitempty"`
	Told     bool  `json:"told,omitempty"`
}

// sessionLife is what a slot knows of how long its session lives. All are boot times, [unknown] where they are not
// known. It belongs to the owner.
type sessionLife struct {
	signedIn, renewed time.Duration // when the session began, and when its refresh token was last used
	said              time.Duration // the end that the server named last
	span              time.Duration // the longest time until an end that it named, 0 where it has named none
	idle, absolute    time.Duration
	warned            bool // of the absolute end
	told              bool // a person, of that
}

// unknown is a boot time that is not known.
const unknown = never

var noSession = sessionLife{signedIn: unknown, renewed: unknown, said: unknown, idle: unknown, absolute: unknown}

const (
	// mostLife bounds what is remembered, so that no sum overflows.
	mostLife = 100 * 365 * 24 * time.Hour
	// worthComparing is the least time between two figures that are compared: servers count in seconds.
	worthComparing = 20 * time.Second
	// A warning comes when a tenth of the session's life is left, but not later or sooner than these.
	warnLatest   = 10 * time.Minute
	warnEarliest = 7 * 24 * time.Hour
	// An unused session is kept when a fifth of its idle time is left, at most this long before its end.
	keepEarliest = 24 * time.Hour
)

// after returns the session's life after its token was obtained.
func (l sessionLife) after(t grant.Token, rules SessionRules) sessionLife {
	if t.Last && t.SessionLeft == 0 { // it ends with its token
		return noSession
	}
	sent := t.Sent.Boot
	if !t.Refreshed {
		was := l
		l = noSession
		l.signedIn = sent
		if t.Last && t.SessionLeft > 0 { // a key with an end; one that is read anew is the same
			l.absolute, l.renewed = sent+t.SessionLeft, sent
			if was.absolute != unknown && (was.absolute-l.absolute).Abs() < worthComparing {
				l.absolute, l.signedIn, l.warned = was.absolute, was.signedIn, was.warned
			}
			return l
		}
	}
	switch before := l.said; {
	case t.SessionLeft > 0:
		end := sent + t.SessionLeft
		if elapsed := sent - l.renewed; before != unknown && elapsed >= worthComparing {
			switch short := t.SessionLeft < l.span-l.span/20; {
			case end-before <= elapsed/10, short: // short: it would be longer, did the session not end before
				l.absolute = end
			case l.absolute != unknown && end > l.absolute:
				l.absolute, l.warned, l.told = unknown, false, false // it was not
			}
		}
		l.said, l.idle, l.span = end, end, max(l.span, t.SessionLeft)
	case t.Refreshed && !t.Rotated && before != unknown: // the same refresh token, which ends when it was said to
		l.absolute = before
	case t.Rotated && before != unknown:
		l.said, l.idle = unknown, unknown
	}
	if t.SessionLeft == 0 && rules.Idle > 0 {
		l.idle = sent + rules.Idle
	}
	if rules.Absolute > 0 && l.signedIn != unknown {
		l.absolute = l.signedIn + rules.Absolute
	}
	if l.absolute != unknown && l.idle != unknown {
		l.idle = min(l.idle, l.absolute)
	}
	l.renewed = sent
	return l
}

// warnAt is the boot time from which a person is warned, forever where there is nothing to warn of.
func (l sessionLife) warnAt() time.Duration {
	if l.warned || l.absolute == unknown {
		return forever
	}
	began := l.signedIn
	if began == unknown {
		began = l.renewed
	}
	whole := l.absolute - began
	return l.absolute - warnBefore(whole)
}

// warnBefore is how long before the end of a life a person is warned of it.
func warnBefore(whole time.Duration) time.Duration {
	return min(max(whole/10, warnLatest), warnEarliest, whole/2)
}

// keepAt is the boot time from which an unused session is renewed, forever where that would not lengthen it.
func (l sessionLife) keepAt(rules SessionRules) time.Duration {
	if !rules.Keep || l.idle == unknown || l.absolute != unknown && l.idle >= l.absolute {
		return forever
	}
	return l.idle - min((l.idle-l.renewed)/5, keepEarliest)
}

// ends is the life as others see it.
func (l sessionLife) ends(now clock.Instant) SessionEnds {
	return SessionEnds{Idle: wallTime(l.idle, now), Absolute: wallTime(l.absolute, now),
		Soon: l.warned && l.absolute != unknown, Untold: l.untold(now)}
}

// untold reports whether a person is still to be told of the absolute end.
func (l sessionLife) untold(now clock.Instant) bool {
	return l.warned && !l.told && l.absolute != unknown && l.absolute > now.Boot
}

// wallTime is the wall time of a boot time, zero for one that is not known.
func wallTime(boot time.Duration, now clock.Instant) time.Time {
	if boot == unknown {
		return time.Time{}
	}
	return now.Wall.Round(0).Add(boot - now.Boot)
}

// UnixOf returns a time in Unix seconds, 0 for the zero time.
func UnixOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// memory is the life as it outlives the process: empty where nothing is known of an end.
func (l sessionLife) memory(now clock.Instant) (m SessionMemory) {
	if l.idle == unknown && l.absolute == unknown {
		return m
	}
	unix := func(boot time.Duration) int64 { return UnixOf(wallTime(boot, now)) }
	return SessionMemory{
		SignedIn: unix(l.signedIn), Renewed: unix(l.renewed), Said: unix(l.said), Span: int64(l.span / time.Second),
		Idle: unix(l.idle), Absolute: unix(l.absolute), Warned: l.warned, Told: l.told,
	}
}

// life is the memory's life.
func (m SessionMemory) life(now clock.Instant) sessionLife {
	boot := func(unix int64) time.Duration {
		if unix == 0 {
			return unknown
		}
		return now.Boot + min(max(time.Unix(unix, 0).Sub(now.Wall), -mostLife), mostLife)
	}
	return sessionLife{
		signedIn: boot(m.SignedIn), renewed: boot(m.Renewed), said: boot(m.Said), idle: boot(m.Idle),
		absolute: boot(m.Absolute), warned: m.Warned, told: m.Told,
		span: time.Duration(min(max(m.Span, 0), int64(mostLife/time.Second))) * time.Second,
	}
}

// keepAt is the boot time from which the unused session is renewed.
func (s *slot) keepAt() time.Duration { return s.life.keepAt((*s.source.Load()).SessionRules()) }

// watchSession warns of the session's end when it is time, and makes sure that there is a token to keep it with.
func (s *slot) watchSession(now clock.Instant) {
	if at := s.life.warnAt(); at <= now.Boot {
		s.life.warned = true
		s.showWarning(now)
		s.record(now)
		if s.b.SessionEnding != nil && s.life.absolute > now.Boot {
			s.b.SessionEnding(s.name, wallTime(s.life.absolute, now))
		}
	}
	if s.keepAt() != forever {
		s.standard(now)
	}
}

// setLife takes in how long the session lives.
func (s *slot) setLife(l sessionLife, now clock.Instant) {
	s.life = l
	if l.idle == unknown && l.absolute == unknown {
		s.sessionEnds.Store(nil)
		return
	}
	ends := l.ends(now)
	s.sessionEnds.Store(&ends)
}

// showWarning makes what readers see say whether a person is to be told of the session's end.
func (s *slot) showWarning(now clock.Instant) {
	s.setLife(s.life, now)
	for _, t := range s.tokens.Load().all {
		if c := t.cached.Load(); c != nil && c.token.SessionWarning != s.life.untold(now) {
			next := *c
			next.token.SessionWarning = !c.token.SessionWarning
			t.cached.Store(&next)
		}
	}
}

// Warning is of a session that ends soon, whatever is renewed.
type Warning struct {
	Profile string
	Ends    time.Time
}

// TellWarnings returns at most a number of the sessions that end soon and of which no person was told yet, sorted by
// profile. They, and no others, count as told from now on, also after a restart: whoever calls it shows them.
func (b *Broker) TellWarnings(most int) (all []Warning) {
	slots := *b.slots.Load()
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		s := slots[name]
		if len(all) == most {
			break
		}
		if ends := s.sessionEnds.Load(); ends == nil || !ends.Untold {
			continue
		}
		s.do(func() {
			if now := s.b.now(); s.life.untold(now) { // else another caller has just told of it
				s.life.told = true
				s.showWarning(now)
				s.record(now)
				all = append(all, Warning{name, wallTime(s.life.absolute, now)})
			}
		})
	}
	return all
}
