package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// Outage says that a token endpoint fails everybody: until it answers somebody, it is asked once in about half a minute, for
// all profiles together.
type Outage struct {
	// Origin is what fails: the token endpoint's origin where nothing is reached there, or the endpoint's URL where that
	// answers, but never with what it is asked for. Another URL of the same origin may be well.
	Origin string
	// Since is the wall time of the first of the failures in a row.
	Since time.Time
	// Err is the last of them.
	Err error
}

func (o *Outage) Error() string {
	return fmt.Sprintf("%s has failed every request since %s: %s", o.Origin, o.Since.Format("2006-01-02 15:04:05"), o.Err)
}

// Unwrap returns the last failure.
func (o *Outage) Unwrap() error { return o.Err }

const (
	// It takes this many failures in a row, over this time, to call it an outage.
	opensAfter = 5
	opensOver  = 10 * time.Second
	// probeEvery is how often a server is asked in an outage, or up to 20 % sooner: whoever is back is found within it.
	probeEvery = 30 * time.Second
	// probeWait is how long a caller waits for a probe; an answer that comes at all comes within a round trip.
	probeWait = time.Second
	// When an outage is over, what has piled up is let go this slowly for this long: the server may be weak yet.
	gentlePerSecond = 5
	gentleFor       = time.Minute
)

// breaker is what is known of a server that fails all its profiles. It is not safe for concurrent use; see [limiter].
type breaker struct {
	origin   string        // as an Outage has it
	url      bool          // it is one URL's
	alone    string        // of a URL: the profile that it failed first
	several  bool          // of a URL: it failed another one too
	failures int           // in a row
	first    clock.Instant // the end of the first of them
	last     error
	open     bool          // an outage
	probe    time.Duration // boot time of the next request in it
	probed   time.Duration // boot time of the last one
	gentle   time.Duration // boot time until which requests are let go slowly
}

// record takes in how a request ended. A refusal shows that the server is there; what failed on this machine says nothing
// about it.
func (k *breaker) record(err error, now clock.Instant, draw float64) {
	e, ok := errors.AsType[*grant.Error](err)
	switch {
	case err == nil || ok && e.Answered():
		if k.open {
			k.gentle = now.Boot + gentleFor
		}
		k.open, k.failures, k.last = false, 0, nil
		return
	case !ok || e.Class.Definitive() && !e.Reached():
		return
	}
	if k.failures == 0 {
		k.first = now
	}
	k.failures++
	k.last = err
	if k.open || k.failures < opensAfter || now.Sub(k.first) < opensOver && now.Boot >= k.gentle {
		return
	}
	if k.url && !k.several { // it may be the profile that it does not like
		return
	}
	k.open = true
	k.probes(now.Boot, draw)
}

// probes plans the next probe.
func (k *breaker) probes(now time.Duration, draw float64) {
	k.probe = now + probeEvery*4/5 + time.Duration(draw*float64(probeEvery/5))
}

// rested is for a machine that has slept: what was known is about a network of hours ago.
func (k *breaker) rested(now time.Duration) {
	if k.open {
		k.gentle = now + gentleFor
	}
	k.open, k.failures, k.last = false, 0, nil
}

// outage describes it, if there is one.
func (k *breaker) outage() *Outage {
	if !k.open {
		return nil
	}
	return &Outage{Origin: k.origin, Since: k.first.Wall, Err: k.last}
}
