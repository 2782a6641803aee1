package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
	"go.uber.org/zap"
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

// heal asks the keystore, once it can be read, which sessions an earlier process left in doubt, and renews them before
// anything else: what it sent and was not answered a server may forgive for seconds. It keeps nobody waiting, and asks nobody
// for a password.
func (d *Daemon) heal(ctx context.Context) {
	for {
		names, err := d.stores.Kept.InDoubt(ctx)
		if len(names) > 0 {
			d.Log.Info("sessions whose last renewal was not finished are renewed", zap.Strings("profiles", names))
			d.broker.Recover(names...)
		}
		switch {
		case errors.Is(err, keystore.ErrLocked), errors.Is(err, keystore.ErrUnavailable):
		case err != nil:
			d.Log.Warn("the keystore does not say which sessions were not renewed to the end", zap.Error(err))
			return
		default:
			return
		}
		d.doubtful.Store(true)
		select {
		case <-d.opened: // see watchKeystore
		case <-ctx.Done():
			return
		}
		d.doubtful.Store(false)
	}
}

// keystoreOpened lets everything that waits for the keystore go on: it can be used again.
func (d *Daemon) keystoreOpened() {
	select {
	case d.opened <- struct{}{}:
	default:
	}
	d.broker.KeystoreOpened()
}
