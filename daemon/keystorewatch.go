package daemon

import (
	"context"
	"time"

	"github.com/groat-dev/groat/protocol"
)

// watchEvery is how soon the daemon finds out by itself that a keystore can be used again.
const watchEvery = 5 * time.Second

// watchKeystore looks after what the keystore holds up, until ctx ends. It asks no person anything, and while all is well it
// asks the keystore nothing either.
func (d *Daemon) watchKeystore(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.lookAfterKeystore()
		}
	}
}

// lookAfterKeystore stores what could not be stored before, and lets everything go on that waits for a keystore which has
// opened without groat's doing.
func (d *Daemon) lookAfterKeystore() {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if d.stores.Kept.HasPending() {
		d.stores.Kept.RetryAll(ctx, false)
	}
	if (d.broker.KeystoreAwaited() || d.doubtful.Load()) && d.Keystore.Status(ctx).State == "ok" {
		d.keystoreOpened()
	}
}

// personOpened is keystoreOpened for when it was a person's doing, who may be asked again what was declined before.
func (d *Daemon) personOpened() {
	ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
	defer cancel()
	d.stores.Kept.RetryAll(ctx, true)
	d.keystoreOpened()
}
