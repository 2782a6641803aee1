package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Pause keeps a profile from using its credential, so that the caller may use, replace or revoke it: from its return
// until resume is called no request to the provider is under way and none begins. Cached tokens go on being handed out,
// also one that is good enough only where no better is to be had; a caller who needs another one waits for resume, and
// so does [Broker.Verify]. Put and Install may be called during the pause and do not end it.
//
// Pause waits as long as ctx allows for a request under way, until its result is stored. If that is too short it
// returns an [*Unavailable] with [ErrWaited], and nothing is paused. A request that has not left yet is withdrawn.
// resume is never nil and may be called more than once; pauses may overlap, and the last resume ends them. A profile
// that does not exist, or has ended, has nothing to pause: that is no error.
func (b *Broker) Pause(ctx context.Context, name string) (resume func(), err error) {
	s, ok := b.slot(name)
	if !ok {
		return func() {}, nil
	}
	idle := make(chan struct{})
	if err := s.do(func() { s.pause(idle) }); err != nil {
		if errors.Is(err, ErrStopped) { // the owner has returned, after its last request
			return func() {}, nil
		}
		return func() {}, &Unavailable{Err: ErrWaited, RetryAfter: time.Second}
	}
	resume = sync.OnceFunc(func() {
		s.do(func() { s.paused-- })
	})
	select {
	case <-idle:
	case <-s.ended():
	case <-ctx.Done():
		resume()
		return func() {}, &Unavailable{Err: ErrWaited, RetryAfter: time.Second}
	}
	return resume, nil
}

// pause lets no request begin and closes idle when none is under way.
func (s *slot) pause(idle chan struct{}) {
	s.paused++
	s.withdraw()
	s.idleWaiters = append(s.idleWaiters, idle)
	now := s.b.now()
	for _, t := range s.tokens.Load().all {
		if t != s.running {
			s.serve(t, now)
		}
	}
	s.signalIdle()
}

// signalIdle closes the idle channels if no request is under way.
func (s *slot) signalIdle() {
	if s.running != nil {
		return
	}
	for _, idle := range s.idleWaiters {
		close(idle)
	}
	s.idleWaiters = nil
}
