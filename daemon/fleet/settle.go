package fleet

import (
	"errors"
	"fmt"
	"time"

	"github.com/groat-dev/groat/daemon/broker"
	"github.com/groat-dev/groat/daemon/grant"
)

// settle makes of a record with an intent the one after a failure. What was never sent leaves no trace but a wait.
func settle(r *record, failed error) {
	r.Intent, r.Block = nil, nil
	refusal, ok := errors.AsType[*grant.Error](failed)
	if !ok {
		return // nothing was sent
	}
	if refusal.RotationLost {
		r.Doubt = unanswered
	}
	b := broker.Block{Whole: true, Err: failed, Failures: r.Failures + 1}
	switch action := refusal.Action(); {
	case action == grant.ParkRequest, action == grant.ParkDoubtful:
		return // about what was asked for, and not about the credential
	case action == grant.Park:
		b.Disabled = true
		if doubt := r.doubt(); doubt != nil && refusal.Code == "invalid_grant" {
			b.Err = fmt.Errorf("%w: %w: %w", broker.ErrRotationLost, doubt, refusal)
		}
	default:
		b.Wait = sharedWait(action, refusal.RetryAfter, r.Failures)
	}
	r.Failures++
	if text, err := b.MarshalJSON(); err == nil {
		r.Block = text
	}
}

// sharedWait is how long all machines wait after a failure, of which there were some before.
func sharedWait(action grant.Action, retryAfter time.Duration, before int) time.Duration {
	first, most := 30*time.Second, 5*time.Minute
	switch {
	case action == grant.Retry:
		first, most = 2*time.Second, time.Minute
	case action == grant.RetryOnceSoon && before == 0:
		first = 3 * time.Second
	case action == grant.ConfirmThenPark:
		first = time.Minute
	}
	wait := min(first<<min(before, 8), most)
	return min(max(wait, retryAfter), time.Hour)
}
