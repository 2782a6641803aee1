package daemon

import (
	"context"
	"os"
	"time"
)

// forgetLimit is how long a disk may keep a credential from being stored that is no longer what was refused.
const forgetLimit = 3 * time.Second

// forget is for a credential that is about to be stored. What was said of the one before is not in the file any more when it
// returns, so that no crash and no full disk lets it speak for the new one: where the file cannot be written it goes.
func (r *refusals) forget(ctx context.Context, name string) {
	r.mu.Lock()
	_, known := r.entries[name]
	delete(r.entries, name)
	stale := known || r.changed || r.failed || r.writing != nil
	r.mu.Unlock()
	if r.file == "" || !stale {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, forgetLimit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.save() != nil {
			os.Remove(r.file)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
