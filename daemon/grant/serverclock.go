package grant

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/origin"
)

// This file decides by which clock a client's assertion is dated (RFC 7523 §3: exp, iat and nbf). There are two witnesses
// of the time, this machine's clock and the Date of the called origin's answers, and each is wrong at times: a machine
// without a battery starts in 1970, a proxy in front of a server writes a Date of its own, a hostile server writes what it
// likes. So neither is believed alone:
//
//	the assertion was dated by      and was    what follows
//	this machine's clock            accepted   no correction is in force; where Date agreed, that clock is confirmed, and
//	                                           goes on by boot time while somebody sets this machine's
//	this machine's clock            refused    Date differs by 30 s to a day: the other clock is tried, once
//	                                           Date differs by more: no verdict; the error names both clocks
//	                                           Date agrees: the refusal stands
//	                                           Date is missing: the refusal stands until this machine's clock is set
//	Date                            accepted   refused by one clock and accepted by the other: the correction is confirmed
//	(no assertion)                             Date and the iat of a JWT that has just been issued agree: their clock is
//	                                           confirmed
//	a clock other than this one's   refused    a correction ends; this machine's clock is tried, if it was not just now
//	every clock there is            refused    the refusal stands: it is about the credential
//
// "Tried" is a second request where the first one may be repeated, else the next attempt. A correction holds for one origin,
// is carried forward by boot time, is never more than a day from this machine's clock, and is lost when groatd ends.

// ErrClock: a server refused an assertion, and the reason may be the clock that dated it. It is in the chain of an [*Error]
// whose Reason names the clocks: of the class [TransientSlow] where the server's Date is not this machine's, so that the
// refusal says nothing certain about the credential; of its own class where there is no Date to tell.
var ErrClock = errors.New("the client's assertion may have another time than the server's")

const (
	// wrongClock is by how much a clock must be wrong to explain that an assertion was refused; servers allow for less.
	wrongClock = 30 * time.Second
	// correctionMost bounds a correction, and with it how long an assertion can be used that a hostile server asked for.
	correctionMost = 24 * time.Hour
	// triedAgain is how long after a refusal by every clock none but this machine's is tried again.
	triedAgain = 30 * time.Second
	// maxTried bounds the clocks that are remembered as refused.
	maxTried = 8
)

// reading is a clock, read once. It is carried forward by boot time, so that setting this machine's clock does not move it.
type reading struct {
	time time.Time
	boot time.Duration
}

// localClock is this machine's clock at an instant.
func localClock(now clock.Instant) reading { return reading{now.Wall.Round(0), now.Boot} }

// at is what the clock says at another boot time.
func (r reading) at(boot time.Duration) time.Time { return r.time.Add(boot - r.boot) }

// ahead is by how much r is ahead of another clock.
func (r reading) ahead(of reading) time.Duration { return r.at(of.boot).Sub(of.time) }

// agrees reports whether the two clocks would be the same to a server.
func (r reading) agrees(with reading) bool { return r.ahead(with).Abs() <= wrongClock }

// serverClock is what is known of one origin's clock. It is not safe for concurrent use.
type serverClock struct {
	date      reading // of the last answer; zero where it had no Date
	confirmed reading // the correction in force; zero without one
	next      reading // dates the next assertion, for it has not been refused yet; zero: no such clock
	refused   []reading
	dates     int           // how many of them were a Date; another one than the last would be a Date that jumps
	over      bool          // every clock has been refused
	overAt    time.Duration // boot time of that
}

// reading is the clock that dates an assertion now.
func (c *serverClock) reading(now clock.Instant) reading {
	local := localClock(now)
	for _, r := range []reading{c.next, c.confirmed} {
		if !r.time.IsZero() && r.ahead(local).Abs() <= correctionMost && !r.agrees(local) {
			return reading{r.at(now.Boot), now.Boot}
		}
	}
	return local
}

// offset is by how much a correction in force is ahead of this machine's clock; 0 without one.
func (c *serverClock) offset(now clock.Instant) time.Duration {
	local := localClock(now)
	if ahead := c.confirmed.ahead(local); !c.confirmed.time.IsZero() && ahead.Abs() <= correctionMost && !c.confirmed.agrees(local) {
		return ahead
	}
	return 0
}

// accepts takes in that an assertion dated by used was accepted. It confirms that clock where Date agrees with it; where it is
// not this machine's clock, it is a Date, and an assertion dated by this machine's was refused before.
func (c *serverClock) accepts(used reading, now clock.Instant) {
	c.next, c.refused, c.dates, c.over = reading{}, nil, 0, false
	switch {
	case c.confirmed.agrees(used): // it lasts, also while this machine's clock says the same
	case used.agrees(localClock(now)) && !c.date.agrees(used):
		c.confirmed = reading{}
	default:
		c.confirmed = used
	}
}

// doubt is why a refusal of an assertion is no verdict on the credential.
type doubt int

const (
	none    doubt = iota
	another       // another clock has not been tried
	apart         // Date and this machine's clock are more than a day apart
)

// refuses takes in that an assertion dated by used was refused.
func (c *serverClock) refuses(used reading, now clock.Instant) doubt {
	local := localClock(now)
	if c.over && now.Boot-c.overAt > triedAgain {
		c.refused, c.dates, c.over = nil, 0, false
	}
	switch {
	case c.confirmed.agrees(used):
		c.confirmed = reading{}
	case c.next.agrees(used):
		c.dates++
	}
	c.next = reading{}
	if !c.tried(used) {
		c.refused = append(c.refused, used)
		c.refused = c.refused[max(0, len(c.refused)-maxTried):]
	}
	why := none
	for _, other := range []reading{local, c.date} {
		switch {
		case other.time.IsZero() || c.tried(other) || other == c.date && c.dates > 0:
		case other.ahead(local).Abs() > correctionMost:
			why = apart
		default:
			c.next = other
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

// serverClocks are the clocks of the origins that an [Endpoint] calls, and those made by [Endpoint.With]. It is safe for concurrent use.
type serverClocks struct {
	mu  sync.Mutex
	all map[string]*serverClock // :: origin → clock; as many as a [Server] has addresses
}

// at calls f with the clock of a URL's origin.
func (s *serverClocks) at(url string, f func(*serverClock)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := origin.Of(url)
	if s.all == nil {
		s.all = map[string]*serverClock{}
	}
	if s.all[o] == nil {
		s.all[o] = &serverClock{}
	}
	f(s.all[o])
}

// dated takes in the Date of an answer that has just come; zero where it had none.
func (e *Endpoint) dated(url string, date time.Time, received clock.Instant) {
	e.clocks.at(url, func(c *serverClock) {
		if c.date = (reading{}); !date.IsZero() {
			c.date = reading{date, received.Boot}
		}
	})
}

// issued takes in a token that has just come, for a client that signs assertions: where it is a JWT whose iat agrees with the
// Date beside it, and not with this machine's clock, their clock is confirmed. An assertion that was accepted says more, and
// is taken in later.
func (e *Endpoint) issued(url string, t Token) {
	if !e.server.ClientAuth.signs() && !e.server.refreshAuth().signs() {
		return
	}
	claims, _ := jwtClaims(t.Access.Reveal())
	iat, ok := number(claims["iat"])
	if !ok || iat < 0 || iat > 1e11 {
		return
	}
	now := e.now()
	local := localClock(now)
	e.clocks.at(url, func(c *serverClock) {
		made := reading{time.Unix(int64(iat), 0), now.Boot}
		if !c.date.time.IsZero() && made.agrees(c.date) && !c.date.agrees(local) && c.date.ahead(local).Abs() <= correctionMost {
			c.confirmed = c.date
		}
	})
}

// clockFor returns the clock that dates an assertion for a URL now.
func (e *Endpoint) clockFor(url string) (r reading) {
	now := e.now()
	e.clocks.at(url, func(c *serverClock) { r = c.reading(now) })
	return r
}

// ClockOffset returns by how much the token endpoint's clock is ahead of this machine's (negative: behind), where a
// correction is in force for client assertions; else 0.
func (e *Endpoint) ClockOffset() (ahead time.Duration) {
	now := e.now()
	e.clocks.at(e.server.TokenEndpoint, func(c *serverClock) { ahead = c.offset(now) })
	return ahead
}

// noteAssertion takes in how a request ended whose assertion was dated by used. about says of an error that the assertion may be
// to blame. It returns the error that it is: one that wraps [ErrClock] where the refusal may be about the clock, with again
// set where the next assertion will be dated by another clock.
func (e *Endpoint) noteAssertion(url string, used reading, about func(error) bool, err error) (judged error, again bool) {
	failed, ok := errors.AsType[*Error](err)
	accepted := err == nil || ok && (failed.Class == Pending || failed.Code == "slow_down")
	if !accepted && !about(err) {
		return err, false // nothing was said about the client
	}
	now := e.now()
	var why doubt
	var date reading
	e.clocks.at(url, func(c *serverClock) {
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

// apartBy names both clocks.
func apartBy(date, local reading) string {
	const format = "2006-01-02 15:04:05 UTC"
	here := "this machine's clock says " + local.time.UTC().Format(format)
	if date.time.IsZero() {
		return here + " and its answer has no Date"
	}
	return fmt.Sprintf("its clock says %s and %s", date.at(local.boot).UTC().Format(format), here)
}

// aboutTheAssertion reports whether a refusal may have to do with the times of an assertion. RFC 7523 §3.2 says
// invalid_client; libraries made for assertions as grants say invalid_grant, others whatever word they have.
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
	refused := e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	return aboutTheClient(err) || e.Code != "" && !known && refused
}

// aboutTheClient is [aboutTheAssertion] for requests whose own subject may be what the other codes are about. A server looks
// at the client first (RFC 6749 §3.2.1), so what the request carried has not been used up.
func aboutTheClient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Class == InvalidClient || e.Code == "unauthorized_client" && e.Class.Definitive()) // Keycloak's word
}
