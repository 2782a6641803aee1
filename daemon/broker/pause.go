package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Pause keeps a profile from using its credential, so that somebody else may use, replace or revoke it: from its return
// until resume is called no request to the provider is under way and none begins. Tokens that are held go on being handed
// out, also one that only does where no better is to be had; who needs another one, a [Broker.Verify] too, waits for resume.
// Put and Install may be called meanwhile, and do not end the pause.
//
// Pause waits for a request under way, until what it brought is stored, as long as ctx allows; if that is too short it
// returns an [*Unavailable] with [ErrWaited] and nothing is paused. A request that only waits for the server's budget is put
// off. resume is never nil and may be called more than once; pauses may overlap, and the last resume counts. A profile that
// does not exist, or has ended, has nothing to pause: that is no error.
func (b *Broker) Pause(ctx context.Context, name string) (resume func(), err error) {
	s, ok := b.slot(name)
	if !ok {
		return func() {}, nil
	}
	idle := make(chan struct{})
	if err := s.do(ctx, func() { s.pause(idle) }); err != nil {
		if errors.Is(err, ErrStopped) { // the owner has returned, after its last request
			return func() {}, nil
		}
		return func() {}, &Unavailable{Err: ErrWaited, RetryAfter: time.Second}
	}
	resume = sync.OnceFunc(func() {
		s.do(context.Background(), func() { s.paused-- })
	})
	select {
	case <-idle:
	case <-s.gone:
	case <-ctx.Done():
		resume()
		return func() {}, &Unavailable{Err: ErrWaited, RetryAfter: time.Second}
	}
	return resume, nil
}

// pause lets no attempt begin and closes idle when none is under way.
func (s *slot) pause(idle chan struct{}) {
	s.paused++
	s.withdraw()
	s.idleWaiters = append(s.idleWaiters, idle)
	now := s.b.now()
	for _, v := range s.tokens.Load().all {
		if v != s.running {
			s.serve(v, now)
		}
	}
	s.signalIdle()
}

// signalIdle tells those who paused that no attempt is under way, if that is so.
func (s *slot) signalIdle() {
	if s.running != nil {
		return
	}
	for _, idle := range s.idleWaiters {
		close(idle)
	}
	s.idleWaiters = nil
}
