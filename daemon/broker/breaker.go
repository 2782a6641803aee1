package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// Outage says that a token endpoint fails for every profile. Until it answers one of them it is asked once in about
// half a minute, for all profiles together. It is an error of its own beside [Block], which has it as its Err, because
// callers are told more of it than of another failure.
type Outage struct {
	// Origin is what fails: the token endpoint's origin where nothing is reached there, or the endpoint's URL where
	// that answers, but never with what it is asked for. Another URL of the same origin may be well.
	Origin string
	// Since is the wall time of the first of the failures in a row.
	Since time.Time
	// Err is the last of them.
	Err error
}

func (o *Outage) Error() string {
	since := o.Since.Format("2006-01-02 15:04:05")
	return fmt.Sprintf("%s has failed every request since %s: %s", o.Origin, since, o.Err)
}

// Unwrap returns the last failure.
func (o *Outage) Unwrap() error { return o.Err }

const (
	// It takes this many failures in a row, over at least this time, to call it an outage.
	opensAfter = 5
	opensOver  = 10 * time.Second
	// probeEvery is how often a server is asked in an outage, or up to 20 % sooner: a server that is back is found
	// within it.
	probeEvery = 30 * time.Second
	// probeWait is how long a caller waits for a probe; an answer that comes at all comes within a round trip.
	probeWait = time.Second
	// After an outage the requests that have queued up leave this slowly for this long: the server may be weak yet.
	gentlePerSecond = 5
	gentleFor       = time.Minute
)

// breaker counts the failures of one origin, or of one URL, for all profiles. It is open during an outage. It is not
// safe for concurrent use; see [limiter].
type breaker struct {
	origin   string        // as in an Outage
	ofURL    bool          // it is a URL's
	first    string        // of a URL: the profile that it failed first
	several  bool          // of a URL: it failed another profile too
	failures int           // in a row
	since    clock.Instant // the end of the first of them
	last     error
	isOpen   bool
	probe    time.Duration // boot time of the next request while it is open
	probed   time.Duration // boot time of the last one, never after its end
	gentle   time.Duration // boot time until which requests leave slowly
}

// record takes in how a request ended. A refusal shows that the server is there; a failure on this machine says nothing
// about it.
func (k *breaker) record(err error, now clock.Instant, draw float64) {
	e, ok := errors.AsType[*grant.Error](err)
	switch {
	case err == nil || ok && e.Answered():
		k.reset(now.Boot)
		return
	case !ok || e.Class.Definitive() && !e.Reached():
		return
	}
	if k.failures == 0 {
		k.since = now
	}
	k.failures++
	k.last = err
	if k.isOpen || k.failures < opensAfter || now.Sub(k.since) < opensOver && now.Boot >= k.gentle {
		return
	}
	if k.ofURL && !k.several { // the server may refuse this one profile only
		return
	}
	k.isOpen = true
	k.planProbe(now.Boot, draw)
}

// planProbe plans the next probe.
func (k *breaker) planProbe(now time.Duration, draw float64) {
	k.probe = now + probeEvery*4/5 + time.Duration(draw*float64(probeEvery/5))
}

// reset forgets the failures: the server has answered, or the machine has slept and they were about the network of
// hours ago.
func (k *breaker) reset(now time.Duration) {
	if k.isOpen {
		k.gentle = now + gentleFor
	}
	k.isOpen, k.failures, k.last = false, 0, nil
}

// outage describes the outage, or is nil where there is none.
func (k *breaker) outage() *Outage {
	if !k.isOpen {
		return nil
	}
	return &Outage{Origin: k.origin, Since: k.since.Wall, Err: k.last}
}
