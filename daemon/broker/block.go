package broker

import (
	"errors"
	"time"

	"github.com/groat-dev/groat/daemon/clock"
	"github.com/groat-dev/groat/daemon/grant"
)

// Block is why no request leaves for a profile, or for its tokens of one scope and audience, and until when. The zero
// Block blocks nothing. Its JSON form, which may outlive the process, is in block_json.go.
type Block struct {
	// Err is what callers get. In the chain of one that a server caused is a [*grant.Error], and [ErrRotationLost]
	// where that explains it. It is nil in the zero Block only.
	Err error
	// Disabled is set where only another credential or configuration, or a person, ends the block; Until and Wait mean
	// nothing then, unless it is probed.
	Disabled bool
	// Probes counts the times that the server has said invalid_client of a client that it may take again some day.
	// Where it is not 0, a disabled Block is probed: at Until one request may leave, which disables the profile for
	// twice as long where the answer is the same.
	Probes int
	// Until is the time from which a request may leave. Its boot time is of this process; its wall time is what counts
	// for a Block that an earlier process has recorded.
	Until clock.Instant
	// Wait is how long a recorded Block had left when it was recorded. It bounds what a wall clock that was set since
	// may make of Until.
	Wait time.Duration
	// AheadOnly is set where only renewals are blocked that can wait; see [Ahead].
	AheadOnly bool
	// Whole is set where the Block concerns the profile; otherwise it concerns the tokens of Scope and Audience.
	Whole           bool
	Scope, Audience string
	// Failures counts the profile's failures in a row.
	Failures int
}

// after is the instant that comes in wait.
func after(now clock.Instant, wait time.Duration) clock.Instant {
	return clock.Instant{Wall: now.Wall.Add(wait), Boot: now.Boot + wait}
}

// stands reports whether no request may leave now.
func (b Block) stands(now clock.Instant) bool { return b.final() || b.Until.Boot > now.Boot }

// final reports whether time alone never ends the Block.
func (b Block) final() bool { return b.Disabled && b.Probes == 0 }

// unavailable is what a caller gets whom a Block keeps from a token.
func (b Block) unavailable(now clock.Instant) *Unavailable {
	u := &Unavailable{Err: b.Err}
	if _, answered := errors.AsType[*grant.Error](b.Err); answered && b.Scope+b.Audience != "" {
		u.Err = &OnlyFor{Scope: b.Scope, Audience: b.Audience, Err: b.Err}
	}
	if !b.Disabled {
		u.RetryAfter = b.Until.Boot - now.Boot
	}
	return u
}

// minRecordedWait is the least wait that is recorded. A shorter one is a backoff of groatd's own, and a person who
// starts another process wants another request.
const minRecordedWait = time.Minute

// Remembered is what is known of a profile and worth outliving the process.
type Remembered struct {
	Blocks []Block
	Ending Ending // what was learned of the server
	// Narrowing is what a narrower scope has done to the session.
	Narrowing Narrowing
	// Session is how long the session lives.
	Session SessionMemory
	// Last: the session ends with its token, which does not outlive the process.
	Last bool
}

// Empty reports whether nothing is.
func (r Remembered) Empty() bool {
	return len(r.Blocks) == 0 && r.Ending == EndingUnknown && r.Narrowing == (Narrowing{}) &&
		r.Session == (SessionMemory{}) && !r.Last
}

// Recorder is told all that is worth outliving the process of a profile, each time any of it may have changed. It must
// not block, nor call the Broker. For one profile it is called by one goroutine at a time.
type Recorder func(profile string, all Remembered)

// record tells the recorder what is known of the profile now.
func (s *slot) record(now clock.Instant) {
	if s.b.Recorder == nil {
		return
	}
	all := Remembered{Session: s.life.memory(now), Narrowing: s.rememberedNarrowing(), Last: s.endsWithToken()}
	if e := s.ending(); e.learned() {
		all.Ending = e
	}
	if s.block.recordable(now) {
		all.Blocks = append(all.Blocks, s.block.recorded(now))
	}
	for _, t := range s.tokens.Load().all {
		if t.block.recordable(now) {
			all.Blocks = append(all.Blocks, t.block.recorded(now))
		}
	}
	if all.Empty() && !s.recorded {
		return
	}
	s.recorded = !all.Empty()
	s.b.Recorder(s.name, all)
}

// endsWithToken reports whether the session has no refresh token, so that it ends with its access token.
func (s *slot) endsWithToken() bool {
	for _, t := range s.tokens.Load().all {
		if t.key != (key{}) {
			continue
		}
		if c := t.cached.Load(); c != nil {
			return c.token.EndsSession()
		}
		if t.block.Err == ErrEnded {
			return true
		}
	}
	return s.block.Err == ErrEnded
}

// recordable reports whether a Block is worth outliving the process: a server caused it by an answer, and it neither is
// a quick retry nor ends soon.
func (b Block) recordable(now clock.Instant) bool {
	e, ok := errors.AsType[*grant.Error](b.Err)
	if !ok || b.Disabled {
		return ok
	}
	return e.Reached() && e.Action() != grant.RetryOnceSoon && b.Until.Boot >= now.Boot+minRecordedWait
}

// recorded is the Block with its wait and its end as of now.
func (b Block) recorded(now clock.Instant) Block {
	if !b.final() {
		b.Wait = max(b.Until.Boot-now.Boot, 0)
		b.Until = after(now, b.Wait)
	}
	return b
}

// Restore takes in what an earlier process has recorded of a profile. No Block lasts longer than it had left then,
// whatever was done to the wall clock.
func (b *Broker) Restore(profile string, all Remembered) {
	s, ok := b.slot(profile)
	if !ok || all.Empty() {
		return // an unused profile costs no timer
	}
	s.do(func() {
		now := s.b.now()
		if _, known := (*s.source.Load()).EndsTokens(); !known && all.Ending.learned() {
			s.ends.Store(int32(all.Ending))
			s.recorded = true
		}
		if all.Narrowing != (Narrowing{}) {
			s.restoreNarrowing(all.Narrowing)
		}
		if all.Session != (SessionMemory{}) {
			s.setLife(all.Session.life(now), now)
			s.recorded = true
		}
		for _, block := range all.Blocks {
			s.restore(block, now)
		}
		if all.Last {
			s.block, s.recorded = Block{Whole: true, Disabled: true, Err: ErrEnded}.kept(), true
			s.show(s.block)
		}
	})
}

func (s *slot) restore(b Block, now clock.Instant) {
	b.Until = after(now, min(b.Until.Wall.Sub(now.Wall), b.Wait))
	if !b.stands(now) && !b.Disabled { // one that is probed is over only with an answer
		return
	}
	s.recorded = true
	k := key{scope: b.Scope, audience: b.Audience}
	if b.Whole {
		s.block = b.kept()
		s.quota.failures = bucket{used: min(float64(b.Failures), failureBurst), at: now.Boot}
		s.suspected = clientRefused(b.Err)
	} else if t := s.tokenSlot(k, now); t != nil {
		t.block = b.kept()
	} else {
		return
	}
	if b.Whole || k == (key{}) {
		s.show(b.kept())
	}
}

// show makes a Block what Status says of the profile.
func (s *slot) show(b *Block) { s.shown.Store(b) }

// kept returns a Block to keep: ten thousand profiles that nothing blocks share one. It is not changed afterwards.
func (b Block) kept() *Block {
	if b.Err == nil {
		return &noBlock
	}
	return &b
}
