package broker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
	"github.com/groat-dev/groat/keystore"
)

// Some servers end every earlier access token of a session when its refresh token is used: there the session has one
// token. For a profile at such a server only the default token is obtained, since each renewal of one token would end
// the others; it is renewed as late as callers allow; and while a renewal is under way callers wait for its result. A
// renewal that is known to have changed nothing gives the token back. One whose answer was lost may have ended it: it is
// handed out no more, and callers get the token of the quick retry, or are told that there is none. Other servers see
// no difference. Which server it is says the configuration, or what happens to the tokens.

// ErrOneToken: the server ends a session's token when another one is obtained, so another scope or audience cannot be
// had. It is in an [*OnlyFor].
var ErrOneToken = errors.New("this server keeps one token a session: sign in another profile for that scope")

// Ending says how it is known that a server ends a session's earlier access tokens when its refresh token is used. The
// zero Ending: it is not known to.
type Ending int32

const (
	// EndingUnknown: a server that does not, as far as is known.
	EndingUnknown Ending = iota
	// EndingConfigured: the preset or the configuration says so.
	EndingConfigured
	// EndingRefused: an API refused a token far from its end, after a renewal.
	EndingRefused
	// EndingIntrospected: the server said that the earlier token is not active any more (RFC 7662).
	EndingIntrospected
)

var endingNames = [...]string{"", "configured", "refused", "introspected"}

func (e Ending) String() string { return endingNames[e] }

// MarshalText implements [encoding.TextMarshaler].
func (e Ending) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what is worth outliving the process only.
func (e *Ending) UnmarshalText(text []byte) error {
	for _, learned := range []Ending{EndingRefused, EndingIntrospected} {
		if string(text) == learned.String() {
			*e = learned
			return nil
		}
	}
	return fmt.Errorf("%q is no way to know what a renewal ends", text)
}

// learned reports whether it was found out, and not configured.
func (e Ending) learned() bool { return e == EndingRefused || e == EndingIntrospected }

// Introspector is a [Source] that may be able to ask its server whether an access token is still good.
type Introspector interface {
	// Introspects reports whether the server offers that.
	Introspects() bool
	// Active reports whether the token is still good. It must bound its own time.
	Active(ctx context.Context, t grant.Token) (bool, error)
}

// sessionState is what a slot knows of the session's tokens. It belongs to the owner.
type sessionState struct {
	begun     time.Duration // boot time at which the last request began, whatever it was for
	renewedAt time.Duration // boot time at which the refresh token was last used for a token
	granted   string        // the scope of the default token, canonical; empty where no server has said it
	// disputed is when an API refused the session's newest token, which no renewal can have ended. For an hour no
	// refusal says anything about the server then.
	disputed time.Duration
	examined bool // the server was asked whether a renewal has ended the token before it, or is being asked
	outlives bool // it said that it has not: a refusal says nothing about the server then
}

func newSessionState() sessionState {
	return sessionState{begun: never, renewedAt: never, disputed: never}
}

// digest stands for an access token.
type digest [sha256.Size]byte

func digestOf(token keystore.Secret) digest { return sha256.Sum256([]byte(token.Reveal())) }

// replacedToken is a token that a renewal has replaced before its end.
type replacedToken struct {
	digest digest
	until  time.Duration // boot time from which the token was near its end
}

func (r replacedToken) is(token keystore.Secret, now clock.Instant) bool {
	return now.Boot < r.until && r.digest == digestOf(token)
}

// nearEnd is the boot time from which a token is near its end: a refusal says nothing then.
func nearEnd(t grant.Token) time.Duration { return t.Sent.Boot + t.Lifetime - waitBelow(t.Lifetime) }

// ending is how it is known that the server ends earlier tokens.
func (s *slot) ending() Ending { return Ending(s.ends.Load()) }

// keepsOne reports whether the session has one token.
func (s *slot) keepsOne() bool { return s.ending() != EndingUnknown }

// adoptSource takes over what a new source says about the server. What was learned stays for the same server.
func (s *slot) adoptSource(source Source, sameServer bool) {
	switch ends, known := source.EndsTokens(); {
	case ends:
		s.ends.Store(int32(EndingConfigured))
	case known || !sameServer || s.ending() == EndingConfigured:
		s.ends.Store(int32(EndingUnknown))
	}
	s.adoptNarrowing(source, sameServer)
}

// weigh takes in what an API's refusal of a token says about the server. A token far from its end that was good when it
// came, and after which the refresh token was used, was ended by that. A token after which nothing was asked for was
// not: an API that refuses such a one refuses others too.
func (s *slot) weigh(t *tokenSlot, refused keystore.Secret, now clock.Instant) {
	if _, known := (*s.source.Load()).EndsTokens(); known {
		return
	}
	if s.outlives {
		return
	}
	c := t.cached.Load()
	current := c != nil && c.token.Access.Equal(refused)
	far := current && now.Boot < nearEnd(c.token)
	switch {
	case !current && t.replaced.is(refused, now), far && s.renewedAt > c.token.Sent.Boot:
		t.replaced = replacedToken{}
		if s.ending() == EndingUnknown && !warm(s.disputed, now.Boot) {
			s.setEnding(EndingRefused, now)
		}
	case far && s.begun <= c.token.Sent.Boot:
		s.disputed = now.Boot
		if s.ending() == EndingRefused {
			s.setEnding(EndingUnknown, now)
		}
	}
}

// setEnding takes in what is known of the server from now on. The default token is dropped where a later renewal has
// ended it, and renewed later where it is the newest.
func (s *slot) setEnding(e Ending, now clock.Instant) {
	s.ends.Store(int32(e))
	if t := s.lookup(key{}); t != nil && e != EndingUnknown {
		switch c := t.cached.Load(); {
		case c == nil:
		case s.renewedAt > c.token.Sent.Boot:
			t.cached.Store(nil)
		default:
			t.cached.Store(&cachedToken{token: c.token, renew: s.plan(t, c.token)})
		}
	}
	s.record(now)
}

// plan is the boot time of a token's renewal.
func (s *slot) plan(t *tokenSlot, token grant.Token) time.Duration {
	if s.keepsOne() {
		return lateRenewalPoint(token, s.b.Draw())
	}
	return renewalPoint(token, s.b.Draw())
}

// keepOne drops all tokens that the session cannot have beside the default one, but the one that is being renewed.
// Callers who wait for another are told.
func (s *slot) keepOne() {
	if !s.keepsOne() && !s.narrows() {
		return
	}
	all, kept := s.tokens.Load().all, &tokenSlots{}
	for _, t := range all {
		err := s.refusesKey(t.key)
		if err == nil || t == s.running {
			kept.add(t)
			continue
		}
		t.cached.Store(nil)
		s.answer(t, err)
	}
	if len(kept.all) < len(all) {
		s.tokens.Store(kept)
	}
}

// refusesKey is the answer to a caller who asks for a token that the session cannot have beside the default one, nil
// where it can.
func (s *slot) refusesKey(k key) error {
	var why error
	switch {
	case k == (key{}):
		return nil
	case s.keepsOne():
		why = ErrOneToken
	case k.scope != "" && s.narrows():
		why = ErrOneScope
	default:
		return nil
	}
	return &Unavailable{Err: &OnlyFor{Scope: k.scope, Audience: k.audience, Err: why}}
}

// toDefault makes a caller's question one for the default token where the session has no other. A scope is served with
// it if it is exactly what was granted, never with a wider one. It returns why it cannot be served, or nil.
func (s *slot) toDefault(a *ask) error {
	err := s.refusesKey(a.key)
	if err == nil || a.key.audience != "" || s.granted != "" && s.granted != a.key.scope {
		return err
	}
	a.exactly, a.otherwise, a.key = a.key.scope, err, key{}
	return nil
}

// examine asks the server once, where it can be asked, whether a renewal has ended the session's earlier token. The new
// token is asked about first: a server that calls that one ended too does not tell this client.
func (s *slot) examine(earlier, newest grant.Token) {
	source := *s.source.Load()
	server, ok := source.(Introspector)
	if _, known := source.EndsTokens(); !ok || !server.Introspects() || known || s.examined || s.keepsOne() {
		return
	}
	s.examined = true
	epoch := s.epoch
	s.b.limiter(source.Origin()).enter(&ticket{url: source.URL(), delayed: func() {}, run: func() {
		if s.hasEnded() {
			return
		}
		alive, err := outlived(server, earlier, newest)
		s.do(func() {
			if s.epoch == epoch {
				s.learn(alive, earlier, err)
			}
		})
	}}, false)
}

// errUntold: the server tells this client of no token.
var errUntold = errors.New("the server does not say whether a token is active")

// outlived reports whether the earlier token is still good after the newest was issued.
func outlived(server Introspector, earlier, newest grant.Token) (alive bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			alive, err = false, Recovered(v)
		}
	}()
	if told, err := server.Active(context.Background(), newest); err != nil || !told {
		return false, cmp.Or(err, errUntold)
	}
	return server.Active(context.Background(), earlier)
}

// learn takes in what the server said of an earlier token. Where it was not reached it is asked after the next renewal.
func (s *slot) learn(alive bool, earlier grant.Token, err error) {
	now := s.b.now()
	switch e, ok := errors.AsType[*grant.Error](err); {
	case err != nil:
		s.examined = !ok || !(e.Class == grant.Transient || e.Class == grant.Ambiguous)
	case alive:
		s.outlives = true
		if s.ending() == EndingRefused {
			s.setEnding(EndingUnknown, now)
		}
	case now.Boot < nearEnd(earlier) && s.ending() != EndingConfigured:
		s.setEnding(EndingIntrospected, now)
	}
}

// lose takes in a failed request after which the refresh token was used, or may have been: where that ends the
// session's tokens, whoever was given one of them now could be given a dead one.
func (s *slot) lose(r result) {
	used := r.token.Refreshed
	if used {
		s.renewedAt = s.begun
	}
	e, ok := errors.AsType[*grant.Error](r.err)
	if unclear := ok && e.Action() == grant.RetryOnceSoon; !used && !unclear {
		return
	}
	s.usedFor(r.t)
	if !s.keepsOne() {
		return
	}
	for _, t := range s.tokens.Load().all {
		t.cached.Store(nil)
	}
}

// took takes in a new token.
func (s *slot) took(t *tokenSlot, token grant.Token) {
	s.weighScope(t, token)
	if t.key == (key{}) && token.Scope != "" {
		s.granted = canonical(token.Scope)
	}
	s.setLife(s.life.after(token, (*s.source.Load()).SessionRules()), s.b.now())
	old := t.cached.Load()
	t.replaced = replacedToken{}
	if !token.Refreshed {
		return
	}
	s.renewedAt = token.Sent.Boot
	if old != nil && !old.token.Access.Equal(token.Access) {
		t.replaced = replacedToken{digest: digestOf(old.token.Access), until: nearEnd(old.token)}
	}
	for _, other := range s.tokens.Load().all {
		c := other.cached.Load()
		if c != nil && token.Sent.Boot < nearEnd(c.token) && !c.token.Access.Equal(token.Access) {
			s.examine(c.token, token)
		}
		if other != t && s.keepsOne() {
			other.cached.Store(nil)
		}
	}
}
