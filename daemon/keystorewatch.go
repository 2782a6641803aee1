package daemon

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/groat-dev/groat/keystore"
	"github.com/groat-dev/groat/protocol"
)

// watchEvery is how often the daemon looks whether a keystore can be used again.
const watchEvery = 5 * time.Second

// watchKeystore calls lookAfterKeystore until ctx ends. It prompts no person, and it does not ask the keystore anything
// while nothing waits for it.
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

// lookAfterKeystore stores credentials that could not be stored before. If something waits for the keystore and another
// program has opened it, that goes on.
func (d *Daemon) lookAfterKeystore() {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if d.stores.Kept.HasPending() {
		d.stores.Kept.RetryAll(ctx, false)
	}
	if (d.broker.KeystoreAwaited() || d.doubtful.Load()) && d.Keystore.Status(ctx).State == "ok" {
		d.keystoreOpened()
	}
	if d.stores.Shared.HasPending() {
		d.stores.Shared.RetryAll(ctx, false)
	}
	d.events.lookAgain()
}

// personOpened is keystoreOpened after a person has opened the keystore with groat, who may be prompted again for what
// was declined before.
func (d *Daemon) personOpened() {
	ctx, cancel := context.WithTimeout(context.Background(), protocol.DefaultWait)
	defer cancel()
	d.stores.Kept.RetryAll(ctx, true)
	d.keystoreOpened()
}

// heal asks the keystore, once it can be read, which sessions an earlier process left in doubt, and renews them at
// once: a server may accept a refresh token for a second time only for some seconds after the first. No request waits
// for it, and it prompts no person.
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

// keystoreOpened lets everything go on that waits for the keystore, which can be used again.
func (d *Daemon) keystoreOpened() {
	select {
	case d.opened <- struct{}{}:
	default:
	}
	d.stores.Kept.Store.(*accounts).opened()
	d.broker.KeystoreOpened()
}
