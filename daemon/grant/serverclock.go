package grant

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
)

// This file decides which clock dates a client's assertion (RFC 7523 §3: exp, iat and nbf). Two clocks tell the time,
// this machine's and the Date of the called origin's answers, and each can be wrong: a machine without a battery starts
// in 1970, a proxy in front of a server writes its own Date, a hostile server writes any Date. So neither is believed
// alone:
//
//	the assertion was dated by      and was    what follows
//	this machine's clock            accepted   no correction is in force; where Date agrees, that clock is confirmed,
//	                                           and goes on by boot time if this machine's clock is set
//	this machine's clock            refused    Date differs by 30 s to a day: the other clock is tried, once
//	                                           Date differs by more: no verdict; the error names both clocks
//	                                           Date agrees: the refusal stands
//	                                           Date is missing: the refusal stands until this machine's clock is set
//	Date                            accepted   refused by one clock and accepted by the other: the correction is
//	                                           confirmed
//	(no assertion)                             Date and the iat of a JWT that has just been issued agree: their clock is
//	                                           confirmed
//	a clock other than this one's   refused    a correction ends; this machine's clock is tried, if it was not just now
//	every clock there is            refused    the refusal stands: it is about the credential
//
// "Tried" means a second request where the first one may be repeated, else the next attempt. A correction is valid for
// one origin, is carried forward by boot time, is never more than a day from this machine's clock, and is lost when
// groatd ends.

// ErrClock means that a server refused an assertion, possibly because of the clock that dated it. It is in the chain of
// an [*Error] whose Reason names the clocks. The class is [TransientSlow] where the server's Date differs from this
// machine's clock, since the refusal then says nothing certain about the credential; it is the refusal's own class
// where there is no Date.
var ErrClock = errors.New("the client's assertion may have another time than the server's")

const (
	// wrongClock is the least error of a clock that explains the refusal of an assertion; servers tolerate less.
	wrongClock = 30 * time.Second
	// correctionMost bounds a correction, and so the lifetime of an assertion that a hostile server provokes.
	correctionMost = 24 * time.Hour
	// triedAgain is how long after a refusal by every clock only this machine's clock is used.
	triedAgain = 30 * time.Second
	// maxTried bounds how many refused clocks are remembered.
	maxTried = 8
)

// reading is one reading of a clock. It is carried forward by boot time, so that setting this machine's clock does not
// move it.
type reading struct {
	time time.Time
	boot time.Duration
}

// localClock returns this machine's clock at an instant.
func localClock(now clock.Instant) reading { return reading{now.Wall.Round(0), now.Boot} }

// at returns what the clock says at another boot time.
func (r reading) at(boot time.Duration) time.Time { return r.time.Add(boot - r.boot) }

// ahead returns by how much r is ahead of another clock.
func (r reading) ahead(of reading) time.Duration { return r.at(of.boot).Sub(of.time) }

// agrees reports whether a server would take the two clocks for the same.
func (r reading) agrees(with reading) bool { return r.ahead(with).Abs() <= wrongClock }

// serverClock is what is known about one origin's clock. It is not safe for concurrent use.
type serverClock struct {
	date      reading // of the last answer; zero where it had no Date
	confirmed reading // the correction in force; zero without one
	next      reading // dates the next assertion, for it has not been refused yet; zero: no such clock
	nextDate  bool    // next is a Date
	refused   []reading
	dated     bool          // a Date has been refused; another one than the last would be a Date that jumps
	over      bool          // every clock has been refused
	overAt    time.Duration // boot time of that
}

// reading returns the clock that dates an assertion now.
func (c *serverClock) reading(now clock.Instant) reading {
	local := localClock(now)
	for _, r := range []reading{c.next, c.confirmed} {
		if !r.time.IsZero() && r.ahead(local).Abs() <= correctionMost && !r.agrees(local) {
			return reading{r.at(now.Boot), now.Boot}
		}
	}
	return local
}

// offset returns by how much a correction in force is ahead of this machine's clock; 0 without a correction.
func (c *serverClock) offset(now clock.Instant) time.Duration {
	local := localClock(now)
	if ahead := c.confirmed.ahead(local); !c.confirmed.time.IsZero() && ahead.Abs() <= correctionMost &&
		!c.confirmed.agrees(local) {
		return ahead
	}
	return 0
}

// accepts records that the server accepted an assertion dated by used. It confirms that clock where Date agrees with
// it, or where it is not this machine's clock: then it is a Date, and an assertion dated by this machine's clock was
// refused before.
func (c *serverClock) accepts(used reading, now clock.Instant) {
	c.next, c.refused, c.dated, c.over = reading{}, nil, false, false
	switch {
	case c.confirmed.agrees(used): // it lasts, also while this machine's clock says the same
	case used.agrees(localClock(now)) && !c.date.agrees(used):
		c.confirmed = reading{}
	default:
		c.confirmed = used
	}
}

// doubt says why the refusal of an assertion is no verdict on the credential.
type doubt int

const (
	none    doubt = iota
	another       // another clock has not been tried
	apart         // Date and this machine's clock are more than a day apart
)

// refuses records that the server refused an assertion dated by used.
func (c *serverClock) refuses(used reading, now clock.Instant) doubt {
	local := localClock(now)
	if c.over && now.Boot-c.overAt > triedAgain {
		c.refused, c.dated, c.over = nil, false, false
	}
	switch {
	case c.confirmed.agrees(used):
		c.confirmed = reading{}
	case c.next.agrees(used):
		c.dated = c.dated || c.nextDate
	}
	c.next = reading{}
	if !c.tried(used) {
		c.refused = append(c.refused, used)
		c.refused = c.refused[max(0, len(c.refused)-maxTried):]
	}
	why := none
	for _, other := range []reading{local, c.date} {
		switch {
		case other.time.IsZero() || c.tried(other) || other == c.date && c.dated:
		case other.ahead(local).Abs() > correctionMost:
			why = apart
		default:
			c.next, c.nextDate = other, other == c.date
			return another
		}
	}
	if c.over = why == none; c.over {
		c.overAt = now.Boot
	}
	return why
}

func (c *serverClock) tried(r reading) bool {
	for _, other := range c.refused {
		if other.agrees(r) {
			return true
		}
	}
	return false
}

// serverClocks are the clocks of the origins that an [Endpoint], and those made by its [Endpoint.With], send requests
// to. It is safe for concurrent use.
type serverClocks struct {
	mu  sync.Mutex
	all []originClock // as many as a [Server] has addresses: one, nearly always
}

// update calls f with the clock of a URL's origin, while it holds the lock.
func (s *serverClocks) update(url string, f func(*serverClock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known(url)
	if c == nil {
		s.all = append(s.all, originClock{origin: origin.Of(url)})
		c = &s.all[len(s.all)-1].serverClock
	}
	f(c)
}

// look is update where something is known of that clock.
func (s *serverClocks) look(url string, f func(*serverClock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.known(url); c != nil {
		f(c)
	}
}

// known returns the clock of a URL's origin, or nil. The lock is held.
func (s *serverClocks) known(url string) *serverClock {
	if len(s.all) == 0 {
		return nil
	}
	for i := range s.all { // without parsing the URL: a listing asks this of each profile
		if rest, ok := strings.CutPrefix(url, s.all[i].origin); ok && strings.HasPrefix(rest, "/") {
			return &s.all[i].serverClock
		}
	}
	o := origin.Of(url)
	if i := slices.IndexFunc(s.all, func(c originClock) bool { return c.origin == o }); i >= 0 {
		return &s.all[i].serverClock
	}
	return nil
}

type originClock struct {
	origin string
	serverClock
}

// dated records the Date of an answer that has just come; zero where it had none. Of an origin that was sent no
// assertion it would be for [Endpoint.issued] alone.
func (e *Endpoint) dated(url string, date time.Time, received clock.Instant) {
	record := e.clocks.look
	if e.signs() {
		record = e.clocks.update
	}
	record(url, func(c *serverClock) {
		if c.date = (reading{}); !date.IsZero() {
			c.date = reading{date, received.Boot}
		}
	})
}

// issued records a token that has just come, for a client that signs assertions. Where the token is a JWT whose iat
// agrees with the answer's Date, and not with this machine's clock, their clock is confirmed. An accepted assertion is
// better evidence and is recorded later.
func (e *Endpoint) issued(url string, t Token) {
	if !e.signs() {
		return
	}
	claims, _ := jwtClaims(t.Access.Reveal())
	iat, ok := number(claims["iat"])
	if !ok || iat < 0 || iat > 1e11 {
		return
	}
	now := e.now()
	local := localClock(now)
	e.clocks.update(url, func(c *serverClock) {
		made := reading{time.Unix(int64(iat), 0), now.Boot}
		if !c.date.time.IsZero() && made.agrees(c.date) && !c.date.agrees(local) &&
			c.date.ahead(local).Abs() <= correctionMost {
			c.confirmed = c.date
		}
	})
}

// signs reports whether the client proves itself by assertions.
func (e *Endpoint) signs() bool { return e.server.ClientAuth.Signs() || e.server.refreshAuth().Signs() }

// clockFor returns the clock that dates an assertion for a URL now.
func (e *Endpoint) clockFor(url string) (r reading) {
	now := e.now()
	e.clocks.update(url, func(c *serverClock) { r = c.reading(now) })
	return r
}

// ClockOffset returns by how much the token endpoint's clock is ahead of this machine's (negative: behind) where a
// correction is in force for client assertions, else 0.
func (e *Endpoint) ClockOffset() (ahead time.Duration) {
	now := e.now()
	e.clocks.look(e.server.TokenEndpoint, func(c *serverClock) { ahead = c.offset(now) })
	return ahead
}

// noteAssertion records how a request ended whose assertion was dated by used. about reports whether an error may be
// about the assertion's time. It returns err, or an error that wraps [ErrClock] where the refusal may be about the
// clock; again is set where the next assertion will be dated by another clock.
func (e *Endpoint) noteAssertion(url string, used reading, about func(error) bool,
	err error) (judged error, again bool) {
	failed, ok := errors.AsType[*Error](err)
	accepted := err == nil || ok && (failed.Class == Pending || failed.Code == "slow_down")
	if !accepted && !about(err) {
		return err, false // nothing was said about the client
	}
	now := e.now()
	var why doubt
	var date reading
	e.clocks.update(url, func(c *serverClock) {
		date = c.date
		if accepted {
			c.accepts(used, now)
		} else {
			why = c.refuses(used, now)
		}
	})
	if accepted || why == none && !date.time.IsZero() {
		return err, false
	}
	doubtful := *failed
	if why == none {
		doubtful.Err = ErrClock
		doubtful.Reason += ", or the time of the client's assertion: " + apartBy(date, localClock(now))
		return &doubtful, false
	}
	doubtful.Class, doubtful.Err, doubtful.otherClock = TransientSlow, ErrClock, why == another
	doubtful.Reason = "refuses the client's assertion, " + apartBy(date, localClock(now))
	if why == apart {
		doubtful.Reason += ": set this machine's clock if it is wrong"
	} else {
		doubtful.Reason += "; the next attempt goes by the other clock"
	}
	return &doubtful, why == another
}

// apartBy names both clocks in a sentence.
func apartBy(date, local reading) string {
	const format = "2006-01-02 15:04:05 UTC"
	here := "this machine's clock says " + local.time.UTC().Format(format)
	if date.time.IsZero() {
		return here + " and its answer has no Date"
	}
	return fmt.Sprintf("its clock says %s and %s", date.at(local.boot).UTC().Format(format), here)
}

// aboutTheAssertion reports whether a refusal may be about the times of an assertion. RFC 7523 §3.2 prescribes
// invalid_client; libraries made for assertions as grants say invalid_grant, and others use codes of their own.
func aboutTheAssertion(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case "invalid_grant", "invalid_request", "invalid_token", "access_denied":
		return e.Class.Definitive()
	}
	_, known := codes[e.Code]
	refused := e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized ||
		e.Status == http.StatusForbidden
	return aboutTheClient(err) || e.Code != "" && !known && refused
}

// aboutTheClient is [aboutTheAssertion] for requests that carry something else which the other codes may be about. A
// server checks the client first (RFC 6749 §3.2.1), so a refused client has not used up a code or a refresh token.
func aboutTheClient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	// Keycloak's word
	return ok && (e.Class == InvalidClient || e.Code == "unauthorized_client" && e.Class.Definitive())
}
