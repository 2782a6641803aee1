package grant

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
)

// serverTime is a server's clock, read once. It is carried forward by boot time, so that it stays right when somebody
// sets this machine's clock.
type serverTime struct {
	date time.Time
	at   clock.Instant
}

// time returns the server's time: by its last Date, which is late by at most the time of an exchange, and by this machine's
// clock before there was one.
func (e *Endpoint) time(now clock.Instant) time.Time {
	if s := e.clock.Load(); s != nil {
		return s.date.Add(now.Sub(s.at))
	}
	return now.Wall
}

// usedTime is what was taken for the server's time at an instant.
type usedTime struct {
	at     clock.Instant
	server time.Time
}

// wrongClock is by how much a clock must have been wrong to explain that an assertion was refused; servers allow for less.
const wrongClock = 30 * time.Second

// clockMoved reports whether the server's time turned out to be another than an assertion said.
func (e *Endpoint) clockMoved(used usedTime) bool {
	return e.time(used.at).Sub(used.server).Abs() > wrongClock
}

// aboutTheAssertion reports whether a refusal may have to do with the assertion's times. RFC 7523 §3.2 says
// invalid_client; libraries made for assertions as grants say invalid_grant.
func aboutTheAssertion(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Class == InvalidClient || e.Code == "invalid_grant")
}
