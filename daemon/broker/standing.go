package broker

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// Standing is a server's answer that stands between a profile and its next request, in the form in which it may outlive the
// process: so that one that is started again and again does not ask again and again.
type Standing struct {
	// Whole is set where it concerns the profile; else it concerns the tokens of this Scope and Audience.
	Whole           bool
	Scope, Audience string
	// Err is what callers get. A [*grant.Error] is in its chain; so is [ErrRotationLost] where that explains it.
	Err error
	// Parked: until the credential or the configuration changes, or a person asks; the rest has no meaning then.
	Parked bool
	// Wait is how long the next request has to wait, Until when that is over, by the wall clock.
	Wait  time.Duration
	Until time.Time
	// Failures counts those in a row.
	Failures int
}

// lasting is the least wait that is worth remembering. What is shorter is a backoff of ours, and a person who starts another
// process wants another attempt.
const lasting = time.Minute

// Recorder is told what stands in a profile's way, all of it, each time that has changed. It must not block, nor call the
// Broker; it is called by one goroutine at a time for each profile.
type Recorder func(profile string, all []Standing)

// Restore lets what stood in a profile's way, by an earlier process's account, stand there again. A wait is never longer than
// it was, whatever somebody has done to the clock.
func (b *Broker) Restore(profile string, all []Standing) {
	s, ok := b.slot(profile)
	if !ok || len(all) == 0 {
		return // an unused profile costs no goroutine
	}
	s.do(context.Background(), func() {
		now := s.b.now()
		for _, st := range all {
			s.restore(st, now)
		}
	})
}

func (s *slot) restore(st Standing, now clock.Instant) {
	h := holdup{err: st.Err, parked: st.Parked, until: now.Boot + min(st.Until.Sub(now.Wall), st.Wait)}
	if !h.stands(now) {
		return
	}
	s.recorded = true
	k := key{scope: st.Scope, audience: st.Audience}
	switch {
	case st.Whole:
		s.trouble.holdup, s.failures = h, st.Failures
		s.ceiling.failures = bucket{used: min(float64(st.Failures), patience), at: now.Boot}
		e, ok := errors.AsType[*grant.Error](st.Err)
		s.suspected = ok && e.Class == grant.InvalidClient
	default:
		v := s.variant(k, now)
		if v == nil {
			return
		}
		v.holdup = h
	}
	if st.Whole || k == (key{}) {
		s.show(h)
	}
}

// record tells the recorder what stands in the way now.
func (s *slot) record(now clock.Instant) {
	if s.b.Recorder == nil {
		return
	}
	var all []Standing
	add := func(st Standing, h holdup) {
		e, ok := errors.AsType[*grant.Error](h.err)
		if !ok || !h.parked && (!e.Reached() || e.Action() == grant.RetryOnceSoon || h.until < now.Boot+lasting) {
			return // it has cost nobody anything, or must not wait, or is over soon
		}
		if st.Err, st.Parked = h.err, h.parked; !h.parked {
			st.Wait = h.until - now.Boot
			st.Until = now.Wall.Add(st.Wait)
		}
		all = append(all, st)
	}
	add(Standing{Whole: true, Failures: s.failures}, s.holdup)
	for k, v := range s.variants.Load().all {
		add(Standing{Scope: k.scope, Audience: k.audience}, v.holdup)
	}
	if len(all) == 0 && !s.recorded {
		return
	}
	s.recorded = len(all) > 0
	s.b.Recorder(s.name, all)
}
