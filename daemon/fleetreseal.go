package daemon

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	// resealTime bounds one attempt to seal everything anew. What it has done the next one need not do.
	resealTime = time.Minute
	// resealSpread is how long a machine waits at random before: of a thousand that hear of a new key one is enough.
	resealSpread = 5 * time.Second
	// resealWait is the wait after the first attempt that failed, and mostResealWait the longest.
	resealWait     = 5 * time.Second
	mostResealWait = 5 * time.Minute
	// retireAfter is how long older keys are kept after everything was sealed with the newest: a renewal that began
	// before is over by then.
	retireAfter = 2 * time.Minute
)

// reseal has everything sealed anew that is sealed with an older key.
func (r *fleetRun) reseal() {
	r.fleet.Rekeyed()
	select {
	case r.rekeyed <- struct{}{}:
	default:
	}
}

// rekeyedIn waits for [fleetRun.reseal], and reports whether it was called within d.
func (r *fleetRun) rekeyedIn(ctx context.Context, d time.Duration) bool {
	select {
	case <-r.rekeyed:
		return true
	case <-time.After(d):
	case <-ctx.Done():
	}
	return false
}

// keepSealed seals the fleet's credentials with the newest key after each that begins, and later forgets those before
// it, until ctx ends. A machine that starts does so too: the last one that tried may have stopped meanwhile.
func (f *fleetPart) keepSealed(ctx context.Context, r *fleetRun) {
	for ctx.Err() == nil {
		nap(ctx, rand.N(resealSpread))
		epoch := r.member.Keys().Epoch()
		f.untilDone(ctx, func(ctx context.Context) error {
			err := r.fleet.Reseal(ctx)
			if err == nil {
				r.member.Resealed(epoch)
			}
			return err
		})
		if r.rekeyedIn(ctx, retireAfter) {
			continue
		}
		f.untilDone(ctx, func(ctx context.Context) error {
			if err := r.fleet.Reseal(ctx); err != nil {
				return err
			}
			return r.member.Retire(ctx)
		})
		r.rekeyedIn(ctx, math.MaxInt64)
	}
}

// untilDone does something again and again until it succeeds or ctx ends, after a wait that grows.
func (f *fleetPart) untilDone(ctx context.Context, do func(context.Context) error) {
	for wait := resealWait; ctx.Err() == nil; wait = min(2*wait, mostResealWait) {
		bounded, cancel := context.WithTimeout(ctx, resealTime)
		err := do(bounded)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			f.d.Log.Warn("not everything of the fleet is sealed with its newest key yet", zap.Error(err))
		}
		nap(ctx, wait)
	}
}

// nap waits for d or until ctx ends.
func nap(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
